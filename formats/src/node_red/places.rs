//! Order keys that stay: as few components as possible move when an order changes.

use std::collections::HashSet;

use flow_history_flow::{ComponentId, Order};

/// A key longer than this has seen hundreds of insertions at one spot; then all get new ones. Below the limit of the
/// model by a margin that leaves room for moves in between.
const KEY_BYTES_MAX: usize = 255;

/// Order keys for components in this sequence, given the key that each had before.
///
/// A longest run of those that still stand in their old order keeps its keys.
pub(crate) fn places(sequence: &[(&ComponentId, Option<&Order>)]) -> Vec<Order> {
    let held: Vec<(usize, (&Order, &ComponentId))> =
        sequence.iter().enumerate().filter_map(|(at, (id, order))| Some((at, ((*order)?, *id)))).collect();
    let kept: HashSet<usize> = longest_ascent(&held);

    let mut keys: Vec<Order> = Vec::with_capacity(sequence.len());
    let mut missing = 0;
    for (at, (_, order)) in sequence.iter().enumerate() {
        match order {
            Some(order) if kept.contains(&at) => {
                fill(&mut keys, missing, Some(order));
                missing = 0;
                keys.push((*order).clone());
            }
            _ => missing += 1,
        }
    }
    fill(&mut keys, missing, None);

    // Between two equal keys, or a key and the same key with zeros behind it, nothing fits.
    let placed = || sequence.iter().map(|(id, _)| *id).zip(&keys);
    let ascends = placed().zip(placed().skip(1)).all(|((low, a), (high, b))| (a, low) < (b, high));
    let short = keys.iter().all(|key| key.as_bytes().len() <= KEY_BYTES_MAX);
    if ascends && short { keys } else { Order::spread(None, None, sequence.len()) }
}

/// Appends so many keys between the last one and the next.
fn fill(keys: &mut Vec<Order>, count: usize, next: Option<&Order>) {
    if count == 0 {
        return;
    }
    let last = keys.last().cloned();
    match (last, next) {
        (Some(mut key), None) => {
            for _ in 0..count {
                key = key.after();
                keys.push(key.clone());
            }
        }
        (None, Some(next)) => {
            let mut key = next.clone();
            for _ in 0..count {
                key = key.before();
                keys.push(key.clone());
            }
            keys.reverse();
        }
        (last, next) => keys.extend(Order::spread(last.as_ref(), next, count)),
    }
}

/// The places of a longest strictly ascending subsequence, by patience sorting.
fn longest_ascent<K: Ord>(sequence: &[(usize, K)]) -> HashSet<usize> {
    // `tops[k]` is the index of the smallest last member of an ascent of length k + 1.
    let mut tops: Vec<usize> = Vec::new();
    let mut below: Vec<Option<usize>> = Vec::with_capacity(sequence.len());
    for (index, (_, key)) in sequence.iter().enumerate() {
        let length = tops.partition_point(|top| sequence.get(*top).is_some_and(|(_, other)| other < key));
        below.push(length.checked_sub(1).and_then(|shorter| tops.get(shorter).copied()));
        match tops.get_mut(length) {
            Some(top) => *top = index,
            None => tops.push(index),
        }
    }
    let mut members = HashSet::new();
    let mut next = tops.last().copied();
    while let Some(index) = next {
        members.extend(sequence.get(index).map(|(at, _)| *at));
        next = below.get(index).copied().flatten();
    }
    members
}

#[cfg(test)]
mod tests {
    use flow_history_flow::{ComponentId, Order};

    use super::places;

    /// Gives `after` places, those of `before` being known; returns how many of these changed.
    fn moved(before: &[(&str, Order)], after: &[&str]) -> (usize, Vec<(String, Order)>) {
        let held = |id: &str| before.iter().find(|(other, _)| *other == id).map(|(_, order)| order);
        let ids: Vec<ComponentId> = after.iter().map(|id| (*id).into()).collect();
        let sequence: Vec<_> = ids.iter().map(|id| (id, held(id))).collect();
        let keys = places(&sequence);
        assert!(
            keys.windows(2).zip(after.windows(2)).all(|(k, id)| (&k[0], id[0]) < (&k[1], id[1])),
            "{keys:?}"
        );
        let moved =
            keys.iter().zip(after).filter(|(key, id)| held(id).is_some_and(|held| held != *key)).count();
        (moved, after.iter().map(|id| (*id).to_owned()).zip(keys).collect())
    }

    #[test]
    fn as_few_as_possible_move() {
        let (_, held) = moved(&[], &["a", "b", "c", "d", "e"]);
        let held: Vec<(&str, Order)> = held.iter().map(|(id, order)| (id.as_str(), order.clone())).collect();
        assert_eq!(moved(&held, &["a", "b", "c", "d", "e"]).0, 0);
        assert_eq!(moved(&held, &["e", "a", "b", "c", "d"]).0, 1);
        assert_eq!(moved(&held, &["a", "x", "b", "e", "y", "z"]).0, 0);
        assert_eq!(moved(&held, &["e", "d", "c", "b", "a"]).0, 4);
    }

    #[test]
    fn equal_keys_stay_until_something_must_stand_between_them() {
        let held = ["a", "b", "c"].map(|id| (id, Order::default()));
        assert_eq!(moved(&held, &["a", "b", "c"]).0, 0);
        moved(&held, &["a", "x", "b", "c"]);
        moved(&held, &["c", "b", "a"]);
    }

    /// Adds elements one by one, keeping only those near the spot, and returns the length of the longest key.
    fn longest_key(rounds: usize, add: impl Fn(&mut Vec<String>, String)) -> usize {
        let mut held: Vec<(String, Order)> = vec![("first".to_owned(), Order::between(None, None))];
        let mut longest = 0;
        for round in 0..rounds {
            let mut ids: Vec<String> = held.iter().map(|(id, _)| id.clone()).collect();
            add(&mut ids, format!("{round}"));
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let before: Vec<(&str, Order)> =
                held.iter().map(|(id, order)| (id.as_str(), order.clone())).collect();
            held = moved(&before, &ids).1;
            longest = longest.max(held.iter().map(|(_, order)| order.as_bytes().len()).max().unwrap_or(0));
        }
        longest
    }

    #[test]
    fn keys_stay_short_wherever_elements_are_added() {
        let at_the_end = longest_key(2_000, |ids, id| {
            ids.push(id);
            ids.drain(..ids.len().saturating_sub(3));
        });
        let at_the_start = longest_key(2_000, |ids, id| {
            ids.insert(0, id);
            ids.truncate(3);
        });
        let in_between = longest_key(3_000, |ids, id| {
            ids.insert(1.min(ids.len()), id);
            ids.truncate(3);
        });
        assert!(at_the_end <= 4 && at_the_start <= 4, "{at_the_end} {at_the_start}");
        assert!(in_between <= 255, "{in_between}");
    }
}
