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
                        Edit::Put(value) | Edit::Place(_, value) => of_values(vec![value], most),
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

fn of_values(mut pending: Vec<&Value>, most: usize) -> usize {
    let mut bytes = 0;
    while let Some(value) = pending.pop() {
        bytes += size_of::<Value>();
        match value {
            Value::Number(number) => bytes += number.as_lexeme().map_or(0, str::len),
            Value::Text(text) => bytes += text.len(),
            Value::Bytes(held) => bytes += held.len(),
            Value::Ref(id) => bytes += id.len(),
            // What is more than enough by its count alone is not gone through.
            Value::List(list) if list.len() > most => bytes += list.len(),
            Value::List(list) => pending.extend(list.iter()),
            Value::Map(map) if map.len() > most => bytes += map.len(),
            Value::Map(map) => {
                for (name, value) in map.iter() {
                    bytes += size_of_val(name) + name.len();
                    pending.push(value);
                }
            }
            _ => {}
        }
        if bytes > most {
            break;
        }
    }
    bytes
}
