//! The operations that take entries back from the flow as it is now, and what is in the way.

use std::collections::HashSet;
use std::sync::Arc;

use flow_history_flow::{
    Component, ComponentId, Conflict, Edit, Flow, Merged, Name, Operation, Slot, Step, Terms, merge_among,
};
use flow_history_replay::{Link, Seq};

use super::entries::{Entries, Known};
use super::gone::Gone;
use crate::Error;

/// Operations of which each is compared with all others.
const FEW: usize = 16;

/// What taking something back, or restoring it, comes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Taking {
    pub(super) operations: Vec<Operation>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) dependents: Vec<ComponentId>,
}

impl Taking {
    pub(super) fn add(&mut self, merged: Merged) {
        self.operations.extend(merged.operations);
        self.conflicts.extend(merged.conflicts);
        self.dependents.extend(merged.dependents);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.conflicts.is_empty()
    }
}

/// The operations that take these entries, the newest first, back from a flow. Costs their size, and where others came
/// after them the way to the flow that they met.
pub(super) fn take_back(
    units: &[Arc<Known>],
    (head, now): (Seq, &Flow),
    (terms, gone): (&Terms, &Gone),
    entries: &mut Entries,
) -> Result<Taking, Error> {
    let mut taking = Taking::default();
    let mut flow = now.clone();
    let mut newest = Some(head);
    let free = terms.left_out.is_empty() && terms.renamed.is_empty();
    for (at, unit) in units.iter().enumerate() {
        let nothing_since = newest == Some(unit.seq());
        newest = newest.filter(|_| nothing_since).and_then(Seq::previous);
        let concerned = gone.concerns(unit);
        // Of the last one nobody asks what flow it leaves; to put that together costs more than all the rest.
        let is_last = at + 1 == units.len();
        let fits = || nothing_since || is_as_set(unit, &flow) || comes_back_whole(unit, &flow);
        if is_last && free && !concerned && fits() {
            taking.operations.extend(unit.inverses.iter().cloned());
            break;
        }
        let whole = match free && !concerned {
            false => None,
            true if nothing_since => {
                let mut then = flow.clone();
                then.apply_all(unit.inverses.iter())?;
                Some(then)
            }
            // However the unit was read, so that the same is planned from memory and from the log.
            true => unchanged_since(unit, &flow),
        };
        if let Some(then) = whole {
            flow = then;
            taking.operations.extend(unit.inverses.iter().cloned());
            continue;
        }
        let (then, left) = entries.around(unit.seq())?;
        let ids = || unit.operations().iter().map(Operation::id);
        let without = |flow: &Flow| gone.out_of(flow, ids());
        let (before, after, now) = (without(&then)?, without(&left)?, without(&flow)?);
        let exactly = free && taken_exactly(unit, (&before, &after), &now).is_some();
        if exactly && !concerned {
            flow.apply_all(unit.inverses.iter())?;
            taking.operations.extend(unit.inverses.iter().cloned());
            continue;
        }
        let mut merged = merge_among(&after, &before, &now, ids(), terms);
        let is_back = |flow: &Flow, operations: &[Operation]| {
            let mut flow = flow.clone();
            flow.apply_all(operations).is_ok() && ids().all(|id| flow.slot(id) == before.slot(id))
        };
        if exactly && !is_back(&flow, &merged.operations) {
            // A component that was removed and added again in one change is another one. A merge goes by ids.
            let mut inverses = unit.inverses.to_vec();
            gone.leave_out(&mut inverses, &then, terms);
            if is_back(&flow, &inverses) {
                merged.operations = inverses;
            }
        }
        if !gone.is_empty() {
            taking.conflicts.extend(gone.leave_out(&mut merged.operations, &then, terms));
        }
        flow.apply_all(&merged.operations)?;
        taking.add(merged);
    }
    Ok(taking)
}

/// Whether a unit that gave a few fields values is taken back from this flow by its inverse as it is: whoever takes it back
/// and does it again is where they were. Looks at the components alone. `false` says nothing yet.
fn is_as_set(unit: &Known, now: &Flow) -> bool {
    let operations = unit.operations();
    let whole_field = |operation: &Operation| match operation {
        Operation::Set { path, edit, .. } => {
            path.steps.is_empty() && matches!(edit, Edit::Put(_) | Edit::Clear)
        }
        _ => false,
    };
    if operations.len() > FEW || !operations.iter().chain(&*unit.inverses).all(whole_field) {
        return false;
    }
    operations.iter().map(Operation::id).zip(&*unit.touched).all(|(id, touched)| {
        let Some(held) = now.component(id) else { return false };
        // What has the id by now may be another component, of another kind perhaps: a later one, or an older one that was
        // brought back.
        if now.standing(id) != *touched {
            return false;
        }
        let mut of_it = unit.inverses.iter().chain(operations).filter(|operation| operation.id() == id);
        let again = of_it.try_fold(Some(Arc::clone(held)), |held, operation| operation.apply_alone(held));
        again.is_ok_and(|again| again.as_ref() == Some(held))
    })
}

/// Whether a unit that only removed components is taken back from this flow by its inverse as it is: all of them are still
/// away, and what contains them and what wires lead to is there, or comes with them. `false` says nothing yet.
fn comes_back_whole(unit: &Known, now: &Flow) -> bool {
    if !unit.only_removes() {
        return false;
    }
    let before = unit.around.as_ref().map(|around| &around.before);
    let there = |id: &ComponentId| now.slot(id).is_some();
    let mut come = HashSet::with_capacity(unit.inverses.len());
    let mut slots = Vec::with_capacity(unit.inverses.len());
    let comes = unit.inverses.iter().all(|inverse| {
        let Operation::Add { component, slot: Some(slot) } = inverse else { return false };
        slots.push(*slot);
        let parent = component.parent.as_ref();
        !there(&component.id)
            && *slot < now.next_slot()
            && now.component_in(*slot).is_none()
            && parent.is_none_or(|parent| come.contains(parent) || there(parent))
            && come.insert(&component.id)
    });
    let stands = |end: &ComponentId| {
        come.contains(end) || there(end) || before.is_some_and(|before| before.slot(end).is_none())
    };
    slots.sort_unstable();
    slots.dedup();
    comes
        && slots.len() == unit.inverses.len()
        && unit.inverses.iter().all(|inverse| match inverse {
            Operation::Add { component, .. } => component.ends().all(stands),
            _ => false,
        })
}

/// The flow without a unit, where everything that it touched is as it left it, and nobody came to depend on it.
fn taken_exactly(unit: &Known, (before, after): (&Flow, &Flow), now: &Flow) -> Option<Flow> {
    let same = |id: &ComponentId| now.component(id) == after.component(id) && now.slot(id) == after.slot(id);
    if !unit.operations().iter().all(|operation| same(operation.id())) {
        return None;
    }
    let mut flow = now.clone();
    flow.apply_all(unit.inverses.iter()).ok()?;
    is_whole(unit, &flow, Some(before)).then_some(flow)
}

/// The flow without a unit, where it can be taken back by its inverse as it is: whoever takes it back and does it again is
/// where they were, and nobody came to depend on it. `None` says nothing yet.
fn unchanged_since(unit: &Known, now: &Flow) -> Option<Flow> {
    // In a list somebody else's element may stand where the unit's stood, and be as good as its own.
    let in_list = |operation: &Operation| match operation {
        Operation::Set { path, .. } => path.steps.iter().any(|step| matches!(step, Step::Index(_))),
        _ => false,
    };
    // What has the id by now may be another component, of another kind perhaps.
    let is_another = |(operation, touched): (&Operation, &Option<(Slot, Name)>)| {
        let standing = now.standing(operation.id());
        standing.is_some() && standing != *touched
    };
    if unit.operations().iter().any(in_list) || unit.operations().iter().zip(&*unit.touched).any(is_another) {
        return None;
    }
    let mut without = now.clone();
    without.apply_all(unit.inverses.iter()).ok()?;
    if !is_whole(unit, &without, None) {
        return None;
    }
    let mut flow = without.clone();
    flow.apply_all(unit.operations()).ok()?;
    let same = unit.operations().iter().all(|operation| {
        let id = operation.id();
        now.component(id) == flow.component(id) && now.slot(id) == flow.slot(id)
    });
    same.then_some(without)
}

/// Whether no wire is left behind by what goes, and every wire that comes back leads from something to something; but for
/// those that led nowhere before the unit already, where that is known.
fn is_whole(unit: &Known, then: &Flow, before: Option<&Flow>) -> bool {
    let led_nowhere = |end: &ComponentId| before.is_some_and(|before| before.component(end).is_none());
    let was_loose = |wire: &Component, end: &ComponentId| {
        let wire = before.and_then(|before| before.component(&wire.id));
        wire.is_some_and(|wire| wire.ends().any(|other| other == end))
    };
    unit.inverses.iter().all(|inverse| match inverse {
        Operation::Remove { id } => then.attached(id).all(|wire| was_loose(wire, id)),
        Operation::Add { component, .. } => {
            component.ends().all(|end| then.component(end).is_some() || led_nowhere(end))
        }
        _ => true,
    })
}

/// The links that say which new slots hold components that had another id before.
pub(super) fn same_components(operations: &[Operation], now: &Flow, then: &Flow, terms: &Terms) -> Vec<Link> {
    let mut next = now.next_slot().0;
    let mut links = Vec::new();
    for operation in operations {
        let Operation::Add { component, slot: None } = operation else { continue };
        let new = Slot(next);
        next += 1;
        let old = terms.renamed.iter().find(|(_, other)| **other == component.id);
        if let Some(old) = old.and_then(|(id, _)| then.slot(id)) {
            links.push(Link::SameComponent { old, new });
        }
    }
    links
}
