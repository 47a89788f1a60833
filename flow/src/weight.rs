//! About how much memory an operation takes, for who has to bound it.

use crate::{Component, Edit, Operation, Value};

impl Operation {
    /// About the bytes of memory that it takes, with the names in it and whatever lies inside; counted no further than to see
    /// that it is more than `most`.
    #[must_use]
    pub fn weight(&self, most: usize) -> usize {
        let own = size_of::<Self>() + self.id().len();
        match self {
            Operation::Add { component, .. } => own + of_component(component, most),
            Operation::Remove { .. } => own,
            Operation::Move { parent, order, .. } => {
                own + parent.as_ref().map_or(0, |parent| parent.len()) + order.as_bytes().len()
            }
            Operation::Set { path, edit, .. } => {
                own + path.field.len()
                    + path.steps.iter().map(size_of_val).sum::<usize>()
                    + match edit {
                        Edit::Put(value) | Edit::Place(_, value) => of_value(value, most),
                        Edit::Clear => 0,
                        Edit::Splice(splices) => {
                            splices.pieces.iter().map(|piece| size_of_val(piece) + piece.insert.len()).sum()
                        }
                    }
            }
        }
    }
}

fn of_component(component: &Component, most: usize) -> usize {
    let parent = component.parent.as_ref().map_or(0, |parent| parent.len());
    let names: usize = component.fields.iter().map(|(name, _)| size_of_val(name) + name.len()).sum();
    let own = size_of::<Component>() + component.id.len() + component.kind.len() + parent + names;
    own + of_values(component.fields.iter().map(|(_, value)| value).collect(), most)
}

fn of_value(value: &Value, most: usize) -> usize {
    // Most values hold no others: nothing is allocated for them.
    let mut inside = Vec::new();
    let own = of_one(value, most, &mut inside);
    own + of_values(inside, most)
}

fn of_values(mut pending: Vec<&Value>, most: usize) -> usize {
    let mut bytes = 0;
    while let Some(value) = pending.pop() {
        bytes += of_one(value, most, &mut pending);
        if bytes > most {
            break;
        }
    }
    bytes
}

/// Of a value without those inside it, which are put aside.
fn of_one<'v>(value: &'v Value, most: usize, inside: &mut Vec<&'v Value>) -> usize {
    let held = match value {
        Value::Number(number) => number.as_lexeme().map_or(0, str::len),
        Value::Text(text) => text.len(),
        Value::Bytes(held) => held.len(),
        Value::Ref(id) => id.len(),
        // What is more than enough by its count alone is not gone through.
        Value::List(list) if list.len() > most => list.len(),
        Value::List(list) => {
            inside.extend(list.iter());
            0
        }
        Value::Map(map) if map.len() > most => map.len(),
        Value::Map(map) => {
            inside.extend(map.iter().map(|(_, value)| value));
            map.iter().map(|(name, _)| size_of_val(name) + name.len()).sum()
        }
        _ => 0,
    };
    size_of::<Value>() + held
}
