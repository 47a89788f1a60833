//! Components in any order to a flow: what applying an Add for each would give, at a fraction of the cost.

use std::hint;
use std::sync::Arc;

use crate::apply::check_component;
use crate::{Component, ComponentId, Flow, Misfit, Reason, Slot};

/// How many components are glanced at before they are looked at.
const GLANCED_AT: usize = 64;

/// A flow that is being put together from components and their slots, for whoever reads one back from a file.
///
/// Unlike [`Operation::Add`](crate::Operation::Add) it takes a component before its parent. All else that an Add checks
/// is checked too, so that what comes out is a flow whatever went in.
///
/// ```
/// use std::sync::Arc;
/// use flow_history_flow::{Assembly, Component, Slot};
///
/// let mut assembly = Assembly::new(Slot(9));
/// assembly.add(Slot(3), Arc::new(Component::new("pump-1", "processor").inside("group-1")));
/// assembly.add(Slot(7), Arc::new(Component::new("group-1", "group")));
/// let flow = assembly.finish().map_err(|(_, misfit)| misfit)?;
/// assert_eq!(flow.children("group-1").len(), 1);
/// assert_eq!(flow.next_slot(), Slot(9));
/// # Ok::<(), flow_history_flow::Misfit>(())
/// ```
#[derive(Default)]
pub struct Assembly {
    flow: Flow,
    /// The hashes of all ids.
    hashes: Vec<(u64, Slot)>,
    /// Those with a parent, and the parent, which may not be there yet.
    inside: Vec<(Slot, ComponentId)>,
    /// What did not fit, after which nothing comes out.
    spoilt: Option<(Slot, Misfit)>,
}

/// Components that an [`Assembly`] looked at, for it to take. Looking at them is most of the work, and several threads may
/// do it, each just after it made them.
#[derive(Default)]
pub struct Checked {
    components: Vec<(Slot, Arc<Component>)>,
    hashes: Vec<(u64, Slot)>,
    inside: Vec<(Slot, ComponentId)>,
    attached: Vec<(ComponentId, Slot)>,
    spoilt: Option<(Slot, Misfit)>,
}

impl Assembly {
    /// No component so far, of a flow whose next Add takes this slot.
    #[must_use]
    pub fn new(next_slot: Slot) -> Self {
        Self { flow: Flow::with_next_slot(next_slot), ..Self::default() }
    }

    /// Adds a component. Where it cannot be added, nothing comes out: [`Assembly::finish`] says why.
    pub fn add(&mut self, slot: Slot, component: Arc<Component>) {
        let checked = self.check([(slot, component)]);
        self.take(checked);
    }

    /// Looks at components before they are added: everything that an Add checks but for slots, parents and ids that are
    /// taken.
    #[must_use]
    pub fn check(&self, components: impl IntoIterator<Item = (Slot, Arc<Component>)>) -> Checked {
        let components: Vec<_> = components.into_iter().collect();
        let mut checked = Checked::default();
        for some in components.chunks(GLANCED_AT) {
            hint::black_box(
                some.iter().map(|(_, component)| component.glance()).fold(0, usize::wrapping_add),
            );
            for (slot, component) in some {
                if let Err(reason) = check_component(component) {
                    checked.spoilt.get_or_insert_with(|| (*slot, Misfit::new(&component.id, reason)));
                }
                checked.attached.extend(component.ends().map(|end| (end.clone(), *slot)));
                checked.inside.extend(component.parent.iter().map(|parent| (*slot, parent.clone())));
                checked.hashes.push((self.flow.hash_of(&component.id), *slot));
            }
        }
        checked.components = components;
        checked
    }

    /// Adds components that were looked at.
    pub fn take(&mut self, checked: Checked) {
        let Checked { components, mut hashes, mut inside, attached, spoilt } = checked;
        if let Some(spoilt) = spoilt {
            self.spoilt.get_or_insert(spoilt);
        }
        if let Some(((_, component), (hash, _))) = components.first().zip(hashes.first())
            && self.flow.hash_of(&component.id) != *hash
        {
            // Another assembly looked at them, whose flow hashes ids in its own way.
            for ((_, component), (hash, _)) in components.iter().zip(&mut hashes) {
                *hash = self.flow.hash_of(&component.id);
            }
        }
        for (slot, component) in components {
            let is_free = slot.0 < self.flow.next_slot && self.flow.component_in(slot).is_none();
            if is_free {
                self.flow.occupy_unindexed(slot, component);
            } else {
                let misfit = || Misfit::new(&component.id, Reason::SlotTaken { slot });
                self.spoilt.get_or_insert_with(|| (slot, misfit()));
            }
        }
        for (end, slot) in attached {
            self.flow.attached.entry(end).or_default().insert(slot);
        }
        self.hashes.append(&mut hashes);
        self.inside.append(&mut inside);
    }

    /// The flow.
    ///
    /// # Errors
    /// The slot of a component whose id an earlier slot has, or whose parent does not exist or is inside it, and the
    /// [`Misfit`] that says so: [`Reason::IdTaken`], [`Reason::ParentMissing`] or [`Reason::Cycle`]. The first component that
    /// could not be added, where there is one.
    pub fn finish(self) -> Result<Flow, (Slot, Misfit)> {
        let Self { mut flow, hashes, mut inside, spoilt } = self;
        if let Some(spoilt) = spoilt {
            return Err(spoilt);
        }
        if let Some(slot) = flow.index_all(hashes)
            && let Some(component) = flow.component_in(slot)
        {
            return Err((slot, Misfit::new(&component.id, Reason::IdTaken)));
        }
        inside.sort_unstable_by_key(|(slot, _)| *slot);
        let misfit = |slot: Slot, reason: Reason| {
            let id = flow.component_in(slot).map_or_else(|| "".into(), |component| component.id.clone());
            (slot, Misfit::new(&id, reason))
        };
        // Child and parent, ascending by child.
        let mut links: Vec<(Slot, Slot)> = Vec::with_capacity(inside.len());
        // Siblings stand together, mostly.
        let mut last: Option<(&ComponentId, Slot)> = None;
        for (slot, parent) in &inside {
            let found = match last {
                Some((id, found)) if id == parent => found,
                _ => flow
                    .slot(parent)
                    .ok_or_else(|| misfit(*slot, Reason::ParentMissing { parent: parent.clone() }))?,
            };
            last = Some((parent, found));
            links.push((*slot, found));
        }
        if let Some(slot) = inside_itself(&links) {
            let place = inside.binary_search_by_key(&slot, |(slot, _)| *slot);
            if let Some((_, parent)) = place.ok().and_then(|place| inside.get(place)) {
                return Err(misfit(slot, Reason::Cycle { parent: parent.clone() }));
            }
        }
        links.sort_unstable_by_key(|(child, parent)| (*parent, *child));
        for family in links.chunk_by(|(_, one), (_, other)| one == other) {
            if let Some((_, parent)) = family.first() {
                flow.children.insert(*parent, family.iter().map(|(child, _)| *child).collect());
            }
        }
        Ok(flow)
    }
}

/// A component that is inside itself, by way of its parents. Links of child and parent, ascending by child.
fn inside_itself(links: &[(Slot, Slot)]) -> Option<Slot> {
    // Nearly always each parent is older than its child, and then nothing can be.
    if links.iter().all(|(child, parent)| parent < child) {
        return None;
    }
    let place_of = |slot: Slot| links.binary_search_by_key(&slot, |(child, _)| *child).ok();
    // The walk upwards on which a link was last seen; zero for none.
    let mut seen: Vec<usize> = vec![0; links.len()];
    for start in 0..links.len() {
        let walk = start + 1;
        let mut at = Some(start);
        while let Some(place) = at {
            let (Some(last), Some((child, parent))) = (seen.get_mut(place), links.get(place)) else { break };
            match *last {
                0 => *last = walk,
                same if same == walk => return Some(*child),
                _ => break,
            }
            at = place_of(*parent);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Assembly;
    use crate::{Component, Flow, Operation, Order, Reason, Slot, Value};

    fn assemble(components: Vec<(Slot, Component)>, next: u32) -> Result<Flow, (Slot, Reason)> {
        let mut assembly = Assembly::new(Slot(next));
        for (slot, component) in components {
            assembly.add(slot, Arc::new(component));
        }
        assembly.finish().map_err(|(slot, misfit)| (slot, misfit.reason))
    }

    #[test]
    fn what_another_assembly_looked_at_is_found_by_its_id_too() {
        let part = |slot: u32| (Slot(slot), Arc::new(Component::new(format!("{slot}"), "x")));
        let mut assembly = Assembly::new(Slot(40));
        for first in [0, 20] {
            assembly.take(Assembly::new(Slot(40)).check((first..first + 20).map(part)));
        }
        let flow = assembly.finish().map_err(|(_, misfit)| misfit).unwrap();
        assert!((0..40).all(|slot| flow.slot(&slot.to_string()) == Some(Slot(slot))));
    }

    /// Equal in everything that an operation can meet later.
    fn assert_same(one: &Flow, other: &Flow) {
        assert_eq!(one, other);
        assert_eq!(one.next_slot, other.next_slot);
        assert!(one.iter().all(|(slot, component)| other.slot(&component.id) == Some(slot)));
        assert_eq!(one.children, other.children);
        assert_eq!(one.attached, other.attached);
        assert!(one.iter().all(|(slot, component)| other.component_in(slot) == Some(component)));
    }

    #[test]
    fn any_flow_put_together_in_any_order_is_the_flow_that_adding_gives() {
        let mut flow = Flow::new();
        // Numbers that look like chance and are always the same.
        let mut state = 1_u32;
        let mut below = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        for at in 0..2_000 {
            let mut component = Component::new(format!("{at}"), "x").field("n", at);
            if below(3) == 0 {
                component = component.field("from", Value::Ref(below(2_000).to_string().as_str().into()));
                component = component.field("to", Value::Ref(below(2_000).to_string().as_str().into()));
            }
            flow.apply(&Operation::add(component)).unwrap();
            let parent = Some(below(at + 1).to_string().as_str().into());
            let _may_be_a_cycle_or_missing =
                flow.apply(&Operation::shift(below(at + 1).to_string(), parent, Order::default()));
            let _may_have_children = flow.apply(&Operation::remove(below(at + 1).to_string()));
        }
        let mut added = Flow::with_next_slot(flow.next_slot());
        for operation in flow.to_operations() {
            added.apply(&operation).unwrap();
        }
        let mut components: Vec<_> =
            flow.iter().map(|(slot, component)| (slot, Component::clone(component))).collect();
        for _ in 0..3 {
            let assembled = assemble(components.clone(), flow.next_slot().0).unwrap();
            assert_same(&assembled, &flow);
            assert_same(&assembled, &added);
            components.sort_unstable_by_key(|_| below(1 << 20));
        }
        assert!(flow.len() > 500 && flow.children.len() > 50, "{}", flow.len());
    }

    #[test]
    fn what_is_no_flow_is_refused() {
        let part = |slot: u32, id: &str, parent: Option<&str>| {
            let component = Component::new(id, "x");
            (Slot(slot), parent.map_or(component.clone(), |parent| component.inside(parent)))
        };
        let check = |components: Vec<(Slot, Component)>, slot: u32, reason: Reason| {
            assert_eq!(assemble(components, 9).unwrap_err(), (Slot(slot), reason));
        };
        let cycle = |parent: &str| Reason::Cycle { parent: parent.into() };
        check(vec![part(0, "a", None), part(1, "a", None)], 1, Reason::IdTaken);
        check(vec![part(1, "a", None), part(1, "b", None)], 1, Reason::SlotTaken { slot: Slot(1) });
        check(vec![part(9, "a", None)], 9, Reason::SlotTaken { slot: Slot(9) });
        check(vec![part(0, "", None)], 0, Reason::IdLength { bytes: 0, max: 255 });
        check(vec![part(3, "a", Some("b"))], 3, Reason::ParentMissing { parent: "b".into() });
        check(vec![part(3, "a", Some("a"))], 3, cycle("a"));
        check(vec![part(0, "c", Some("b")), part(3, "a", Some("b")), part(4, "b", Some("a"))], 4, cycle("a"));
    }
}
