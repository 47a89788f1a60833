//! A whole state to bytes and back: what a base holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bincode::{BorrowDecode, Encode};
use flow_history_flow::{Assembly, ComponentId, Name, Operation, Slot};

use super::decode::decode_operation;
use super::{NameBytes, OperationBytes, Row};
use crate::base::Whole;
use crate::log_index::Before;
use crate::state::State;
use crate::token::{self, Refs};
use crate::{Author, Chain, HistoryId, Seq};

#[derive(Encode, BorrowDecode)]
struct StateBytes<'b> {
    aside: &'b [u8],
    next_slot: u32,
    /// The id in each slot that holds something, ascending by slot: references are slots.
    ids: Row<(u32, &'b str)>,
    components: Row<OperationBytes<'b>>,
    /// The id that each slot had whose component was removed: an undo may give the slot back.
    removed: Row<(u32, &'b str)>,
}

/// Nothing is too large: a state is cut into pieces by whoever stores it.
const WHOLE: bincode::config::Configuration = bincode::config::standard();

pub(crate) fn state_to_bytes(
    state: &State,
    removed: &BTreeMap<Slot, ComponentId>,
) -> Result<Vec<u8>, String> {
    let aside = state.aside_to_bytes().map_err(|error| error.to_string())?;
    let mut components: Vec<_> = state.flow.iter().collect();
    components.sort_unstable_by_key(|(slot, _)| *slot);
    let flow = &state.flow;
    let name = |name| NameBytes::of(name, state.vocabulary.known_number_of(name));
    let rows = components
        .iter()
        .map(|(slot, component)| OperationBytes::Add {
            again: slot.0.saturating_add(1),
            id: &component.id,
            kind: name(&component.kind),
            parent: component.parent.as_ref().and_then(|id| flow.slot(id)).map_or(0, |slot| slot.0 + 1),
            order: component.order.as_bytes(),
            fields: Row(component
                .fields
                .iter()
                .map(|(field, value)| (name(field), token::to_tokens(value, flow)))
                .collect()),
        })
        .collect();
    let bytes = StateBytes {
        aside: &aside,
        next_slot: flow.next_slot().0,
        ids: Row(components.iter().map(|(slot, component)| (slot.0, &*component.id)).collect()),
        components: Row(rows),
        removed: Row(removed.iter().map(|(slot, id)| (slot.0, &**id)).collect()),
    };
    bincode::encode_to_vec(&bytes, WHOLE).map_err(|error| error.to_string())
}

pub(crate) fn state_from_bytes(
    bytes: &[u8],
    (history, seq, chain): (HistoryId, Seq, Chain),
) -> Result<Whole, String> {
    let (whole, used): (StateBytes<'_>, usize) =
        bincode::borrow_decode_from_slice(bytes, WHOLE).map_err(|error| error.to_string())?;
    if used != bytes.len() {
        return Err("bytes are left over".to_owned());
    }
    let next_slot = Slot(whole.next_slot);
    let empty = Assembly::new(next_slot).finish().map_err(|(_, misfit)| misfit.to_string())?;
    let mut state = State::from_aside(history, seq, chain, empty, whole.aside)?;
    let ids = whole.ids.0.iter().map(|(slot, id)| (Slot(*slot), ComponentId::from(*id))).collect();
    let before = WholeBefore { state: &state, ids };
    let mut assembly = Assembly::new(next_slot);
    let mut refs = Refs::of(&before);
    let resolve = |name: NameBytes<'_>| match name {
        NameBytes::Spelt(text) => Ok(Name::from(text)),
        NameBytes::Numbered(number) => before.name(number).cloned().ok_or("a name is not known"),
    };
    for row in whole.components.0 {
        let operation = decode_operation(row, &mut refs, &resolve, None)?;
        let Operation::Add { component, slot: Some(slot) } = operation else {
            return Err("something else than a component stands among the components".to_owned());
        };
        if before.ids.get(&slot) != Some(&component.id) {
            return Err("a component has another id than its slot".to_owned());
        }
        assembly.add(slot, component);
    }
    let flow = assembly.finish().map_err(|(_, misfit)| misfit.to_string())?;
    if flow.len() != before.ids.len() {
        return Err("a slot has an id and no component".to_owned());
    }
    state.flow = flow;
    let removed = whole.removed.0.into_iter().map(|(slot, id)| (Slot(slot), ComponentId::from(id)));
    Ok((state, removed.collect()))
}

/// A state whose components are still on their way: all of it but their ids is known.
struct WholeBefore<'s> {
    state: &'s State,
    ids: HashMap<Slot, ComponentId>,
}

impl Before for WholeBefore<'_> {
    fn seq(&self) -> Seq {
        Before::seq(self.state)
    }

    fn log_time(&self) -> i64 {
        Before::log_time(self.state)
    }

    fn known(&self) -> (usize, usize) {
        self.state.known()
    }

    fn name(&self, number: u32) -> Option<&Name> {
        self.state.name(number)
    }

    fn author(&self, number: u32) -> Option<&Arc<Author>> {
        self.state.author(number)
    }

    fn next_slot(&self) -> Slot {
        self.state.next_slot()
    }

    fn id_in(&self, slot: Slot) -> Option<ComponentId> {
        self.ids.get(&slot).cloned()
    }
}
