//! Components into the columns of a page, and out of them.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::slice;

use flow_history_flow::{
    Component, ComponentId, ID_BYTES_MAX, Map, NAME_BYTES_MAX, NESTING_MAX, Name, Number, ORDER_BYTES_MAX,
    Order, SecretRef, Slot, Value,
};
use rkyv::rend::{i64_le, u32_le};

use crate::CheckpointError;
use crate::archive::{ArchivedBlobs, ArchivedPage, ArchivedTexts, Blobs, Page, Texts};
use crate::limits::{PAGE_BYTES, PAGE_BYTES_MAX};

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
#[derive(Default)]
pub(crate) struct PageWriter {
    page: Page,
    names: HashMap<Name, u32>,
    parents: HashMap<ComponentId, u32>,
}

impl PageWriter {
    pub(crate) fn is_empty(&self) -> bool {
        self.page.slots.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.page.bytes() >= PAGE_BYTES
    }

    pub(crate) fn finish(self) -> Page {
        self.page
    }

    /// Writes a component behind those that are there.
    pub(crate) fn push(&mut self, slot: Slot, component: &Component) -> Result<(), CheckpointError> {
        let too_large = || CheckpointError::TooLarge {
            what: "the size",
            id: Some(component.id.clone()),
            max: PAGE_BYTES_MAX,
        };
        self.page.slots.push(slot.0);
        self.page.ids.push(&component.id).ok_or_else(too_large)?;
        let kind = place(&mut self.names, &mut self.page.names, &component.kind).ok_or_else(too_large)?;
        self.page.kinds.push(kind);
        let parent = match &component.parent {
            None => 0,
            Some(id) => 1 + place(&mut self.parents, &mut self.page.parent_ids, id).ok_or_else(too_large)?,
        };
        self.page.parents.push(parent);
        self.page.orders.push(component.order.as_bytes()).ok_or_else(too_large)?;
        self.page.fields.push(u32::try_from(component.fields.len()).ok().ok_or_else(too_large)?);

        // What is pending stands in reverse, so that what is taken from its end comes in pre-order.
        let mut pending: Vec<(Option<&Name>, &Value)> = keyed(&component.fields).collect();
        while let Some((key, value)) = pending.pop() {
            if let Some(key) = key {
                let key = place(&mut self.names, &mut self.page.names, key).ok_or_else(too_large)?;
                self.page.keys.push(key);
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
                self.page.counts.push(u32::try_from(inside).ok().ok_or_else(too_large)?);
            }
            let token = self.leaf(value).ok_or_else(too_large)?;
            let token = token.ok_or_else(|| CheckpointError::UnknownValue { id: component.id.clone() })?;
            self.page.tokens.push(token);
        }
        if self.page.bytes() > PAGE_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }

    /// Writes the content of a value without those inside it. Returns its token; none for a kind of value that this
    /// layout does not know, nothing at all where the content is too large.
    fn leaf(&mut self, value: &Value) -> Option<Option<u8>> {
        Some(Some(match value {
            Value::Null => TOKEN_NULL,
            Value::Bool(false) => TOKEN_FALSE,
            Value::Bool(true) => TOKEN_TRUE,
            Value::Number(number) => match (number.as_i64(), number.as_lexeme()) {
                (Some(integer), _) => {
                    self.page.integers.push(integer);
                    TOKEN_INTEGER
                }
                (None, lexeme) => {
                    self.page.texts.push(lexeme.unwrap_or_default())?;
                    TOKEN_LEXEME
                }
            },
            Value::Text(text) => {
                self.page.texts.push(text)?;
                TOKEN_TEXT
            }
            Value::Bytes(bytes) => {
                self.page.blobs.push(bytes)?;
                TOKEN_BYTES
            }
            Value::List(_) => TOKEN_LIST,
            Value::Map(_) => TOKEN_MAP,
            Value::Ref(id) => {
                self.page.texts.push(id)?;
                TOKEN_REF
            }
            Value::Secret(SecretRef { id, tag }) => {
                self.page.blobs.push([*id, *tag].as_flattened())?;
                TOKEN_SECRET
            }
            _ => return Some(None),
        }))
    }
}

/// Whether a component gets a page of its own: it takes a whole one, were it to share no name.
///
/// INVARIANT: what is counted is no less than what [`PageWriter::push`] adds to the columns; the bound on pages of more
/// than one component, which readers check, rests on that.
pub(crate) fn fills_a_page(component: &Component) -> bool {
    let parent = component.parent.as_ref().map_or(0, |parent| parent.len());
    let mut bytes =
        32 + component.id.len() + component.kind.len() + parent + component.order.as_bytes().len();
    let mut pending: Vec<(Option<&Name>, &Value)> = keyed(&component.fields).collect();
    while let Some((key, value)) = pending.pop() {
        bytes += 5 + key.map_or(0, |key| 8 + key.len());
        bytes += match value {
            Value::Number(number) => number.as_lexeme().map_or(8, str::len),
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Ref(id) => id.len(),
            Value::Secret(_) => 32,
            Value::List(list) => 4 * list.len(),
            Value::Map(map) => 4 * map.len(),
            _ => 0,
        };
        if bytes >= PAGE_BYTES {
            return true;
        }
        match value {
            Value::List(list) => pending.extend(list.iter().map(|value| (None, value))),
            Value::Map(map) => pending.extend(keyed(map)),
            _ => {}
        }
    }
    false
}

fn keyed(map: &Map) -> impl Iterator<Item = (Option<&Name>, &Value)> {
    map.iter().rev().map(|(key, value)| (Some(key), value))
}

/// The place of a text in a dictionary, where it is put if it is new.
fn place<T: Clone + Eq + Hash + Borrow<str>>(
    places: &mut HashMap<T, u32>,
    column: &mut Texts,
    text: &T,
) -> Option<u32> {
    if let Some(place) = places.get(text.borrow()) {
        return Some(*place);
    }
    let place = u32::try_from(places.len()).ok()?;
    column.push(text.borrow())?;
    places.insert(text.clone(), place);
    Some(place)
}

impl Texts {
    fn push(&mut self, text: &str) -> Option<()> {
        self.lengths.push(u32::try_from(text.len()).ok()?);
        self.text.push_str(text);
        Some(())
    }
}

impl Blobs {
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        self.lengths.push(u32::try_from(bytes.len()).ok()?);
        self.bytes.extend_from_slice(bytes);
        Some(())
    }
}

// Out of columns.

/// What is wrong with a page.
pub(crate) type What = &'static str;

/// What the directory says of a page, which must be so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) first: Slot,
    pub(crate) last: Slot,
    pub(crate) components: u32,
}

/// Texts that come again on other pages, so that a flow holds each once.
#[derive(Default)]
pub(crate) struct Pool {
    names: HashSet<Name>,
    parents: HashSet<ComponentId>,
}

/// Takes components out of the columns of one page, one by one. Each column is a cursor; passing over a component moves
/// all of them without allocating.
pub(crate) struct PageReader<'p> {
    slots: &'p [u32_le],
    ids: TextCursor<'p>,
    kinds: Cursor<'p, u32_le>,
    parents: Cursor<'p, u32_le>,
    orders: BlobCursor<'p>,
    fields: Cursor<'p, u32_le>,
    keys: Cursor<'p, u32_le>,
    tokens: Cursor<'p, u8>,
    counts: Cursor<'p, u32_le>,
    integers: Cursor<'p, i64_le>,
    texts: TextCursor<'p>,
    blobs: BlobCursor<'p>,
    names: Dictionary<'p, Name>,
    parent_ids: Dictionary<'p, ComponentId>,
}

impl<'p> PageReader<'p> {
    /// Checks that the components of the page are those that the directory says.
    pub(crate) fn new(page: &'p ArchivedPage, extent: Extent) -> Result<Self, What> {
        let slots = page.slots.as_slice();
        if slots.len() != extent.components as usize {
            return Err("it holds another number of components than the directory says");
        }
        if !slots.is_sorted_by(|a, b| a.to_native() < b.to_native()) {
            return Err("its slots do not ascend");
        }
        let ends = (slots.first().map(|slot| slot.to_native()), slots.last().map(|slot| slot.to_native()));
        if ends != (Some(extent.first.0), Some(extent.last.0)) {
            return Err("it holds other slots than the directory says");
        }
        Ok(Self {
            slots,
            ids: TextCursor::new(&page.ids),
            kinds: Cursor(page.kinds.iter()),
            parents: Cursor(page.parents.iter()),
            orders: BlobCursor::new(&page.orders),
            fields: Cursor(page.fields.iter()),
            keys: Cursor(page.keys.iter()),
            tokens: Cursor(page.tokens.iter()),
            counts: Cursor(page.counts.iter()),
            integers: Cursor(page.integers.iter()),
            texts: TextCursor::new(&page.texts),
            blobs: BlobCursor::new(&page.blobs),
            names: Dictionary::new(&page.names, NAME_BYTES_MAX)?,
            parent_ids: Dictionary::new(&page.parent_ids, ID_BYTES_MAX)?,
        })
    }

    /// The component in this slot, those before it passed over.
    pub(crate) fn component_in(mut self, slot: Slot) -> Result<Option<Component>, What> {
        let Ok(place) = self.slots.binary_search_by_key(&slot.0, |slot| slot.to_native()) else {
            return Ok(None);
        };
        for _ in 0..place {
            self.pass()?;
        }
        self.component(&mut Pool::default()).map(Some)
    }

    /// All components; it is an error if the columns hold anything else.
    pub(crate) fn components(mut self, pool: &mut Pool) -> Result<Vec<(Slot, Component)>, What> {
        let components: Vec<_> = self
            .slots
            .iter()
            .map(|slot| Ok((Slot(slot.to_native()), self.component(pool)?)))
            .collect::<Result<_, What>>()?;
        let over = [self.kinds.0.len(), self.parents.0.len(), self.fields.0.len(), self.keys.0.len()];
        let values = [self.tokens.0.len(), self.counts.0.len(), self.integers.0.len()];
        let texts = [&self.ids, &self.texts].map(|column| column.text.len() + column.lengths.0.len());
        let blobs = [&self.orders, &self.blobs].map(|column| column.bytes.len() + column.lengths.0.len());
        if over.iter().chain(&values).chain(&texts).chain(&blobs).any(|left| *left > 0) {
            return Err("a column holds more than its components");
        }
        Ok(components)
    }

    fn component(&mut self, pool: &mut Pool) -> Result<Component, What> {
        let id = self.ids.next()?;
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err("an id is empty or too long");
        }
        let kind = self.names.get(self.kinds.next()?.to_native(), &mut pool.names)?;
        let parent = match self.parents.next()?.to_native().checked_sub(1) {
            None => None,
            Some(place) => Some(self.parent_ids.get(place, &mut pool.parents)?),
        };
        let order = self.orders.next()?;
        if order.len() > ORDER_BYTES_MAX {
            return Err("an order key is too long");
        }
        let mut component = Component::new(id, kind).at(Order::from_bytes(order));
        component.parent = parent;
        let fields = self.fields.next()?.to_native() as usize;
        component.fields = self.fields_of(fields, pool)?;
        Ok(component)
    }

    fn fields_of(&mut self, count: usize, pool: &mut Pool) -> Result<Map, What> {
        // Every value has a token, so that a count beyond them is a lie; found before anything is allocated for it.
        let mut owed = count;
        self.affords(owed)?;
        if count > FEW_KEYS {
            let mut fields = Vec::with_capacity(count);
            for _ in 0..count {
                let name = self.names.get(self.keys.next()?.to_native(), &mut pool.names)?;
                fields.push((name, self.value(&mut owed, pool)?));
            }
            return map_of(fields);
        }
        // Nearly every component comes this way, so that it is spared the vector.
        let mut fields = Map::new();
        for _ in 0..count {
            let name = self.names.get(self.keys.next()?.to_native(), &mut pool.names)?;
            if fields.put(name, self.value(&mut owed, pool)?).is_some() {
                return Err(TWICE);
            }
        }
        Ok(fields)
    }

    fn affords(&self, owed: usize) -> Result<(), What> {
        if owed > self.tokens.0.len() { Err("a value ends behind its page") } else { Ok(()) }
    }

    /// Reads a value with everything inside, without recursing. `owed` counts the values that are known to come, itself
    /// among them.
    fn value(&mut self, owed: &mut usize, pool: &mut Pool) -> Result<Value, What> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let token = *self.tokens.next()?;
            *owed -= 1;
            let mut value = match token {
                TOKEN_NULL => Value::Null,
                TOKEN_FALSE => Value::Bool(false),
                TOKEN_TRUE => Value::Bool(true),
                TOKEN_INTEGER => Value::Number(self.integers.next()?.to_native().into()),
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
                    let left = self.counts.next()?.to_native() as usize;
                    if left > 0 {
                        if open.len() >= NESTING_MAX {
                            return Err("a value is nested too deep");
                        }
                        *owed += left;
                        self.affords(*owed)?;
                        open.push(if token == TOKEN_LIST {
                            Open::List { left, inside: Vec::with_capacity(left) }
                        } else {
                            let key = self.names.get(self.keys.next()?.to_native(), &mut pool.names)?;
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
                            let key = self.names.get(self.keys.next()?.to_native(), &mut pool.names)?;
                            open.push(Open::Map { left: left - 1, inside, key });
                            break;
                        }
                        value = Value::Map(map_of(inside)?);
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
        let fields = self.fields.next()?.to_native() as usize;
        self.keys.pass(fields)?;
        let mut left = fields;
        while left > 0 {
            left -= 1;
            match *self.tokens.next()? {
                TOKEN_INTEGER => drop(self.integers.next()?),
                TOKEN_LEXEME | TOKEN_TEXT | TOKEN_REF => drop(self.texts.next()?),
                TOKEN_BYTES | TOKEN_SECRET => drop(self.blobs.next()?),
                token @ (TOKEN_LIST | TOKEN_MAP) => {
                    let inside = self.counts.next()?.to_native() as usize;
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

/// Entries up to which comparing each key with those before it is quicker than a hash table.
const FEW_KEYS: usize = 24;

const TWICE: What = "a key of a map comes twice";

fn map_of(entries: Vec<(Name, Value)>) -> Result<Map, What> {
    let count = entries.len();
    let map = if count <= FEW_KEYS {
        let mut map = Map::new();
        for (key, value) in entries {
            map.put(key, value);
        }
        map
    } else {
        entries.into_iter().collect()
    };
    if map.len() == count { Ok(map) } else { Err(TWICE) }
}

/// One column, read from the front.
struct Cursor<'p, T>(slice::Iter<'p, T>);

impl<'p, T> Cursor<'p, T> {
    fn next(&mut self) -> Result<&'p T, What> {
        self.0.next().ok_or("a column ends before its components")
    }

    fn pass(&mut self, count: usize) -> Result<(), What> {
        let rest = self.0.as_slice().get(count..).ok_or("a column ends before its components")?;
        self.0 = rest.iter();
        Ok(())
    }
}

struct TextCursor<'p> {
    lengths: Cursor<'p, u32_le>,
    text: &'p str,
}

impl<'p> TextCursor<'p> {
    fn new(column: &'p ArchivedTexts) -> Self {
        Self { lengths: Cursor(column.lengths.iter()), text: column.text.as_str() }
    }

    fn next(&mut self) -> Result<&'p str, What> {
        let length = self.lengths.next()?.to_native() as usize;
        let (text, rest) = self.text.split_at_checked(length).ok_or("a text ends behind its column")?;
        self.text = rest;
        Ok(text)
    }
}

struct BlobCursor<'p> {
    lengths: Cursor<'p, u32_le>,
    bytes: &'p [u8],
}

impl<'p> BlobCursor<'p> {
    fn new(column: &'p ArchivedBlobs) -> Self {
        Self { lengths: Cursor(column.lengths.iter()), bytes: column.bytes.as_slice() }
    }

    fn next(&mut self) -> Result<&'p [u8], What> {
        let length = self.lengths.next()?.to_native() as usize;
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or("bytes end behind their column")?;
        self.bytes = rest;
        Ok(bytes)
    }
}

/// The distinct texts of a page. Each is allocated when it is first asked for, and at most once for all pages of a flow.
struct Dictionary<'p, T> {
    texts: Vec<(&'p str, Option<T>)>,
}

impl<'p, T: Clone + Eq + Hash + Borrow<str> + From<&'p str>> Dictionary<'p, T> {
    fn new(column: &'p ArchivedTexts, bytes_max: usize) -> Result<Self, What> {
        let mut cursor = TextCursor::new(column);
        let mut texts = Vec::with_capacity(column.lengths.len());
        for _ in 0..column.lengths.len() {
            let text = cursor.next()?;
            if text.len() > bytes_max {
                return Err("a name is too long");
            }
            texts.push((text, None));
        }
        if cursor.text.is_empty() {
            Ok(Self { texts })
        } else {
            Err("a dictionary holds more than its texts")
        }
    }

    fn get(&mut self, place: u32, pool: &mut HashSet<T>) -> Result<T, What> {
        let (text, held) = self.texts.get_mut(place as usize).ok_or("a name is not in the dictionary")?;
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
