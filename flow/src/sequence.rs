//! Which components really stand elsewhere, whatever their order keys say.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::edits::longest_ascent;
use crate::{Component, ComponentId, Flow, WIRE_KIND};

/// Of the components whose order key differs, those that stand elsewhere among the others: a longest run of components
/// that kept their sequence stands still. Two flows that came to the same sequence on different ways have other keys and
/// no such component.
///
/// Wires stand among the wires of their parent, everything else among everything else. O(n log n) where any key differs,
/// nothing otherwise.
pub(crate) fn moved(before: &Flow, after: &Flow, rekeyed: &HashSet<&ComponentId>) -> HashSet<ComponentId> {
    if rekeyed.is_empty() {
        return HashSet::new();
    }
    let row_of = |component: &Component| match &component.parent {
        parent if component.kind == WIRE_KIND => Some(parent.clone()),
        _ => None,
    };
    let wanted: HashSet<_> =
        rekeyed.iter().filter_map(|id| after.component(id)).map(|component| row_of(component)).collect();
    // Those of both flows, row by row, in their sequence before; then where each stands after.
    let mut rows: HashMap<_, Vec<(&Arc<Component>, &Arc<Component>)>> = HashMap::new();
    for (_, new) in after.iter() {
        if let Some(old) = before.component(&new.id) {
            let row = row_of(new);
            if wanted.contains(&row) {
                rows.entry(row).or_default().push((old, new));
            }
        }
    }
    let mut moved = HashSet::new();
    for row in rows.into_values() {
        moved.extend(moved_in_row(row, rekeyed));
    }
    moved
}

fn moved_in_row(
    mut row: Vec<(&Arc<Component>, &Arc<Component>)>,
    rekeyed: &HashSet<&ComponentId>,
) -> HashSet<ComponentId> {
    // What kept its key kept its sequence. Of the rest, only what stands in the same gap between those may stand still.
    let gaps = |row: &[(&Arc<Component>, &Arc<Component>)]| -> HashMap<ComponentId, (usize, usize)> {
        let mut kept = 0;
        let mut gaps = HashMap::new();
        for (place, (old, _)) in row.iter().enumerate() {
            if rekeyed.contains(&old.id) {
                gaps.insert(old.id.clone(), (kept, place));
            } else {
                kept += 1;
            }
        }
        gaps
    };
    row.sort_unstable_by(|(_, a), (_, b)| (&a.order, &a.id).cmp(&(&b.order, &b.id)));
    let after = gaps(&row);
    row.sort_unstable_by(|(a, _), (b, _)| (&a.order, &a.id).cmp(&(&b.order, &b.id)));
    let before = gaps(&row);

    let may_stand: Vec<(usize, &ComponentId)> = row
        .iter()
        .filter_map(|(old, _)| {
            let ((gap_before, _), (gap_after, place)) = (before.get(&old.id)?, after.get(&old.id)?);
            (gap_before == gap_after).then_some((*place, &old.id))
        })
        .collect();
    let still = longest_ascent(&may_stand.iter().map(|(place, _)| *place).collect::<Vec<_>>());
    let standing: HashSet<&ComponentId> =
        may_stand.iter().filter(|(place, _)| still.contains(place)).map(|(_, id)| *id).collect();
    after.keys().filter(|id| !standing.contains(id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use crate::{ChangeKind, Component, Difference, Flow, Operation, Order};

    fn flow(sequence: &[(&str, &[u8])]) -> Flow {
        let mut flow = Flow::new();
        for (id, order) in sequence {
            flow.apply(&Operation::add(Component::new(*id, "x").at(Order::from_bytes(order)))).unwrap();
        }
        flow
    }

    fn check(before: &[(&str, &[u8])], after: &[(&str, &[u8])], moved: &[&str]) {
        let difference = Difference::between(&flow(before), &flow(after));
        assert!(difference.components.iter().all(|c| c.kind() == ChangeKind::Reordered));
        let ids: Vec<&str> = difference.components.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, moved);
    }

    #[test]
    fn what_stands_elsewhere_is_found_and_what_only_has_another_key_is_not() {
        let abc: &[(&str, &[u8])] = &[("a", &[10]), ("b", &[20]), ("c", &[30])];
        check(abc, &[("a", &[11]), ("b", &[21]), ("c", &[31])], &[]);
        check(abc, &[("a", &[10]), ("b", &[25]), ("c", &[30])], &[]);
        check(abc, &[("a", &[10]), ("b", &[5]), ("c", &[30])], &["b"]);
        check(&abc[..2], &[("b", &[5]), ("a", &[10])], &["b"]);
        check(&abc[..2], &[("a", &[30]), ("b", &[20])], &["a"]);
        check(abc, &[("c", &[1]), ("a", &[2]), ("b", &[3])], &["c"]);
    }
}
