//! What goes with a component that is removed.

use std::collections::HashSet;

use crate::{ComponentId, Flow, Operation};

/// The operations that remove a component, everything inside it and every wire attached to any of these, in an order
/// whose reverse is their undo: wires first, then children before parents.
///
/// Empty where there is no such component. Costs the size of what is removed, whatever the flow.
#[must_use]
pub fn removal_of(flow: &Flow, id: &str) -> Vec<Operation> {
    let mut subtree = Vec::new();
    let mut pending: Vec<ComponentId> =
        flow.component(id).map(|component| component.id.clone()).into_iter().collect();
    while let Some(id) = pending.pop() {
        pending.extend(flow.children(&id).into_iter().rev().map(|child| child.id.clone()));
        subtree.push(id);
    }

    let inside: HashSet<&ComponentId> = subtree.iter().collect();
    let mut wires = Vec::new();
    let mut seen = HashSet::new();
    for id in &subtree {
        for wire in flow.attached(id) {
            if !inside.contains(&wire.id) && seen.insert(wire.id.clone()) {
                // A wire may contain something too, a label for instance; what is inside the subtree goes with that.
                wires.push(wire.id.clone());
            }
        }
    }

    let mut order = Vec::new();
    for wire in wires {
        let mut pending = vec![wire];
        let from = order.len();
        while let Some(id) = pending.pop() {
            pending.extend(flow.children(&id).into_iter().map(|child| child.id.clone()));
            order.push(id);
        }
        if let Some(wire_and_inside) = order.get_mut(from..) {
            wire_and_inside.reverse();
        }
    }
    order.extend(subtree.into_iter().rev());
    let mut removed = HashSet::new();
    order.into_iter().filter(|id| removed.insert(id.clone())).map(Operation::remove).collect()
}

#[cfg(test)]
mod tests {
    use super::removal_of;
    use crate::{Component, Flow, Operation, Value};

    #[test]
    fn a_group_goes_with_its_subtree_and_wires_and_comes_back_whole() {
        let mut flow = Flow::new();
        let wire = |id: &str, from: &str, to: &str| {
            let ends = Component::new(id, "wire").field("from", Value::Ref(from.into()));
            Operation::add(ends.field("to", Value::Ref(to.into())))
        };
        let change = [
            Operation::add(Component::new("outer", "group")),
            Operation::add(Component::new("inner", "group").inside("outer")),
            Operation::add(Component::new("pump", "processor").inside("inner")),
            Operation::add(Component::new("policy", "policy").inside("pump")),
            Operation::add(Component::new("tank", "processor")),
            wire("in", "tank", "pump"),
            wire("other", "tank", "tank"),
        ];
        flow.apply_all(&change).unwrap();
        let before = flow.clone();

        let removal = removal_of(&flow, "outer");
        let back = flow.apply_all(&removal).unwrap();
        let mut left: Vec<_> = flow.iter().map(|(_, component)| component.id.to_string()).collect();
        left.sort();
        assert_eq!(left, ["other", "tank"]);
        flow.apply_all(&back).unwrap();
        assert_eq!(flow, before);
        assert_eq!(removal_of(&flow, "nobody"), []);
    }
}
