//! What entries do to the flow, and nothing else of them: read, and not yet applied.
//!
//! Whoever wants the flow of a version needs of the entries since some earlier one only what they do, and of that only
//! what is still to be seen at the end. So it is read first, and applied afterwards: [`Folded`](crate::Folded) applies it
//! in the order of the entries, to a flow; [`Loose`](crate::Loose) slot by slot, to components that are not put together
//! yet, which touches each of them once, in the order in which they lie in memory.

mod read; //    entries to what they do
mod later; //   what need not be done, because what comes later undoes it
mod alone; //   what becomes of one component
mod stretch; // the bytes of entries in a row, as they lie in segments

use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Edit, Map, Name, Order, Path, Slot, Splices, Step, Value};

pub(crate) use self::alone::{apply, pass};
pub(crate) use self::later::{Later, Turn, sort};
pub(crate) use self::read::{Allowance, Effects};
pub(crate) use self::stretch::{PIECES, Stretch, Stretches, WHOLE};
use crate::canonical::{NameBytes, Token, ValueBytes};
use crate::sealed::Broken;
use crate::token;

/// What one operation does, and to the component in which slot.
pub(crate) struct Effect<'b> {
    pub(crate) slot: Slot,
    pub(crate) act: Act<'b>,
}

/// Most are `Text`; what the others need lies elsewhere, so that a row of effects is short.
pub(crate) enum Act<'b> {
    /// Gives the field with this number a text.
    Text(u32, &'b str),
    Put(Box<(NameBytes<'b>, ValueBytes<'b>)>),
    Edit(Box<Editing<'b>>),
    Remove,
    Move {
        parent: Option<u32>,
        order: &'b [u8],
    },
    Add(Box<Adding<'b>>),
}

/// A Set that is no plain Put.
pub(crate) struct Editing<'b> {
    field: NameBytes<'b>,
    steps: Vec<Step>,
    edit: Edited<'b>,
}

enum Edited<'b> {
    Put(ValueBytes<'b>),
    Place(u32, ValueBytes<'b>),
    Clear,
    Splice(Splices),
}

pub(crate) struct Adding<'b> {
    pub(crate) id: ComponentId,
    /// Whether the slot is one that was given out before.
    pub(crate) again: bool,
    kind: NameBytes<'b>,
    parent: Option<u32>,
    order: &'b [u8],
    fields: Vec<(NameBytes<'b>, ValueBytes<'b>)>,
}

/// What effects name by number: names, and components by their slots.
pub(crate) struct Known<N, F> {
    /// The name with a number.
    pub(crate) name_of: N,
    /// The id of what stands in a slot.
    pub(crate) id_of: F,
}

impl Act<'_> {
    /// The number of the name of the field that gets a value, whatever was there before.
    pub(crate) fn puts(&self) -> Option<u32> {
        match self {
            Act::Text(number, _) => Some(*number),
            Act::Put(put) => match put.0 {
                NameBytes::Numbered(number) => Some(number),
                NameBytes::Spelt(_) => None,
            },
            _ => None,
        }
    }
}

impl<'n, N: Fn(u32) -> Option<&'n Name>, F: Fn(u32) -> Result<ComponentId, &'static str>> Known<N, F> {
    pub(crate) fn name(&self, name: &NameBytes<'_>) -> Result<Name, Broken> {
        match name {
            NameBytes::Spelt(text) => Ok(Name::from(*text)),
            NameBytes::Numbered(number) => self.numbered(*number).cloned(),
        }
    }

    pub(crate) fn numbered(&self, number: u32) -> Result<&'n Name, Broken> {
        (self.name_of)(number).ok_or(Broken("a name is not known"))
    }

    pub(crate) fn value(&self, value: &ValueBytes<'_>) -> Result<Value, Broken> {
        match value {
            // What most values are.
            ValueBytes::Flat(Token::Text(text)) => Ok(Value::Text((*text).into())),
            tokens => token::from_tokens(tokens, &self.id_of).map_err(|_| Broken("a value is none")),
        }
    }

    pub(crate) fn parent(&self, parent: Option<u32>) -> Result<Option<ComponentId>, Broken> {
        parent.map(|slot| (self.id_of)(slot)).transpose().map_err(Broken)
    }

    pub(crate) fn edit(&self, editing: &Editing<'_>) -> Result<(Path, Edit), Broken> {
        let path = Path { field: self.name(&editing.field)?, steps: editing.steps.clone() };
        let edit = match &editing.edit {
            Edited::Put(value) => Edit::Put(self.value(value)?),
            Edited::Place(at, value) => Edit::Place(*at, self.value(value)?),
            Edited::Clear => Edit::Clear,
            Edited::Splice(splices) => Edit::Splice(splices.clone()),
        };
        Ok((path, edit))
    }

    /// The component that is added; `like` another that very likely has the same fields. What stands in a field of which it
    /// `is_passing` is left out, the field is not.
    pub(crate) fn component(
        &self,
        adding: &Adding<'_>,
        like: Option<&Component>,
        is_passing: impl Fn(u32) -> bool,
    ) -> Result<Arc<Component>, Broken> {
        let mut component = Component::new(adding.id.clone(), self.name(&adding.kind)?);
        component.parent = self.parent(adding.parent)?;
        component.order = Order::from_bytes(adding.order);
        let mut fields = Vec::with_capacity(adding.fields.len());
        for (field, value) in &adding.fields {
            let value = match field {
                NameBytes::Numbered(number) if is_passing(*number) => Value::Null,
                _ => self.value(value)?,
            };
            fields.push((self.name(field)?, value));
        }
        let fields = match like {
            Some(like) => Map::of_distinct_like(fields, &like.fields),
            None => Map::of_distinct(fields),
        };
        component.fields = fields.ok_or(Broken("a field comes twice"))?;
        Ok(Arc::new(component))
    }
}
