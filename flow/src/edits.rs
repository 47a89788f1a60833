//! The edits that turn one value into another.
//!
//! Only what differs is edited: of a list of a thousand wires in which one changed, one element. Where that would take
//! more than replacing the whole, the whole is replaced.

use std::collections::{HashMap, HashSet};

use crate::{Edit, Map, Name, Path, Step, Value};

/// Most single edits of one field before the field is replaced whole.
const EDITS_MAX: usize = 64;
/// Most elements of a list that are taken out or put in one by one before the list is replaced whole.
const SPLICE_MAX: usize = 16;
/// Deepest step into a value; what differs further inside replaces the value at this depth.
const DEPTH_MAX: usize = 32;

/// The edits that turn the fields `before` into `after` when they are made in order, key order included.
pub(crate) fn edits_between(before: &Map, after: &Map) -> Vec<(Path, Edit)> {
    let mut edits = Vec::new();
    let mut whole_fields = Vec::new();
    // The keys of the fields are names of fields, so a path begins with one; what is below is relative to it.
    map_edits(before, after, &mut |key, edit| match edit {
        KeyEdit::Whole(edit) => whole_fields.push((Path::field(key), edit)),
        KeyEdit::Inside(before, after) => {
            let mut inside = Vec::new();
            value_edits(before, after, &mut Vec::new(), &mut inside);
            if inside.len() > EDITS_MAX || inside.iter().any(|(steps, _)| steps.is_empty()) {
                edits.push((Path::field(key), Edit::Put(after.clone())));
            } else {
                edits.extend(
                    inside.into_iter().map(|(steps, edit)| (Path { field: key.clone(), steps }, edit)),
                );
            }
        }
    });
    edits.extend(whole_fields);
    edits
}

/// What becomes of one key of a map.
enum KeyEdit<'v> {
    Whole(Edit),
    Inside(&'v Value, &'v Value),
}

/// Reports, per key, what turns one map into another. `Inside` edits leave places alone, so that they may be made before
/// or after the others; `Whole` edits must be made in the order reported.
fn map_edits<'v>(before: &'v Map, after: &'v Map, report: &mut dyn FnMut(&Name, KeyEdit<'v>)) {
    let places: HashMap<&Name, usize> = after.iter().enumerate().map(|(at, (key, _))| (key, at)).collect();
    let kept: Vec<(&Name, usize)> =
        before.iter().filter_map(|(key, _)| Some((key, *places.get(key)?))).collect();
    let still: HashSet<usize> = longest_ascent(&kept.iter().map(|(_, at)| *at).collect::<Vec<_>>());

    for (key, _) in before.iter() {
        if places.get(key).is_none_or(|at| !still.contains(at)) {
            report(key, KeyEdit::Whole(Edit::Clear));
        }
    }
    for (at, (key, value)) in after.iter().enumerate() {
        if !still.contains(&at) {
            // Everything before this place is final by now, so that the place is right.
            let place = u32::try_from(at).unwrap_or(u32::MAX);
            let last = at >= still.len() && at + 1 == after.len() && still.iter().all(|other| *other < at);
            let edit = if last { Edit::Put(value.clone()) } else { Edit::Place(place, value.clone()) };
            report(key, KeyEdit::Whole(edit));
        } else if let Some(held) = before.get(key)
            && held != value
        {
            report(key, KeyEdit::Inside(held, value));
        }
    }
}

fn value_edits(before: &Value, after: &Value, steps: &mut Vec<Step>, edits: &mut Vec<(Vec<Step>, Edit)>) {
    if edits.len() > EDITS_MAX {
        return;
    }
    let whole = |steps: &[Step], edits: &mut Vec<_>| edits.push((steps.to_vec(), Edit::Put(after.clone())));
    match (before, after) {
        (Value::Map(before), Value::Map(after_map)) if steps.len() < DEPTH_MAX && !after_map.is_empty() => {
            let mut inside = Vec::new();
            map_edits(before, after_map, &mut |key, edit| {
                steps.push(Step::Key(key.clone()));
                match edit {
                    KeyEdit::Whole(edit) => inside.push((steps.clone(), edit)),
                    KeyEdit::Inside(before, after) => value_edits(before, after, steps, edits),
                }
                steps.pop();
            });
            edits.extend(inside);
        }
        (Value::List(before), Value::List(after_list))
            if steps.len() < DEPTH_MAX && !after_list.is_empty() =>
        {
            let head = before.iter().zip(after_list).take_while(|(a, b)| a == b).count();
            let rest = before.len().min(after_list.len()) - head;
            let tail = before
                .iter()
                .rev()
                .zip(after_list.iter().rev())
                .take(rest)
                .take_while(|(a, b)| a == b)
                .count();
            let (old, new) = (before.len() - head - tail, after_list.len() - head - tail);
            let index = |at: usize| Step::Index(u32::try_from(at).unwrap_or(u32::MAX));
            if old == new {
                for (at, (before, after)) in before.iter().zip(after_list).enumerate().skip(head).take(new) {
                    if before != after {
                        steps.push(index(at));
                        value_edits(before, after, steps, edits);
                        steps.pop();
                    }
                }
            } else if old + new <= SPLICE_MAX {
                for at in (head..head + old).rev() {
                    steps.push(index(at));
                    edits.push((steps.clone(), Edit::Clear));
                    steps.pop();
                }
                for (at, value) in after_list.iter().enumerate().skip(head).take(new) {
                    steps.push(index(at));
                    edits.push((steps.clone(), Edit::Place(0, value.clone())));
                    steps.pop();
                }
            } else {
                whole(steps, edits);
            }
        }
        _ => whole(steps, edits),
    }
}

/// The members of a longest strictly ascending subsequence: what need not move.
pub(crate) fn longest_ascent(places: &[usize]) -> HashSet<usize> {
    // Patience sorting: `tops[k]` is the index of the smallest last member of an ascent of length k + 1.
    let mut tops: Vec<usize> = Vec::new();
    let mut below: Vec<Option<usize>> = vec![None; places.len()];
    for (at, place) in places.iter().enumerate() {
        let length = tops.partition_point(|top| places.get(*top).is_some_and(|other| other < place));
        if let Some(slot) = below.get_mut(at) {
            *slot = length.checked_sub(1).and_then(|shorter| tops.get(shorter).copied());
        }
        match tops.get_mut(length) {
            Some(top) => *top = at,
            None => tops.push(at),
        }
    }
    let mut members = HashSet::new();
    let mut at = tops.last().copied();
    while let Some(member) = at {
        members.extend(places.get(member).copied());
        at = below.get(member).copied().flatten();
    }
    members
}

#[cfg(test)]
mod tests {
    use super::{edits_between, longest_ascent};
    use crate::{Component, Flow, Map, Operation, Value};

    fn map(entries: &[(&str, Value)]) -> Map {
        entries.iter().cloned().collect()
    }

    fn check(before: &Map, after: &Map) -> usize {
        let mut component = Component::new("c", "k");
        component.fields = before.clone();
        let mut flow = Flow::new();
        flow.apply(&Operation::add(component)).unwrap();
        let edits = edits_between(before, after);
        for (path, edit) in &edits {
            flow.apply(&Operation::Set { id: "c".into(), path: path.clone(), edit: edit.clone() }).unwrap();
        }
        assert_eq!(flow.component("c").unwrap().fields, *after);
        edits.len()
    }

    #[test]
    fn edits_lead_from_one_map_to_the_other() {
        let base = map(&[("a", 1.into()), ("b", vec![1, 2, 3].into()), ("c", Value::Null)]);
        assert_eq!(check(&base, &base), 0);
        assert_eq!(
            check(&base, &map(&[("a", 2.into()), ("b", vec![1, 2, 3].into()), ("c", Value::Null)])),
            1
        );
        assert_eq!(
            check(&base, &map(&[("c", Value::Null), ("a", 1.into()), ("b", vec![1, 2, 3].into())])),
            2
        );
        assert_eq!(
            check(&base, &map(&[("a", 1.into()), ("b", vec![1, 9, 3].into()), ("c", Value::Null)])),
            1
        );
        assert_eq!(check(&base, &map(&[("a", 1.into()), ("b", vec![3].into()), ("c", Value::Null)])), 2);
        check(&base, &map(&[("z", 1.into()), ("c", 4.into()), ("y", 1.into()), ("a", Value::Null)]));
        check(&base, &Map::new());
        check(&Map::new(), &base);
    }

    #[test]
    fn nested_values_are_edited_where_they_differ() {
        let deep =
            |leaf: i32| Value::Map(map(&[("list", vec![Value::Map(map(&[("leaf", leaf.into())]))].into())]));
        assert_eq!(check(&map(&[("a", deep(1))]), &map(&[("a", deep(2))])), 1);
        let edits = edits_between(&map(&[("a", deep(1))]), &map(&[("a", deep(2))]));
        assert_eq!(edits[0].0.to_string(), "a.list[0].leaf");
    }

    #[test]
    fn an_ascent_is_longest() {
        assert_eq!(longest_ascent(&[3, 0, 1, 2]), [0, 1, 2].into());
        assert_eq!(longest_ascent(&[]), [].into());
    }
}
