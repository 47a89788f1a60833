//! The operations that turn one flow into another.

use std::collections::HashSet;
use std::sync::Arc;

use crate::edits::edits_between;
use crate::{Component, ComponentId, Flow, Operation};

/// The operations that make `after` of `before` when they are applied in order; none where the two are equal.
///
/// Components are matched by id; one whose kind differs is removed and added. Slots of `after` are not carried over:
/// whatever is added takes a new one. O(n).
#[must_use]
pub fn operations_between(before: &Flow, after: &Flow) -> Vec<Operation> {
    let goes =
        |component: &Component| after.component(&component.id).is_none_or(|kept| kept.kind != component.kind);
    let comes = |component: &Component| {
        before.component(&component.id).is_none_or(|kept| kept.kind != component.kind)
    };

    let mut removed: Vec<&Arc<Component>> = before.iter().map(|(_, c)| c).filter(|c| goes(c)).collect();
    let mut added: Vec<&Arc<Component>> = after.iter().map(|(_, c)| c).filter(|c| comes(c)).collect();
    let mut kept: Vec<(&Arc<Component>, &Arc<Component>)> = after
        .iter()
        .filter_map(|(_, c)| Some((before.component(&c.id)?, c)))
        .filter(|(old, new)| !Arc::ptr_eq(old, new) && old.kind == new.kind && old != new)
        .collect();
    // Children go before their parents and come after them; ids make the order the same on every machine.
    removed.sort_by_cached_key(|c| (std::cmp::Reverse(before.depth(c)), c.order.clone(), c.id.clone()));
    added.sort_by_cached_key(|c| (after.depth(c), c.order.clone(), c.id.clone()));
    kept.sort_by_cached_key(|(_, c)| (after.depth(c), c.order.clone(), c.id.clone()));

    let mut operations = Vec::new();
    // What stays must leave a parent that goes before it goes.
    let going: HashSet<&ComponentId> = removed.iter().map(|c| &c.id).collect();
    let mut outside: HashSet<&ComponentId> = HashSet::new();
    if !going.is_empty() {
        for (_, old) in before.iter() {
            if old.parent.as_ref().is_some_and(|parent| going.contains(parent)) && !going.contains(&old.id) {
                operations.push(Operation::shift(&old.id, None, old.order.clone()));
                outside.insert(&old.id);
            }
        }
        operations.sort_by(|a, b| a.id().cmp(b.id()));
    }
    operations.extend(removed.iter().map(|c| Operation::remove(&c.id)));
    operations.extend(added.iter().map(|c| Operation::Add { component: Arc::clone(c), slot: None }));

    // Those detached above come back even where nothing else about them differs.
    let mut moves: Vec<(usize, &Arc<Component>)> = Vec::new();
    for (_, new) in after.iter().filter(|(_, c)| !comes(c)) {
        let Some(old) = before.component(&new.id) else { continue };
        let current_parent = if outside.contains(&new.id) { None } else { old.parent.as_ref() };
        if current_parent != new.parent.as_ref() || old.order != new.order {
            moves.push((after.depth(new), new));
        }
    }
    // By depth in `after`: the new parent already stands where it will stay, so that no move closes a cycle.
    moves.sort_by(|(a_depth, a), (b_depth, b)| (a_depth, &a.order, &a.id).cmp(&(b_depth, &b.order, &b.id)));
    operations.extend(moves.iter().map(|(_, c)| Operation::shift(&c.id, c.parent.clone(), c.order.clone())));

    for (old, new) in kept {
        operations.extend(
            edits_between(&old.fields, &new.fields).into_iter().map(|(path, edit)| Operation::Set {
                id: new.id.clone(),
                path,
                edit,
            }),
        );
    }
    operations
}
