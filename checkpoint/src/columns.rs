//! Components into the columns of a page, and out of them.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::slice;
use std::sync::Arc;

use flow_history_flow::{
    Component, ComponentId, ID_BYTES_MAX, Map, NAME_BYTES_MAX, NESTING_MAX, Name, Number, ORDER_BYTES_MAX,
    Order, SecretRef, Slot, Value,
};
use foldhash::fast::RandomState;

use crate::CheckpointError;
use crate::archive::{ArchivedPage, Page};
use crate::range::Range;
use crate::varint::{self, Varints};

const TOKEN_NULL: u8 = 0;
const TOKEN_FALSE: u8 = 1;
const TOKEN_TRUE: u8 = 2;
const TOKEN_INTEGER: u8 = 3;
const TOKEN_LEXEME: u8 = 4;
const TOKEN_TEXT: u8 = 5;
const TOKEN_BYTES: u8 = 6;
const TOKEN_LIST: u8 = 7;
const TOKEN_MAP: u8 = 8;
const TOKEN_REF: u8 = 9;
const TOKEN_SECRET: u8 = 10;

// Into columns.

/// Fills the columns of one page.
pub(crate) struct PageWriter<'f> {
    page: Page,
    components: u32,
    last: u32,
    names: Places<&'f str>,
    parents: Places<&'f str>,
    slot_of: &'f dyn Fn(&str) -> Option<Slot>,
}

type Places<T> = HashMap<T, usize, RandomState>;

impl<'f> PageWriter<'f> {
    /// A page of the slots from `first` on, and who knows the slots of parents.
    pub(crate) fn new(first: u32, slot_of: &'f dyn Fn(&str) -> Option<Slot>) -> Self {
        let (names, parents) = (Places::default(), Places::default());
        Self { page: Page::default(), components: 0, last: first, names, parents, slot_of }
    }

    pub(crate) fn finish(self) -> (Page, u32) {
        (self.page, self.components)
    }

    /// Writes a component behind those that are there.
    pub(crate) fn push(&mut self, slot: Slot, component: &'f Component) -> Result<(), CheckpointError> {
        let page = &mut self.page;
        varint::push(&mut page.slots, u64::from(slot.0 - self.last));
        (self.last, self.components) = (slot.0, self.components + 1);
        push_text(&mut page.id_lengths, &mut page.ids, &component.id);
        let kind = self.name(&component.kind);
        varint::push(&mut self.page.kinds, kind as u64);
        let parent = component.parent.as_ref().map_or(0, |parent| 1 + self.parent(parent));
        let page = &mut self.page;
        varint::push(&mut page.parents, parent as u64);
        push_bytes(&mut page.order_lengths, &mut page.orders, component.order.as_bytes());
        varint::push(&mut page.fields, component.fields.len() as u64);

        // What is pending stands in reverse, so that what is taken from its end comes in pre-order.
        let mut pending: Vec<(Option<&Name>, &Value)> = keyed(&component.fields).collect();
        while let Some((key, value)) = pending.pop() {
            if let Some(key) = key {
                let key = self.name(key);
                varint::push(&mut self.page.keys, key as u64);
            }
            let inside = match value {
                Value::List(list) => {
                    pending.extend(list.iter().rev().map(|value| (None, value)));
                    Some(list.len())
                }
                Value::Map(map) => {
                    pending.extend(keyed(map));
                    Some(map.len())
                }
                _ => None,
            };
            if let Some(inside) = inside {
                varint::push(&mut self.page.counts, inside as u64);
            }
            let token = leaf(&mut self.page, value);
            let token = token.ok_or_else(|| CheckpointError::UnknownValue { id: component.id.clone() })?;
            self.page.tokens.push(token);
        }
        Ok(())
    }

    /// The place of a name in the dictionary, where it is put if it is new.
    fn name(&mut self, name: &'f str) -> usize {
        let next = self.names.len();
        *self.names.entry(name).or_insert_with(|| {
            push_text(&mut self.page.name_lengths, &mut self.page.names, name);
            next
        })
    }

    fn parent(&mut self, id: &'f str) -> usize {
        let next = self.parents.len();
        *self.parents.entry(id).or_insert_with(|| {
            let page = &mut self.page;
            push_text(&mut page.parent_lengths, &mut page.parent_ids, id);
            varint::push(&mut page.parent_slots, u64::from((self.slot_of)(id).unwrap_or_default().0));
            next
        })
    }
}

/// Writes the content of a value without those inside it. Returns its token; none for a kind of value that this layout
/// does not know.
fn leaf(page: &mut Page, value: &Value) -> Option<u8> {
    Some(match value {
        Value::Null => TOKEN_NULL,
        Value::Bool(false) => TOKEN_FALSE,
        Value::Bool(true) => TOKEN_TRUE,
        Value::Number(number) => match (number.as_i64(), number.as_lexeme()) {
            (Some(integer), _) => {
                varint::push(&mut page.integers, varint::zig_zag(integer));
                TOKEN_INTEGER
            }
            (None, lexeme) => {
                push_text(&mut page.text_lengths, &mut page.texts, lexeme.unwrap_or_default());
                TOKEN_LEXEME
            }
        },
        Value::Text(text) => {
            push_text(&mut page.text_lengths, &mut page.texts, text);
            TOKEN_TEXT
        }
        Value::Bytes(bytes) => {
            push_bytes(&mut page.blob_lengths, &mut page.blobs, bytes);
            TOKEN_BYTES
        }
        Value::List(_) => TOKEN_LIST,
        Value::Map(_) => TOKEN_MAP,
        Value::Ref(id) => {
            push_text(&mut page.text_lengths, &mut page.texts, id);
            TOKEN_REF
        }
        Value::Secret(SecretRef { id, tag }) => {
            push_bytes(&mut page.blob_lengths, &mut page.blobs, [*id, *tag].as_flattened());
            TOKEN_SECRET
        }
        _ => return None,
    })
}

fn push_text(lengths: &mut Vec<u8>, texts: &mut String, text: &str) {
    varint::push(lengths, text.len() as u64);
    texts.push_str(text);
}

fn push_bytes(lengths: &mut Vec<u8>, all: &mut Vec<u8>, bytes: &[u8]) {
    varint::push(lengths, bytes.len() as u64);
    all.extend_from_slice(bytes);
}

/// What a component takes in a page, were all of its names there already; counted no further than `most`.
pub(crate) fn weight(component: &Component, most: usize) -> usize {
    let mut bytes = 8 + component.id.len() + component.order.as_bytes().len();
    let mut pending: Vec<&Value> = Vec::new();
    for (_, value) in component.fields.iter() {
        bytes += 3 + content(value, &mut pending);
    }
    while let Some(value) = pending.pop() {
        if bytes > most {
            break;
        }
        bytes += 3 + content(value, &mut pending);
    }
    bytes
}

/// The bytes of a value's own content; what is inside it is put aside.
fn content<'v>(value: &'v Value, pending: &mut Vec<&'v Value>) -> usize {
    match value {
        Value::Number(number) => number.as_lexeme().map_or(3, str::len),
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Ref(id) => id.len(),
        Value::Secret(_) => 32,
        Value::List(list) => {
            pending.extend(list.iter());
            2
        }
        Value::Map(map) => {
            pending.extend(map.iter().map(|(_, value)| value));
            2
        }
        _ => 0,
    }
}

fn keyed(map: &Map) -> impl Iterator<Item = (Option<&Name>, &Value)> {
    map.iter().rev().map(|(key, value)| (Some(key), value))
}

// Out of columns.

/// What is wrong with a page.
pub(crate) type What = &'static str;

/// What the directory says of a page, which must be so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) range: Range,
    pub(crate) count: u32,
}

/// Texts that come again on other pages, so that a flow holds each once.
#[derive(Default)]
pub(crate) struct Pool {
    names: HashSet<Name, RandomState>,
    parents: HashSet<ComponentId, RandomState>,
}

/// Takes components out of the columns of one page, one by one. Each column is a cursor; passing over a component moves
/// all of them without allocating.
pub(crate) struct PageReader<'p> {
    extent: Extent,
    slots: Varints<'p>,
    ids: Texts<'p>,
    kinds: Varints<'p>,
    parents: Varints<'p>,
    orders: Blobs<'p>,
    fields: Varints<'p>,
    keys: Varints<'p>,
    tokens: slice::Iter<'p, u8>,
    counts: Varints<'p>,
    integers: Varints<'p>,
    texts: Texts<'p>,
    blobs: Blobs<'p>,
    names: Dictionary<'p, Name>,
    parent_ids: Dictionary<'p, ComponentId>,
    parent_slots: Varints<'p>,
}

impl<'p> PageReader<'p> {
    pub(crate) fn new(page: &'p ArchivedPage, extent: Extent) -> Result<Self, What> {
        Ok(Self {
            extent,
            slots: Varints(&page.slots),
            ids: Texts { lengths: Varints(&page.id_lengths), text: &page.ids },
            kinds: Varints(&page.kinds),
            parents: Varints(&page.parents),
            orders: Blobs { lengths: Varints(&page.order_lengths), bytes: &page.orders },
            fields: Varints(&page.fields),
            keys: Varints(&page.keys),
            tokens: page.tokens.iter(),
            counts: Varints(&page.counts),
            integers: Varints(&page.integers),
            texts: Texts { lengths: Varints(&page.text_lengths), text: &page.texts },
            blobs: Blobs { lengths: Varints(&page.blob_lengths), bytes: &page.blobs },
            parent_slots: Varints(&page.parent_slots),
            names: Dictionary::new(
                Texts { lengths: Varints(&page.name_lengths), text: &page.names },
                NAME_BYTES_MAX,
            )?,
            parent_ids: Dictionary::new(
                Texts { lengths: Varints(&page.parent_lengths), text: &page.parent_ids },
                ID_BYTES_MAX,
            )?,
        })
    }

    /// The slots of the page, which ascend within its range and are as many as the directory says.
    pub(crate) fn slots(&self) -> Result<Vec<Slot>, What> {
        let Extent { range, count } = self.extent;
        let mut gaps = self.slots;
        let mut slots = Vec::new();
        let mut last = None;
        while !gaps.0.is_empty() {
            let gap = gaps.next()?;
            let slot = last.map_or(u64::from(range.first), u64::from).checked_add(gap);
            let slot = slot.and_then(|slot| u32::try_from(slot).ok()).filter(|slot| range.holds(*slot));
            let slot = slot.ok_or("it holds other slots than the directory says")?;
            if last.is_some() && gap == 0 {
                return Err("its slots do not ascend");
            }
            last = Some(slot);
            slots.push(Slot(slot));
        }
        if slots.len() == count as usize {
            Ok(slots)
        } else {
            Err("it holds another number of components than the directory says")
        }
    }

    /// The component in this slot with the slot of its parent, those before it passed over.
    pub(crate) fn component_in(mut self, slot: Slot) -> Result<Option<(Component, Option<Slot>)>, What> {
        let Ok(place) = self.slots()?.binary_search(&slot) else { return Ok(None) };
        let parent = self.parent_of(place)?;
        for _ in 0..place {
            self.pass()?;
        }
        let component = self.component(&mut Pool::default(), None)?;
        Ok(Some((component, parent)))
    }

    /// The slot of the parent of the component at this place.
    fn parent_of(&self, place: usize) -> Result<Option<Slot>, What> {
        let mut parents = self.parents;
        parents.pass(place)?;
        let Some(parent) = parents.next_usize()?.checked_sub(1) else { return Ok(None) };
        let mut slots = self.parent_slots;
        slots.pass(parent)?;
        slots.next_u32().map(|slot| Some(Slot(slot)))
    }

    /// The slots of all components, and those of their parents.
    pub(crate) fn parents(&self) -> Result<Vec<(Slot, Option<Slot>)>, What> {
        let (slots, mut parents, mut parent_slots) = (self.slots()?, self.parents, self.parent_slots);
        let mut dictionary = Vec::new();
        while !parent_slots.0.is_empty() {
            dictionary.push(Slot(parent_slots.next_u32()?));
        }
        if dictionary.len() != self.parent_ids.texts.len() {
            return Err("a dictionary holds more than its texts");
        }
        let mut parent = || -> Result<Option<Slot>, What> {
            let Some(place) = parents.next_usize()?.checked_sub(1) else { return Ok(None) };
            dictionary.get(place).copied().map(Some).ok_or("a name is not in the dictionary")
        };
        slots.into_iter().map(|slot| Ok((slot, parent()?))).collect()
    }

    /// All components; it is an error if the columns hold anything else.
    pub(crate) fn components(mut self, pool: &mut Pool) -> Result<Vec<(Slot, Arc<Component>)>, What> {
        let slots = self.slots()?;
        let mut components = Vec::with_capacity(slots.len());
        for slot in slots {
            let like = components.last().map(|(_, component): &(Slot, Arc<Component>)| &component.fields);
            let component = self.component(pool, like)?;
            components.push((slot, Arc::new(component)));
        }
        let numbers = [self.kinds, self.parents, self.fields, self.keys, self.counts, self.integers];
        let texts = [&self.ids, &self.texts].map(|column| column.text.len() + column.lengths.0.len());
        let blobs = [&self.orders, &self.blobs].map(|column| column.bytes.len() + column.lengths.0.len());
        let over = numbers.iter().map(|column| column.0.len()).chain(texts).chain(blobs).sum::<usize>();
        if over + self.tokens.len() > 0 {
            return Err("a column holds more than its components");
        }
        Ok(components)
    }

    /// The next component; `like` the fields of another that very likely has the same ones.
    fn component(&mut self, pool: &mut Pool, like: Option<&Map>) -> Result<Component, What> {
        let id = self.ids.next()?;
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err("an id is empty or too long");
        }
        let kind = self.names.get(self.kinds.next_usize()?, &mut pool.names)?;
        let parent = match self.parents.next_usize()?.checked_sub(1) {
            None => None,
            Some(place) => Some(self.parent_ids.get(place, &mut pool.parents)?),
        };
        let order = self.orders.next()?;
        if order.len() > ORDER_BYTES_MAX {
            return Err("an order key is too long");
        }
        let mut component = Component::new(id, kind).at(Order::from_bytes(order));
        component.parent = parent;
        let fields = self.fields.next_usize()?;
        component.fields = self.fields_of(fields, pool, like)?;
        Ok(component)
    }

    fn fields_of(&mut self, count: usize, pool: &mut Pool, like: Option<&Map>) -> Result<Map, What> {
        // Every value has a token, so that a count beyond them is a lie; found before anything is allocated for it.
        let mut owed = count;
        self.affords(owed)?;
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.names.get(self.keys.next_usize()?, &mut pool.names)?;
            fields.push((name, self.value(&mut owed, pool)?));
        }
        match like {
            Some(like) => Map::of_distinct_like(fields, like),
            None => Map::of_distinct(fields),
        }
        .ok_or(TWICE)
    }

    fn affords(&self, owed: usize) -> Result<(), What> {
        if owed > self.tokens.len() { Err("a value ends behind its page") } else { Ok(()) }
    }

    /// Reads a value with everything inside, without recursing. `owed` counts the values that are known to come, itself
    /// among them.
    fn value(&mut self, owed: &mut usize, pool: &mut Pool) -> Result<Value, What> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let token = *self.tokens.next().ok_or(SHORT)?;
            *owed -= 1;
            let mut value = match token {
                TOKEN_NULL => Value::Null,
                TOKEN_FALSE => Value::Bool(false),
                TOKEN_TRUE => Value::Bool(true),
                TOKEN_INTEGER => Value::Number(varint::un_zig_zag(self.integers.next()?).into()),
                TOKEN_LEXEME => {
                    // A lexeme that i64 prints alike is written as an integer: the same flow has one form only.
                    let number = Number::parse(self.texts.next()?).filter(|number| number.as_i64().is_none());
                    Value::Number(number.ok_or("a number is not one of JSON")?)
                }
                TOKEN_TEXT => Value::Text(self.texts.next()?.into()),
                TOKEN_BYTES => Value::Bytes(self.blobs.next()?.into()),
                TOKEN_REF => Value::Ref(self.texts.next()?.into()),
                TOKEN_SECRET => {
                    let halves = self.blobs.next()?.as_chunks();
                    let (&[id, tag], []) = halves else {
                        return Err("a secret reference is not of 32 bytes");
                    };
                    Value::Secret(SecretRef { id, tag })
                }
                TOKEN_LIST | TOKEN_MAP => {
                    let left = self.counts.next_usize()?;
                    if left > 0 {
                        if open.len() >= NESTING_MAX {
                            return Err("a value is nested too deep");
                        }
                        *owed += left;
                        self.affords(*owed)?;
                        open.push(if token == TOKEN_LIST {
                            Open::List { left, inside: Vec::with_capacity(left) }
                        } else {
                            let key = self.names.get(self.keys.next_usize()?, &mut pool.names)?;
                            Open::Map { left, inside: Vec::with_capacity(left), key }
                        });
                        continue;
                    }
                    if token == TOKEN_LIST { Value::List(Vec::new()) } else { Value::Map(Map::new()) }
                }
                _ => return Err("a value is of an unknown kind"),
            };
            // The value completes what it is the last one in, which completes what that is the last one in, and so on.
            loop {
                match open.pop() {
                    None => return Ok(value),
                    Some(Open::List { left, mut inside }) => {
                        inside.push(value);
                        if left > 1 {
                            open.push(Open::List { left: left - 1, inside });
                            break;
                        }
                        value = Value::List(inside);
                    }
                    Some(Open::Map { left, mut inside, key }) => {
                        inside.push((key, value));
                        if left > 1 {
                            let key = self.names.get(self.keys.next_usize()?, &mut pool.names)?;
                            open.push(Open::Map { left: left - 1, inside, key });
                            break;
                        }
                        value = Value::Map(Map::of_distinct(inside).ok_or(TWICE)?);
                    }
                }
            }
        }
    }

    /// Passes over a component.
    fn pass(&mut self) -> Result<(), What> {
        self.ids.next()?;
        self.kinds.next()?;
        self.parents.next()?;
        self.orders.next()?;
        let fields = self.fields.next_usize()?;
        self.keys.pass(fields)?;
        let mut left = fields;
        while left > 0 {
            left -= 1;
            match *self.tokens.next().ok_or(SHORT)? {
                TOKEN_INTEGER => self.integers.pass(1)?,
                TOKEN_LEXEME | TOKEN_TEXT | TOKEN_REF => drop(self.texts.next()?),
                TOKEN_BYTES | TOKEN_SECRET => drop(self.blobs.next()?),
                token @ (TOKEN_LIST | TOKEN_MAP) => {
                    let inside = self.counts.next_usize()?;
                    left = left.checked_add(inside).ok_or("a value ends behind its page")?;
                    if token == TOKEN_MAP {
                        self.keys.pass(inside)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A list or map some of whose values are still to come.
enum Open {
    List { left: usize, inside: Vec<Value> },
    Map { left: usize, inside: Vec<(Name, Value)>, key: Name },
}

const TWICE: What = "a key of a map comes twice";
const SHORT: What = "a column ends before its components";

/// Texts one behind the other, and the length of each.
struct Texts<'p> {
    lengths: Varints<'p>,
    text: &'p str,
}

impl<'p> Texts<'p> {
    fn next(&mut self) -> Result<&'p str, What> {
        let length = self.lengths.next_usize()?;
        let (text, rest) = self.text.split_at_checked(length).ok_or("a text ends behind its column")?;
        self.text = rest;
        Ok(text)
    }
}

/// Byte strings one behind the other, and the length of each.
struct Blobs<'p> {
    lengths: Varints<'p>,
    bytes: &'p [u8],
}

impl<'p> Blobs<'p> {
    fn next(&mut self) -> Result<&'p [u8], What> {
        let length = self.lengths.next_usize()?;
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or("bytes end behind their column")?;
        self.bytes = rest;
        Ok(bytes)
    }
}

/// The distinct texts of a page. Each is allocated when it is first asked for, and at most once for all pages that one
/// thread reads.
struct Dictionary<'p, T> {
    texts: Vec<(&'p str, Option<T>)>,
}

impl<'p, T: Clone + Eq + Hash + Borrow<str> + From<&'p str>> Dictionary<'p, T> {
    fn new(mut column: Texts<'p>, bytes_max: usize) -> Result<Self, What> {
        let mut texts = Vec::new();
        while !column.lengths.0.is_empty() {
            let text = column.next()?;
            if text.len() > bytes_max {
                return Err("a name is too long");
            }
            texts.push((text, None));
        }
        if column.text.is_empty() {
            Ok(Self { texts })
        } else {
            Err("a dictionary holds more than its texts")
        }
    }

    fn get(&mut self, place: usize, pool: &mut HashSet<T, RandomState>) -> Result<T, What> {
        let (text, held) = self.texts.get_mut(place).ok_or("a name is not in the dictionary")?;
        if let Some(held) = held {
            return Ok(held.clone());
        }
        let shared = match pool.get(*text) {
            Some(shared) => shared.clone(),
            None => {
                let new = T::from(*text);
                pool.insert(new.clone());
                new
            }
        };
        *held = Some(shared.clone());
        Ok(shared)
    }
}
