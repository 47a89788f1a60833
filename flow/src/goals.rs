//! From a flow to one in which some components are as wanted, and everything else as it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::edits::edits_between;
use crate::{Component, ComponentId, Flow, Operation, Slot};

/// What some components are to become, by id. Whatever is not named stays.
pub(crate) type Goals = BTreeMap<ComponentId, Goal>;

/// What a component is to become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Goal {
    /// All of it; `None` where it is to go.
    pub(crate) component: Option<Arc<Component>>,
    /// The slot that it had, where it is to come back.
    pub(crate) slot: Option<Slot>,
}

impl Goal {
    /// As it is in a flow, or is not.
    pub(crate) fn as_in(flow: &Flow, id: &str) -> Self {
        Self { component: flow.component(id).cloned(), slot: flow.slot(id) }
    }

    /// As this.
    pub(crate) fn is(component: Component) -> Self {
        Self { component: Some(Arc::new(component)), slot: None }
    }

    /// Gone.
    pub(crate) fn gone() -> Self {
        Self { component: None, slot: None }
    }
}

/// The component of this id once the goals are reached.
pub(crate) fn outcome<'f>(now: &'f Flow, goals: &'f Goals, id: &str) -> Option<&'f Arc<Component>> {
    match goals.get(id) {
        Some(goal) => goal.component.as_ref(),
        None => now.component(id),
    }
}

/// The number of components around one, once the goals are reached.
fn depth(now: &Flow, goals: &Goals, component: &Component) -> usize {
    let mut depth = 0;
    let mut at = component.parent.as_ref();
    while let Some(parent) = at.and_then(|id| outcome(now, goals, id)) {
        depth += 1;
        at = parent.parent.as_ref();
        if depth > now.len() + goals.len() {
            break;
        }
    }
    depth
}

/// The operations that reach the goals, in an order in which each fits: children leave what goes, inner ones go before
/// outer ones, parents come before their children. Costs the number of goals, whatever the flow.
///
/// What the goals must see to themselves: parents exist, nothing stays inside what goes, nothing is inside itself.
pub(crate) fn reach(now: &Flow, goals: &Goals) -> Vec<Operation> {
    let mut goes: Vec<&Arc<Component>> = Vec::new();
    let mut comes: Vec<(&Arc<Component>, Option<Slot>)> = Vec::new();
    let mut stays: Vec<(&Arc<Component>, &Arc<Component>)> = Vec::new();
    for (id, goal) in goals {
        match (now.component(id), &goal.component) {
            (Some(held), None) => goes.push(held),
            (None, Some(wanted)) => comes.push((wanted, goal.slot)),
            // A component of another kind is another component.
            (Some(held), Some(wanted)) if held.kind != wanted.kind => {
                goes.push(held);
                comes.push((wanted, goal.slot));
            }
            (Some(held), Some(wanted)) => stays.push((held, wanted)),
            (None, None) => {}
        }
    }
    // Wires, which only dangle, go with the rest: by depth, so that whatever is inside goes first.
    goes.sort_by_cached_key(|c| Reverse((now.depth(c), c.order.clone(), c.id.clone())));
    comes.sort_by_cached_key(|(c, _)| (depth(now, goals, c), c.order.clone(), c.id.clone()));
    stays.sort_by_cached_key(|(_, c)| (depth(now, goals, c), c.order.clone(), c.id.clone()));

    let mut operations = Vec::new();
    let going: HashSet<&ComponentId> = goes.iter().map(|c| &c.id).collect();
    let mut moves: Vec<(usize, Arc<Component>)> = Vec::new();
    let mut outside: HashSet<ComponentId> = HashSet::new();
    for parent in &goes {
        for child in now.children(&parent.id).iter().filter(|child| !going.contains(&child.id)) {
            operations.push(Operation::shift(&child.id, None, child.order.clone()));
            outside.insert(child.id.clone());
            if !goals.contains_key(&child.id) {
                moves.push((depth(now, goals, child), Arc::clone(child)));
            }
        }
    }
    operations.extend(goes.iter().map(|c| Operation::remove(&c.id)));
    let mut given = HashSet::new();
    for (component, slot) in comes {
        let free = |slot: &Slot| *slot < now.next_slot() && now.component_in(*slot).is_none();
        let slot = slot.filter(free).filter(|slot| given.insert(*slot));
        operations.push(Operation::Add { component: Arc::clone(component), slot });
    }
    for (held, wanted) in &stays {
        let parent = if outside.contains(&held.id) { None } else { held.parent.as_ref() };
        if parent != wanted.parent.as_ref() || held.order != wanted.order {
            moves.push((depth(now, goals, wanted), Arc::clone(wanted)));
        }
    }
    // Outer ones first: the new parent already stands where it will stay, so that no move closes a cycle.
    moves.sort_by(|(a_depth, a), (b_depth, b)| (a_depth, &a.order, &a.id).cmp(&(b_depth, &b.order, &b.id)));
    operations.extend(moves.iter().map(|(_, c)| Operation::shift(&c.id, c.parent.clone(), c.order.clone())));
    for (held, wanted) in stays {
        let edits = edits_between(&held.fields, &wanted.fields).into_iter();
        operations.extend(edits.map(|(path, edit)| Operation::Set { id: wanted.id.clone(), path, edit }));
    }
    operations
}

/// The operations that make these components of `now` as they are in `then`, and leave all others alone. What comes back
/// gets its old slot, where that is free.
///
/// Components are made so even where that removes what contains others: those must be named too.
#[must_use]
pub fn operations_among<'i>(
    now: &Flow,
    then: &Flow,
    ids: impl IntoIterator<Item = &'i ComponentId>,
) -> Vec<Operation> {
    let goals = ids.into_iter().map(|id| (id.clone(), Goal::as_in(then, id))).collect();
    reach(now, &goals)
}
