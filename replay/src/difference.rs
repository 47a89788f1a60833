//! What differs between two versions whose components are not put together into flows.

use std::collections::HashMap;
use std::sync::Arc;

use flow_history_flow::{ChangeKind, Component, ComponentDifference, ComponentId, Difference};

use crate::Loose;
use crate::both::on_both;
use crate::effects::{PIECES, WHOLE};
use crate::loose::Placed;

/// From how many components on a second thread is worth its start; few where this is tested.
const COMPONENTS_FOR_TWO: usize = if cfg!(test) { 10 } else { 1_000 };

/// Some slots that follow each other, at both versions.
type Span<'l> = (&'l [Placed], &'l [Placed]);

/// A component as it was, and as it is, where it was found by its id.
type Pair<'l> = (Option<&'l Arc<Component>>, Option<&'l Arc<Component>>);

/// What was found in some slots: what differs, what is only there before, what is only there after.
#[derive(Default)]
struct Apart<'l> {
    differ: Vec<ComponentDifference>,
    went: Vec<&'l Arc<Component>>,
    came: Vec<&'l Arc<Component>>,
}

impl Loose {
    /// What changed from this version to another one of the same history, which may be older. A slot is given to one id only, so
    /// that most components are found where they were; a second thread helps. `None` where something has another order key
    /// and nothing else, for only the whole flows tell whether it stands elsewhere, and where an id stands in two slots,
    /// which is no flow.
    #[must_use]
    pub fn difference(&self, after: &Self) -> Option<Difference> {
        let (mut differ, mut went, mut came) = (Vec::new(), HashMap::new(), Vec::new());
        for apart in on_both(spans((self.components(), after.components())), Apart::of) {
            differ.extend(apart.differ);
            for component in apart.went {
                if went.insert(&component.id, component).is_some() {
                    return None;
                }
            }
            came.extend(apart.came);
        }
        // What went and came again under its id has two slots.
        let mut both: Vec<Pair<'_>> = Vec::with_capacity(came.len() + went.len());
        for component in came {
            both.push((went.remove(&component.id), Some(component)));
        }
        both.extend(went.into_values().map(|component| (Some(component), None)));
        both.retain(|(before, after)| before != after);
        let room = both.len() / PIECES + 1;
        let pieces = if both.len() < COMPONENTS_FOR_TWO { both.len().max(1) } else { room };
        let pieces = both.chunks(pieces).collect();
        let both = on_both(pieces, |piece: &[Pair<'_>]| {
            piece.iter().map(|(before, after)| ComponentDifference::of(*before, *after)).collect::<Vec<_>>()
        });
        differ.extend(both.into_iter().flatten());
        let components = by_id(differ)?;
        let is_whole = components.iter().all(|component| component.kind() != ChangeKind::Reordered);
        is_whole.then_some(Difference { components })
    }
}

/// The slots of both versions in parts, of which each has the same slots at both.
fn spans<'l>((mut before, mut after): Span<'l>) -> Vec<Span<'l>> {
    let pieces = if before.len() + after.len() < COMPONENTS_FOR_TWO { WHOLE } else { PIECES };
    let room = (before.len() / pieces).max(1);
    let mut spans = Vec::with_capacity(pieces + 1);
    while let Some((end, _)) = before.get(room) {
        let (of_before, behind) = before.split_at(room);
        let (of_after, rest) = after.split_at(after.partition_point(|(slot, _)| slot < end));
        spans.push((of_before, of_after));
        (before, after) = (behind, rest);
    }
    spans.push((before, after));
    spans
}

impl<'l> Apart<'l> {
    fn of((before, after): Span<'l>) -> Self {
        let mut apart = Self::default();
        let mut before = before.iter().peekable();
        for (slot, new) in after {
            while let Some((_, old)) = before.next_if(|(other, _)| other < slot) {
                apart.went.push(old);
            }
            match before.next_if(|(other, _)| other == slot) {
                Some((_, old)) if Arc::ptr_eq(old, new) => {}
                Some((_, old)) if old.id == new.id => {
                    // Comparing them first would compare most fields twice.
                    let of_both = ComponentDifference::of(Some(old), Some(new));
                    if !of_both.fields.is_empty() || old != new {
                        apart.differ.push(of_both);
                    }
                }
                old => {
                    apart.went.extend(old.map(|(_, old)| old));
                    apart.came.push(new);
                }
            }
        }
        apart.went.extend(before.map(|(_, old)| old));
        apart
    }
}

/// In order of ids; `None` where one comes twice.
fn by_id(components: Vec<ComponentDifference>) -> Option<Vec<ComponentDifference>> {
    // Most ids differ in their first bytes, which are compared as one number, side by side.
    let mut keys: Vec<(u64, usize)> =
        components.iter().enumerate().map(|(place, component)| (front(&component.id), place)).collect();
    let id = |place: usize| components.get(place).map(|component| &component.id);
    keys.sort_unstable_by(|(one, at), (other, place)| one.cmp(other).then_with(|| id(*at).cmp(&id(*place))));
    if keys.windows(2).any(|pair| matches!(pair, [(a, at), (b, place)] if a == b && id(*at) == id(*place))) {
        return None;
    }
    let mut components: Vec<Option<ComponentDifference>> = components.into_iter().map(Some).collect();
    Some(keys.into_iter().filter_map(|(_, place)| components.get_mut(place)?.take()).collect())
}

/// The first bytes of an id, so that numbers compare as ids do where they differ.
fn front(id: &ComponentId) -> u64 {
    let mut front = [0; 8];
    front.iter_mut().zip(id.as_str().bytes()).for_each(|(byte, of_id)| *byte = of_id);
    u64::from_be_bytes(front)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_history_flow::{ChangeKind, Component, Difference, Order, Slot};

    use crate::{Loose, Placed, Seq};

    fn loose(components: Vec<Placed>) -> Loose {
        Loose::new(Seq(1), components, Slot(10_000), Vec::new())
    }

    /// Of random versions, of a few components and of many: ids that share their first bytes, that came again in another slot,
    /// fields in another order.
    #[test]
    fn the_difference_of_loose_components_is_that_of_the_flows() {
        let mut state = 7_u32;
        let mut below = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        let (mut whole, mut reordered) = (0, 0);
        for round in 0..400 {
            let slots = [1, 4, 30, 300][round % 4];
            let id = |slot: u32| format!("{}component-{slot}", if slot.is_multiple_of(3) { "" } else { "x" });
            let made = |slot: u32, rate: u32| {
                Component::new(id(slot), "x").field("rate", rate.to_string()).field("name", "n")
            };
            let before: Vec<Placed> =
                (0..slots).map(|slot| (Slot(slot), Arc::new(made(slot, below(2))))).collect();
            let (mut after, mut again) = (Vec::new(), Vec::new());
            for (slot, component) in &before {
                match below(8) {
                    0 => {}
                    1 => again.push(made(slot.0, below(2))),
                    2 => after.push((*slot, Arc::new(made(slot.0, below(3))))),
                    3 => after.push((*slot, Arc::new(Component::new(id(slot.0), "y")))),
                    4 if below(20) == 0 => {
                        let elsewhere =
                            made(slot.0, 0).at(Order::from_bytes(&[7, u8::try_from(slot.0 % 200).unwrap()]));
                        after.push((*slot, Arc::new(elsewhere)));
                    }
                    5 => {
                        let turned = Component::new(id(slot.0), "x").field("name", "n");
                        after.push((*slot, Arc::new(turned.field("rate", below(2).to_string()))));
                    }
                    _ => after.push((*slot, Arc::clone(component))),
                }
            }
            again.extend((0..below(slots)).map(|slot| made(slots + slot, 0)));
            after.extend((slots..).map(Slot).zip(again.into_iter().map(Arc::new)));
            let (before, after) = (loose(before), loose(after));
            let flows = [&before, &after].map(|loose| loose.clone().into_folded().unwrap());
            for (one, other, [old, new]) in [(&before, &after, [0, 1]), (&after, &before, [1, 0])] {
                let expected = Difference::between(flows[old].flow(), flows[new].flow());
                match one.difference(other) {
                    Some(found) => {
                        assert_eq!(found, expected, "{round}");
                        whole += 1;
                    }
                    None => reordered += 1,
                }
                let is_told = !expected.components.iter().any(|of| of.kind() == ChangeKind::Reordered);
                assert!(is_told || one.difference(other).is_none(), "{round}");
            }
        }
        assert!(whole > 300 && reordered > 50, "{whole} told, {reordered} not");
    }

    #[test]
    fn where_an_id_stands_in_two_slots_nothing_is_told() {
        let at = |slot: u32, rate: u32| {
            (Slot(slot), Arc::new(Component::new("a", "x").field("rate", rate.to_string())))
        };
        let (once, twice) = (loose(vec![at(1, 1)]), loose(vec![at(1, 2), at(4, 3)]));
        assert_eq!(once.difference(&twice), None);
        assert_eq!(twice.difference(&once), None);
        assert_eq!(loose(Vec::new()).difference(&twice), None);
        assert_eq!(twice.difference(&loose(Vec::new())), None);
        assert!(once.difference(&once).is_some_and(|difference| difference.is_empty()));
    }
}
