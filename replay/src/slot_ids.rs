//! The ids that slots were given, followed entry by entry.

use std::collections::BTreeMap;

use flow_history_flow::{ComponentId, Flow, Operation, Slot};

use crate::Body;

/// For whoever needs the ids of what was removed, which no flow has any more.
#[derive(Clone, Debug)]
pub struct SlotIds {
    ids: BTreeMap<Slot, ComponentId>,
    next_slot: Slot,
}

impl SlotIds {
    /// From a version on: the ids of the slots whose components were removed by then, and its flow.
    #[must_use]
    pub fn after(removed: BTreeMap<Slot, ComponentId>, flow: &Flow) -> Self {
        Self { ids: removed, next_slot: flow.next_slot() }
    }

    /// Takes the next entry into account.
    pub fn follow(&mut self, body: &Body) {
        let Body::Change(operations) = body else { return };
        for operation in operations {
            if let Operation::Add { component, slot } = operation {
                self.ids.insert(slot.unwrap_or(self.next_slot), component.id.clone());
                self.next_slot.0 += u32::from(slot.is_none());
            }
        }
    }

    /// The ids of the slots that are empty in a flow, the one that the last entry left.
    #[must_use]
    pub fn removed_from(mut self, flow: &Flow) -> BTreeMap<Slot, ComponentId> {
        self.ids.retain(|slot, _| flow.component_in(*slot).is_none());
        self.ids
    }
}
