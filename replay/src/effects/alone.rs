//! What becomes of one component.

use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Guesses, Name, Order, Value};

use super::{Act, Known, Later};
use crate::sealed::Broken;

/// Does one thing to what stands in a slot; `later` knows what comes after it, `places` where fields stood last, `like` is another
/// component that very likely has the same fields.
pub(crate) fn apply<'n, N: Fn(u32) -> Option<&'n Name>, F: Fn(u32) -> Result<ComponentId, &'static str>>(
    standing: &mut Option<Arc<Component>>,
    act: &Act<'_>,
    known: &Known<N, F>,
    later: &Later,
    places: &mut Guesses<u8>,
    like: Option<&Component>,
) -> Result<(), Broken> {
    match act {
        Act::Add(adding) => match standing {
            Some(_) => return Err(Broken("a slot is taken")),
            None => *standing = Some(known.component(adding, like, |number| later.gives(number))?),
        },
        Act::Remove => drop(standing.take().ok_or(EMPTY)?),
        Act::Text(number, text) => {
            here(standing)?.put(known.numbered(*number)?, Value::Text((*text).into()), places);
        }
        Act::Put(put) => {
            let (field, value) = &**put;
            here(standing)?.put(&known.name(field)?, known.value(value)?, places);
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
    places: &mut Guesses<u8>,
) -> Result<(), Broken> {
    here(standing)?.put(known.numbered(number)?, Value::Null, places);
    Ok(())
}

const EMPTY: Broken = Broken("a slot is empty");

fn here(standing: &mut Option<Arc<Component>>) -> Result<&mut Component, Broken> {
    standing.as_mut().map(Arc::make_mut).ok_or(EMPTY)
}
