//! Operations by chance, made to fit a flow.

use flow_history::{
    Component, ComponentId, Edit, Flow, Map, Number, Operation, Order, Path, ROOT_ID, Step, Value, WIRE_KIND,
};

use crate::Chance;

/// Chance in a form that shrinks: a gene becomes an operation when it meets a flow.
#[derive(Clone, Debug)]
pub struct Gene {
    /// Which kind of operation.
    pub kind: u8,
    /// Which component.
    pub pick: u16,
    /// Which other component, or which place inside it.
    pub other: u16,
    /// Which place among others.
    pub place: u8,
    /// What to put there.
    pub value: Value,
}

/// Few fields, so that operations meet; two of them are the ends of wires.
const FIELDS: [&str; 7] = ["a", "b", "c", "x", "from", "to", ""];
/// Few ids, so that removed ones come back.
const IDS: u16 = 24;

impl Gene {
    /// One from a seed.
    pub fn random(chance: &mut Chance) -> Self {
        let bits = chance.bits().to_le_bytes();
        let value = random_value(chance, 3);
        Self {
            kind: bits[0],
            pick: u16::from_le_bytes([bits[1], bits[2]]),
            other: u16::from_le_bytes([bits[3], bits[4]]),
            place: bits[5],
            value,
        }
    }

    /// The operation that it becomes where it meets this flow. Mostly it fits; now and then it does not.
    #[must_use]
    pub fn operation(&self, flow: &Flow) -> Operation {
        let ids = ids_of(flow);
        let existing = |pick: u16| ids.get(usize::from(pick) % ids.len().max(1)).cloned();
        let Some(id) = existing(self.pick).filter(|_| self.kind % 16 > 3) else { return self.addition(flow) };
        let field = FIELDS[usize::from(self.other) % FIELDS.len()];
        match self.kind % 16 {
            // A leaf where there is one near; now and then something with children, which does not fit.
            4 | 5 => {
                let mut near = ids.iter().cycle().skip(usize::from(self.pick) % ids.len()).take(ids.len());
                let leaf = near.find(|id| self.place < 8 || flow.children(id).is_empty());
                Operation::remove(leaf.unwrap_or(&id))
            }
            6 | 7 => {
                let parent = existing(self.other).filter(|_| !self.place.is_multiple_of(3));
                let parent = parent.filter(|parent| self.place < 8 || !flow.is_inside(parent, &id));
                Operation::shift(id, parent, order_of(self.place))
            }
            8 => Operation::clear(id, field),
            9 => Operation::Set {
                id,
                path: field.into(),
                edit: Edit::Place(u32::from(self.place % 5), self.value.clone()),
            },
            10..=12 => Operation::set(id, field, self.end_or_value(field, existing(self.other))),
            _ => self.deep_edit(flow, &id),
        }
    }

    fn addition(&self, flow: &Flow) -> Operation {
        let ids = ids_of(flow);
        let existing = |pick: u16| ids.get(usize::from(pick) % ids.len().max(1)).cloned();
        let free = (0..IDS)
            .map(|at| format!("c{}", (self.pick % IDS + at) % IDS))
            .find(|id| flow.component(id).is_none());
        let id = free.unwrap_or_else(|| format!("more-{}", flow.len()));
        let end = |pick: u16| Value::Ref(existing(pick).unwrap_or_else(|| "nowhere".into()));
        let component = match self.place % 8 {
            0..=2 => {
                Component::new(id, WIRE_KIND).field("from", end(self.other)).field("to", end(self.other / 7))
            }
            3 if flow.component(ROOT_ID).is_none() => Component::new(ROOT_ID, "root"),
            _ => Component::new(id, if self.place.is_multiple_of(2) { "group" } else { "processor" }),
        };
        let component = component
            .field("a", self.value.clone())
            .field("b", i64::from(self.pick))
            .at(order_of(self.place));
        match existing(self.other / 3).filter(|_| self.place % 3 == 1) {
            Some(parent) => Operation::add(component.inside(parent)),
            None => Operation::add(component),
        }
    }

    fn end_or_value(&self, field: &str, end: Option<ComponentId>) -> Value {
        match end {
            Some(end) if field == "from" || field == "to" => Value::Ref(end),
            _ => self.value.clone(),
        }
    }

    /// An edit as deep inside one of the component's fields as its value and the gene allow.
    fn deep_edit(&self, flow: &Flow, id: &ComponentId) -> Operation {
        let component = flow.component(id).unwrap();
        let fields: Vec<_> = component.fields.iter().collect();
        let Some((name, mut value)) = fields.get(usize::from(self.other) % fields.len().max(1)).copied()
        else {
            return Operation::set(id, "a", self.value.clone());
        };
        let mut path = Path::field(name);
        let mut turn = usize::from(self.other);
        let mut is_list = false;
        loop {
            turn /= 3;
            match value {
                Value::Map(map) if !map.is_empty() => {
                    let at = (usize::from(self.place) + turn) % map.len();
                    let (key, inside) = map.iter().nth(at).unwrap();
                    // A key that is not there yet is a place too.
                    let key = if turn % 5 == 4 { "new".into() } else { key.clone() };
                    is_list = false;
                    path.steps.push(Step::Key(key));
                    value = inside;
                }
                Value::List(list) if !list.is_empty() => {
                    let at = (usize::from(self.place) + turn) % (list.len() + 1);
                    is_list = true;
                    path.steps.push(Step::Index(u32::try_from(at).unwrap()));
                    let Some(inside) = list.get(at) else { break };
                    value = inside;
                }
                _ => break,
            }
            if turn % 4 == 0 {
                break;
            }
        }
        let place = if is_list { 0 } else { u32::from(self.place % 4) };
        let edit = match self.place % 3 {
            0 => Edit::Put(self.value.clone()),
            1 => Edit::Place(place, self.value.clone()),
            _ => Edit::Clear,
        };
        Operation::Set { id: id.clone(), path, edit }
    }
}

fn ids_of(flow: &Flow) -> Vec<ComponentId> {
    let mut ids: Vec<_> = flow.iter().map(|(_, component)| component.id.clone()).collect();
    ids.sort_unstable();
    ids
}

fn order_of(place: u8) -> Order {
    if place.is_multiple_of(4) { Order::default() } else { Order::from_bytes(&[place, place / 3 + 1]) }
}

/// A value of any kind, lists and maps nested at most `depth` deep.
pub fn random_value(chance: &mut Chance, depth: usize) -> Value {
    let kinds = if depth == 0 { 8 } else { 11 };
    match chance.below(kinds) {
        0 => Value::Null,
        1 => Value::Bool(chance.once_in(2)),
        2 => i64::from_le_bytes(chance.bits().to_le_bytes()).into(),
        3 => {
            let lexeme = *chance.pick(&["0", "-0", "1.0", "1e400", "18446744073709551616", "-12.5e-7"]);
            Number::parse(lexeme).unwrap().into()
        }
        4 => match *chance.pick(&["", "pump", "Größe", "\u{202e}\0../", "a line\nand another"]) {
            // One short text in five is a long one, and much like the others: edits of it are told by what differs.
            "pump" => Value::from(long_text(depth)),
            short => Value::from(short),
        },
        5 => {
            let count = chance.below(20);
            Value::Bytes((0..count).map(|_| chance.bits().to_le_bytes()[0]).collect())
        }
        6 => Value::Ref(format!("c{}", chance.below(30)).into()),
        // Secrets have files beside the log: `vault` and `undo_invariants` are about them.
        7 => Value::Bytes([u8::try_from(chance.below(4)).unwrap(); 16].as_slice().into()),
        8 | 9 => {
            let count = chance.below(5);
            Value::List((0..count).map(|_| random_value(chance, depth - 1)).collect())
        }
        _ => {
            let count = chance.below(5);
            let entry = |at| (format!("k{at}"), random_value(chance, depth - 1));
            Value::Map((0..count).map(entry).collect::<Map>())
        }
    }
}

/// A text of some lines, much like the others that this makes.
fn long_text(changed: usize) -> String {
    let line = |at: usize| match at {
        at if at == 5 + changed => format!("lïne {at} changed"),
        at => format!("line {at} as ever\n"),
    };
    (0..20 + changed).map(line).collect()
}
