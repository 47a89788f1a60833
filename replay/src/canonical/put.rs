//! Parts of entries to bytes, one by one: what bincode makes of the structures in `canonical.rs`, in a fraction of the
//! instructions. A test holds the two together, and whatever is read again is compared with what was read.

use flow_history_flow::{Component, ComponentId, Edit, Flow, Name, Operation, Slot, Splices, Step, Value};

use super::{NameBytes, Token};
use crate::sealed::put_integer;
use crate::{Vocabulary, token};

/// An integer with a sign: those near zero are short.
pub(super) fn signed(bytes: &mut Vec<u8>, value: i64) {
    put_integer(bytes, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

/// An operation on the component that is found in this slot of the flow before it.
pub(super) fn operation(
    bytes: &mut Vec<u8>,
    operation: &Operation,
    (flow, found): (&Flow, Option<Slot>),
    vocabulary: &mut Vocabulary,
) {
    // A component that does not exist is refused when the operation is applied; until then any slot does.
    let slot = u64::from(found.unwrap_or_default().0);
    match operation {
        Operation::Add { component, slot: again } => {
            bytes.push(0);
            put_integer(bytes, again.map_or(0, |slot| u64::from(slot.0.saturating_add(1))));
            added(bytes, component, flow, vocabulary);
        }
        Operation::Remove { .. } => {
            bytes.push(1);
            put_integer(bytes, slot);
        }
        Operation::Set { path, edit, .. } => {
            bytes.push(2);
            put_integer(bytes, slot);
            name(bytes, &path.field, vocabulary);
            put_integer(bytes, path.steps.len() as u64);
            for step in &path.steps {
                match step {
                    Step::Key(key) => {
                        bytes.push(0);
                        counted(bytes, key.as_bytes());
                    }
                    Step::Index(index) => {
                        bytes.push(1);
                        put_integer(bytes, u64::from(*index));
                    }
                }
            }
            put_edit(bytes, edit, flow);
        }
        Operation::Move { parent, order, .. } => {
            bytes.push(3);
            put_integer(bytes, slot);
            place(bytes, parent.as_ref(), flow);
            counted(bytes, order.as_bytes());
        }
    }
}

fn added(bytes: &mut Vec<u8>, component: &Component, flow: &Flow, vocabulary: &mut Vocabulary) {
    counted(bytes, component.id.as_bytes());
    name(bytes, &component.kind, vocabulary);
    place(bytes, component.parent.as_ref(), flow);
    counted(bytes, component.order.as_bytes());
    put_integer(bytes, component.fields.len() as u64);
    for (field, held) in component.fields.iter() {
        name(bytes, field, vocabulary);
        value(bytes, held, flow);
    }
}

fn put_edit(bytes: &mut Vec<u8>, edit: &Edit, flow: &Flow) {
    match edit {
        Edit::Put(put) => {
            bytes.push(0);
            value(bytes, put, flow);
        }
        Edit::Place(at, placed) => {
            bytes.push(1);
            put_integer(bytes, u64::from(*at));
            value(bytes, placed, flow);
        }
        Edit::Clear => bytes.push(2),
        Edit::Splice(Splices { pieces, result }) => {
            bytes.push(3);
            bytes.extend(result);
            put_integer(bytes, pieces.len() as u64);
            for piece in pieces {
                put_integer(bytes, u64::from(piece.keep));
                put_integer(bytes, u64::from(piece.remove));
                counted(bytes, piece.insert.as_bytes());
            }
        }
    }
}

fn value(bytes: &mut Vec<u8>, value: &Value, flow: &Flow) {
    token::to_tokens(value, flow).tokens().iter().for_each(|token| put_token(bytes, token));
}

fn put_token(bytes: &mut Vec<u8>, token: &Token<'_>) {
    let mut numbered = |number: u8, part: &[u8]| {
        bytes.push(number);
        counted(bytes, part);
    };
    match *token {
        Token::Null => bytes.push(0),
        Token::False => bytes.push(1),
        Token::True => bytes.push(2),
        Token::Integer(integer) => {
            bytes.push(3);
            signed(bytes, integer);
        }
        Token::Lexeme(text) => numbered(4, text.as_bytes()),
        Token::Text(text) => numbered(5, text.as_bytes()),
        Token::Bytes(part) => numbered(6, part),
        Token::List(length) => {
            bytes.push(7);
            put_integer(bytes, u64::from(length));
        }
        Token::Map(length) => {
            bytes.push(8);
            put_integer(bytes, u64::from(length));
        }
        Token::Key(key) => numbered(9, key.as_bytes()),
        Token::Component(slot) => {
            bytes.push(10);
            put_integer(bytes, u64::from(slot));
        }
        Token::Nowhere(id) => numbered(11, id.as_bytes()),
        Token::Secret { id, tag } => {
            bytes.push(12);
            bytes.extend(id);
            bytes.extend(tag);
        }
    }
}

/// Bytes with their number in front.
fn counted(bytes: &mut Vec<u8>, part: &[u8]) {
    put_integer(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

fn name(bytes: &mut Vec<u8>, name: &Name, vocabulary: &mut Vocabulary) {
    match NameBytes::of(name, vocabulary.number_of_name(name)) {
        NameBytes::Numbered(number) => put_integer(bytes, u64::from(number) + 1),
        NameBytes::Spelt(text) => {
            bytes.push(0);
            counted(bytes, text.as_bytes());
        }
    }
}

/// What a component stands in: 1 + its slot, or 0.
fn place(bytes: &mut Vec<u8>, id: Option<&ComponentId>, flow: &Flow) {
    put_integer(bytes, u64::from(slot_plus_one(id, flow)));
}

fn slot_plus_one(id: Option<&ComponentId>, flow: &Flow) -> u32 {
    id.and_then(|id| flow.slot(id)).map_or(0, |slot| slot.0 + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_history_flow::{
        Component, Edit, Flow, Map, Number, Operation, SecretRef, Slot, Splice, Splices, Step, Value,
    };

    use super::*;
    use crate::VOCABULARY_NAME_BYTES_MAX;
    use crate::canonical::{CONFIG, EditBytes, OperationBytes, Row, SplicesBytes, StepBytes};

    /// The structures of an operation, which bincode writes.
    fn structured(
        operation: &Operation,
        (flow, found): (&Flow, Option<Slot>),
        vocabulary: &mut Vocabulary,
    ) -> Vec<u8> {
        let slot = found.unwrap_or_default().0;
        let structures = match operation {
            Operation::Add { component, slot: again } => OperationBytes::Add {
                again: again.map_or(0, |slot| slot.0.saturating_add(1)),
                id: &component.id,
                kind: NameBytes::of(&component.kind, vocabulary.number_of_name(&component.kind)),
                parent: slot_plus_one(component.parent.as_ref(), flow),
                order: component.order.as_bytes(),
                fields: Row(component
                    .fields
                    .iter()
                    .map(|(field, value)| {
                        let field = NameBytes::of(field, vocabulary.number_of_name(field));
                        (field, token::to_tokens(value, flow))
                    })
                    .collect()),
            },
            Operation::Remove { .. } => OperationBytes::Remove { slot },
            Operation::Set { path, edit, .. } => OperationBytes::Set {
                slot,
                field: NameBytes::of(&path.field, vocabulary.number_of_name(&path.field)),
                steps: Row(path
                    .steps
                    .iter()
                    .map(|step| match step {
                        Step::Key(key) => StepBytes::Key(key),
                        Step::Index(index) => StepBytes::Index(*index),
                    })
                    .collect()),
                edit: match edit {
                    Edit::Put(value) => EditBytes::Put(token::to_tokens(value, flow)),
                    Edit::Place(at, value) => EditBytes::Place(*at, token::to_tokens(value, flow)),
                    Edit::Clear => EditBytes::Clear,
                    Edit::Splice(splices) => EditBytes::Splice(SplicesBytes::of(splices)),
                },
            },
            Operation::Move { parent, order, .. } => OperationBytes::Move {
                slot,
                parent: slot_plus_one(parent.as_ref(), flow),
                order: order.as_bytes(),
            },
        };
        bincode::encode_to_vec(structures, CONFIG).unwrap()
    }

    fn values() -> Vec<Value> {
        let text = |length: usize| Value::Text("x".repeat(length).into());
        let integers = [0, -1, 125, -126, 126, 40_000, -40_000, i64::from(i32::MAX) * 3, i64::MIN, i64::MAX];
        let mut values: Vec<Value> = integers.map(|integer| Value::Number(integer.into())).to_vec();
        values.extend([0, 1, 250, 251, 65_535, 65_536].map(text));
        values.extend([
            Value::Null,
            Value::Bool(false),
            Value::Bool(true),
            Value::Number(Number::parse("0.10").unwrap()),
            Value::Bytes(vec![0, 255, 7].into()),
            Value::Ref("pump".into()),
            Value::Ref("nowhere".into()),
            Value::Secret(SecretRef { id: [3; 16], tag: [251; 16] }),
            Value::List(Vec::new()),
        ]);
        let map: Map =
            values.iter().enumerate().map(|(at, held)| (format!("key-{at}"), held.clone())).collect();
        values.extend([Value::List(values.clone()), Value::Map(map)]);
        values
    }

    #[test]
    fn what_is_put_is_what_bincode_makes_of_the_structures() {
        let mut flow = Flow::new();
        for id in ["group", "pump"] {
            flow.apply(&Operation::add(Component::new(id, "kind"))).unwrap();
        }
        let at = |steps: Vec<Step>, edit: Edit| {
            let Operation::Set { id, mut path, .. } = Operation::set("pump", "field", "") else {
                unreachable!()
            };
            path.steps = steps;
            Operation::Set { id, path, edit }
        };
        let mut operations = vec![
            Operation::Remove { id: "pump".into() },
            Operation::Remove { id: "nowhere".into() },
            at(vec![Step::Key("a".into()), Step::Index(300)], Edit::Clear),
        ];
        let piece = Splice { keep: 300, remove: 70_000, insert: "new".into() };
        operations.push(at(Vec::new(), Edit::Splice(Splices { pieces: vec![piece], result: [9; 8] })));
        let mut whole = Component::new("whole", "x".repeat(VOCABULARY_NAME_BYTES_MAX + 1));
        for (at, held) in values().into_iter().enumerate() {
            operations.push(Operation::set("pump", "field", held.clone()));
            whole.fields.put(format!("field-{at}"), held);
        }
        operations.push(at(vec![Step::Index(0)], Edit::Place(251, values().pop().unwrap())));
        for parent in [None, Some("group".into()), Some("nowhere".into())] {
            let order = whole.order.clone();
            operations.push(Operation::Move { id: "pump".into(), parent: parent.clone(), order });
            whole.parent = parent;
            operations.push(Operation::add(whole.clone()));
            operations
                .push(Operation::Add { component: Arc::new(whole.clone()), slot: Some(Slot(u32::MAX)) });
        }
        // Each of the two has a vocabulary of its own, which must come to the same numbers.
        let (mut ours, mut theirs) = (Vocabulary::default(), Vocabulary::default());
        for operation in &operations {
            let at = (&flow, flow.slot(operation.id()));
            let mut bytes = Vec::new();
            super::operation(&mut bytes, operation, at, &mut ours);
            assert_eq!(bytes, structured(operation, at, &mut theirs), "{operation:?}");
            assert_eq!(ours.lengths(), theirs.lengths());
        }
    }
}
