//! What becomes of one component.

use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Name, Order};

use super::{Act, Known};
use crate::sealed::Broken;

/// Does one thing to what stands in a slot; `like` is another component that very likely has the same fields.
pub(crate) fn apply<N: Fn(u32) -> Option<Name>, F: Fn(u32) -> Result<ComponentId, &'static str>>(
    standing: &mut Option<Arc<Component>>,
    act: Act<'_>,
    known: &Known<N, F>,
    like: Option<&Component>,
) -> Result<(), Broken> {
    const EMPTY: Broken = Broken("a slot is empty");
    match act {
        Act::Add(adding) => match standing {
            Some(_) => return Err(Broken("a slot is taken")),
            None => *standing = Some(known.component(*adding, like)?),
        },
        Act::Remove => drop(standing.take().ok_or(EMPTY)?),
        other => {
            let component = Arc::make_mut(standing.as_mut().ok_or(EMPTY)?);
            match other {
                Act::Put(field, value) => component.put(&known.name(&field)?, known.value(value)?),
                Act::Edit(editing) => {
                    let (path, edit) = known.edit(*editing)?;
                    component.edit(&path, &edit).map_err(|_| Broken("an operation does not fit the flow"))?;
                }
                Act::Move { parent, order } => {
                    component.parent = known.parent(parent)?;
                    component.order = Order::from_bytes(order);
                }
                Act::Add(_) | Act::Remove => {}
            }
        }
    }
    Ok(())
}
