//! About how many bytes content takes, for who has to bound it.

use crate::{Component, Edit, Operation, Value};

/// What goes with every component, value and operation, whatever it holds.
const COMPONENT: usize = 8;
const VALUE: usize = 3;

impl Component {
    /// About the bytes that its content takes, without the names of its fields; counted no further than `most`.
    #[must_use]
    pub fn weight(&self, most: usize) -> usize {
        let own = COMPONENT + self.id.len() + self.order.as_bytes().len();
        own + of_values(self.fields.iter().map(|(_, value)| value), most.saturating_sub(own))
    }
}

impl Operation {
    /// About the bytes that its content takes, without the names of fields; counted no further than `most`.
    #[must_use]
    pub fn weight(&self, most: usize) -> usize {
        let own = COMPONENT + self.id().len();
        match self {
            Operation::Add { component, .. } => component.weight(most),
            Operation::Remove { .. } => own,
            Operation::Move { parent, order, .. } => {
                own + parent.as_ref().map_or(0, |parent| parent.len()) + order.as_bytes().len()
            }
            Operation::Set { edit: Edit::Put(value) | Edit::Place(_, value), .. } => {
                own + of_values([value], most.saturating_sub(own))
            }
            Operation::Set { edit: Edit::Clear, .. } => own,
            Operation::Set { edit: Edit::Splice(splices), .. } => {
                own + splices.pieces.iter().map(|piece| COMPONENT + piece.insert.len()).sum::<usize>()
            }
        }
    }
}

fn of_values<'v>(values: impl IntoIterator<Item = &'v Value>, most: usize) -> usize {
    let mut pending: Vec<&Value> = Vec::new();
    let mut bytes = 0;
    for value in values {
        bytes += VALUE + of_content(value, &mut pending);
    }
    while let Some(value) = pending.pop() {
        if bytes > most {
            break;
        }
        bytes += VALUE + of_content(value, &mut pending);
    }
    bytes
}

/// The bytes of a value's own content; what is inside it is put aside.
fn of_content<'v>(value: &'v Value, pending: &mut Vec<&'v Value>) -> usize {
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
