//! The graph at one version.

use std::fmt;
use std::sync::Arc;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use imbl::shared_ptr::DefaultSharedPtr;
use imbl::{GenericHashMap, OrdSet};

use crate::index::Index;
use crate::slots::Slots;
use crate::{Component, ComponentId, Guesses, Name, Operation, Order};

/// The number of a component within one history: each Add takes the next; only an undo, redo or restore of a removal
/// gives one back. Files name components by slot, people by id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Slot(pub u32);

/// Persistent maps: a clone is O(1) and shares everything, a change copies only the few nodes above it, so that applying
/// a change costs the same at a thousand and at a hundred thousand components.
type Shared<K, V> = GenericHashMap<K, V, RandomState, DefaultSharedPtr>;

/// A map of components by id, and what is needed to change it quickly. Cloning is O(1).
///
/// Two flows are equal when their components are; slots and the way there do not matter.
#[derive(Clone, Default)]
pub struct Flow {
    pub(crate) components: Slots<Arc<Component>>,
    /// The slots by the hashes of their components' ids.
    ids: Index,
    hashes: RandomState,
    /// Where fields stood in components that were edited.
    pub(crate) places: Guesses<u8>,
    /// The children of each component that has any.
    pub(crate) children: Shared<Slot, OrdSet<Slot>>,
    /// Which components name this id as one of their ends; the id need not exist.
    pub(crate) attached: Shared<ComponentId, OrdSet<Slot>>,
    /// INVARIANT: above every slot ever given out.
    pub(crate) next_slot: u32,
}

impl Flow {
    /// The empty flow: version 0 of every history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flow whose next Add takes this slot; for whoever reads a flow back component by component with
    /// [`Operation::Add`] and their slots.
    #[must_use]
    pub fn with_next_slot(next: Slot) -> Self {
        Self { next_slot: next.0, ..Self::default() }
    }

    /// The number of components.
    #[must_use]
    pub fn len(&self) -> usize {
        self.components.len()
    }

    /// Whether there is no component.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The component with this id.
    #[must_use]
    pub fn component(&self, id: &str) -> Option<&Arc<Component>> {
        self.components.get(self.slot(id)?)
    }

    /// The slot of the component with this id.
    #[must_use]
    pub fn slot(&self, id: &str) -> Option<Slot> {
        let is_it = |slot| self.components.get(slot).is_some_and(|component| &*component.id == id);
        self.ids.find(self.hashes.hash_one(id), is_it)
    }

    /// Which component each operation is about, where that is there: its slot and its kind, which one keeps for as long as it
    /// lives.
    #[must_use]
    pub fn touched_by(&self, operations: &[Operation]) -> Vec<Option<(Slot, Name)>> {
        operations.iter().map(|operation| self.standing(operation.id())).collect()
    }

    /// The slot and the kind of the component with this id.
    #[must_use]
    pub fn standing(&self, id: &str) -> Option<(Slot, Name)> {
        let slot = self.slot(id)?;
        Some((slot, self.component_in(slot)?.kind.clone()))
    }

    /// Puts a component into a slot that is free.
    pub(crate) fn occupy(&mut self, slot: Slot, component: &Arc<Component>) {
        let Self { components, ids, hashes, .. } = self;
        let hash_of = |slot| components.get(slot).map_or(0, |held| hashes.hash_one(&*held.id));
        ids.insert(hashes.hash_one(&*component.id), slot, hash_of);
        components.insert(slot, Arc::clone(component));
    }

    /// Puts a component into a slot that is free; its id is to be found once [`Flow::index_all`] was called with the hashes
    /// of all of them.
    pub(crate) fn occupy_unindexed(&mut self, slot: Slot, component: Arc<Component>) {
        self.components.insert(slot, component);
    }

    /// By which an id is found.
    pub(crate) fn hash_of(&self, id: &str) -> u64 {
        self.hashes.hash_one(id)
    }

    /// Indexes the ids of all components; gives a slot whose id a slot before it has.
    pub(crate) fn index_all(&mut self, slots: Vec<(u64, Slot)>) -> Option<Slot> {
        let (ids, alike) = Index::of(slots);
        self.ids = ids;
        let id = |slot: &Slot| self.components.get(*slot).map(|component| &component.id);
        let twice = |group: &Vec<Slot>| {
            let mut later = group.iter().enumerate();
            later
                .find(|(at, slot)| group.iter().take(*at).any(|other| id(other) == id(slot)))
                .map(|(_, slot)| *slot)
        };
        alike.iter().find_map(twice)
    }

    /// Takes the component out of a slot.
    pub(crate) fn vacate(&mut self, slot: Slot) -> Option<Arc<Component>> {
        let component = self.components.remove(slot)?;
        self.ids.remove(self.hashes.hash_one(&*component.id), slot);
        Some(component)
    }

    /// The component in this slot.
    #[must_use]
    pub fn component_in(&self, slot: Slot) -> Option<&Arc<Component>> {
        self.components.get(slot)
    }

    /// The slot that the next Add takes.
    #[must_use]
    pub fn next_slot(&self) -> Slot {
        Slot(self.next_slot)
    }

    /// All components with their slots, in the order of these; O(1) each.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Arc<Component>)> {
        self.components.iter()
    }

    /// All components by order key, then id. Sorts them: O(n log n).
    #[must_use]
    pub fn in_order(&self) -> Vec<Arc<Component>> {
        let mut components: Vec<_> = self.iter().map(|(_, component)| Arc::clone(component)).collect();
        components.sort_unstable_by(|a, b| (&a.order, &a.id).cmp(&(&b.order, &b.id)));
        components
    }

    /// The components directly inside another, by order key, then id.
    #[must_use]
    pub fn children(&self, id: &str) -> Vec<Arc<Component>> {
        let slots = self.slot(id).and_then(|slot| self.children.get(&slot));
        let mut children: Vec<_> =
            slots.into_iter().flatten().filter_map(|slot| self.component_in(*slot)).cloned().collect();
        children.sort_unstable_by(|a, b| (&a.order, &a.id).cmp(&(&b.order, &b.id)));
        children
    }

    /// The components that name this id as one of their ends: its wires. The id need not exist.
    pub fn attached(&self, id: &str) -> impl Iterator<Item = &Arc<Component>> {
        let slots = self.attached.get(id);
        slots.into_iter().flatten().filter_map(|slot| self.component_in(*slot))
    }

    /// Whether a component is, or is inside, another.
    #[must_use]
    pub fn is_inside(&self, id: &str, ancestor: &str) -> bool {
        let mut at = self.component(id);
        // A flow has no cycle, so this ends; the bound keeps it so whatever happens.
        for _ in 0..=self.len() {
            match at {
                Some(component) if &*component.id == ancestor => return true,
                Some(component) => at = component.parent.as_ref().and_then(|parent| self.component(parent)),
                None => return false,
            }
        }
        false
    }

    /// The order key behind all components.
    #[must_use]
    pub fn last_order(&self) -> Order {
        self.iter().map(|(_, component)| &component.order).max().cloned().unwrap_or_default()
    }

    /// The components as operations that rebuild this flow, slots included, from
    /// [`Flow::with_next_slot`]`(flow.next_slot())`; parents before children.
    #[must_use]
    pub fn to_operations(&self) -> Vec<Operation> {
        let mut pending: Vec<(usize, Slot, &Arc<Component>)> =
            self.iter().map(|(slot, component)| (self.depth(component), slot, component)).collect();
        pending.sort_unstable_by_key(|(depth, slot, _)| (*depth, *slot));
        let add = |(_, slot, component): (usize, Slot, &Arc<Component>)| Operation::Add {
            component: Arc::clone(component),
            slot: Some(slot),
        };
        pending.into_iter().map(add).collect()
    }

    /// The number of components around this one.
    pub(crate) fn depth(&self, component: &Component) -> usize {
        let mut depth = 0;
        let mut at = component.parent.as_ref();
        while let Some(parent) = at.and_then(|id| self.component(id)) {
            depth += 1;
            at = parent.parent.as_ref();
            if depth > self.len() {
                break;
            }
        }
        depth
    }
}

impl PartialEq for Flow {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(_, component)| other.component(&component.id) == Some(component))
    }
}

impl Eq for Flow {}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.in_order()).finish()
    }
}
