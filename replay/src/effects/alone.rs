//! What becomes of one component.

use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Name, Order, Value};

use super::{Act, Known, Later};
use crate::canonical::NameBytes;
use crate::sealed::Broken;

/// Does one thing to what stands in a slot; `later` knows what comes after it, `like` is another component that very likely
/// has the same fields.
pub(crate) fn apply<'n, N: Fn(u32) -> Option<&'n Name>, F: Fn(u32) -> Result<ComponentId, &'static str>>(
    standing: &mut Option<Arc<Component>>,
    act: &Act<'_>,
    known: &Known<N, F>,
    later: &mut Later,
    like: Option<&Component>,
) -> Result<(), Broken> {
    match act {
        Act::Add(adding) => match standing {
            Some(_) => return Err(Broken("a slot is taken")),
            None => *standing = Some(known.component(adding, like, |number| later.gives(number))?),
        },
        Act::Remove => drop(standing.take().ok_or(EMPTY)?),
        Act::Text(number, text) => {
            let value = Value::Text((*text).into());
            here(standing)?.put(known.numbered(*number)?, value, later.place_of(*number));
        }
        Act::Put(put) => {
            let (field, value) = &**put;
            let value = known.value(value)?;
            match field {
                NameBytes::Numbered(number) => {
                    here(standing)?.put(known.numbered(*number)?, value, later.place_of(*number));
                }
                NameBytes::Spelt(text) => here(standing)?.put(&Name::from(*text), value, &mut 0),
            }
        }
        Act::Edit(editing) => {
            let (path, edit) = known.edit(editing)?;
            let unfit = |_| Broken("an operation does not fit the flow");
            here(standing)?.edit(&path, &edit).map_err(unfit)?;
        }
        Act::Move { parent, order } => {
            let component = here(standing)?;
            component.parent = known.parent(*parent)?;
            component.order = Order::from_bytes(order);
        }
    }
    Ok(())
}

/// Puts what is put again later: the field stands where it would.
pub(crate) fn pass<'n, N: Fn(u32) -> Option<&'n Name>, F: Fn(u32) -> Result<ComponentId, &'static str>>(
    standing: &mut Option<Arc<Component>>,
    number: u32,
    known: &Known<N, F>,
    later: &mut Later,
) -> Result<(), Broken> {
    here(standing)?.put(known.numbered(number)?, Value::Null, later.place_of(number));
    Ok(())
}

const EMPTY: Broken = Broken("a slot is empty");

fn here(standing: &mut Option<Arc<Component>>) -> Result<&mut Component, Broken> {
    standing.as_mut().map(Arc::make_mut).ok_or(EMPTY)
}
