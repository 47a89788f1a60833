//! Components in the order of their slots to a flow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Flow, Operation, Reason, Slot};

use crate::CheckpointError;

/// A flow that is being put together.
///
/// Most components come behind their parents and are added at once. A Move can put one under a component of a later slot;
/// it waits until that is there.
pub(crate) struct Assembly {
    flow: Flow,
    waiting: HashMap<ComponentId, Vec<(Slot, Arc<Component>)>>,
}

impl Assembly {
    pub(crate) fn new(next_slot: Slot) -> Self {
        Self { flow: Flow::with_next_slot(next_slot), waiting: HashMap::new() }
    }

    pub(crate) fn add(&mut self, slot: Slot, component: Component) -> Result<(), CheckpointError> {
        // Those that waited for one another are released from a list: a chain of a hundred thousand is no recursion.
        let mut ready = vec![(slot, Arc::new(component))];
        while let Some((slot, component)) = ready.pop() {
            let operation = Operation::Add { component: Arc::clone(&component), slot: Some(slot) };
            match self.flow.apply(&operation) {
                Ok(_) if self.waiting.is_empty() => {}
                Ok(_) => ready.extend(self.waiting.remove(&component.id).unwrap_or_default()),
                Err(misfit) => match misfit.reason {
                    Reason::ParentMissing { parent } => {
                        self.waiting.entry(parent).or_default().push((slot, component));
                    }
                    _ => return Err(CheckpointError::Misfit { slot, source: misfit }),
                },
            }
        }
        Ok(())
    }

    /// The flow; an error where a component still waits for its parent.
    pub(crate) fn finish(self) -> Result<Flow, CheckpointError> {
        if self.waiting.is_empty() {
            return Ok(self.flow);
        }
        let waiting: BTreeMap<Slot, (ComponentId, ComponentId)> = self
            .waiting
            .into_iter()
            .flat_map(|(parent, children)| children.into_iter().map(move |child| (parent.clone(), child)))
            .map(|(parent, (slot, child))| (slot, (child.id.clone(), parent)))
            .collect();
        // A parent that does not wait itself is nowhere; where all of them do, they wait for each other.
        let mut parent_of: HashMap<&ComponentId, (Slot, &ComponentId)> = HashMap::new();
        for (slot, (id, parent)) in &waiting {
            parent_of.insert(id, (*slot, parent));
        }
        for (slot, (_, parent)) in &waiting {
            if !parent_of.contains_key(parent) {
                return Err(CheckpointError::ParentMissing { slot: *slot, parent: parent.clone() });
            }
        }
        // As many steps up as there are components end on the cycle, wherever they began.
        let mut at = waiting.first_key_value().map(|(slot, (_, parent))| (*slot, parent));
        for _ in 0..waiting.len() {
            at = at.and_then(|(_, parent)| parent_of.get(parent).copied());
        }
        Err(CheckpointError::Cycle { slot: at.map(|(slot, _)| slot).unwrap_or_default() })
    }
}
