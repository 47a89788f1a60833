//! One long text as an edit of another.
//!
//! A text of hundreds of kilobytes in which a line changed is told by that line: which bytes stay, which go and what
//! comes in their place, with a hash of the result, so that an edit made of another text than this is noticed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::edits::longest_ascent;
use crate::{Edit, Flow, Map, Operation, Path, Step, Text, Value};

/// Texts shorter than this are told whole.
pub const SPLICED_BYTES_MIN: usize = 256;
/// Middles shorter than this are replaced in one piece rather than compared line by line.
const LINES_FROM_BYTES: usize = 64;
/// Most pieces of one edit; a text that changed in more places is told whole.
pub const SPLICES_MAX: usize = 1_024;

/// What turns one text into another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Splices {
    /// The pieces, in the order of their places.
    pub pieces: Vec<Splice>,
    /// The first bytes of the BLAKE3 of the text that comes out.
    pub result: [u8; 8],
}

/// One piece that is taken out and what is put in its place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Splice {
    /// Bytes that stay since the end of the piece before.
    pub keep: u32,
    /// Bytes that go.
    pub remove: u32,
    /// What comes in their place.
    pub insert: Arc<str>,
}

/// Why splices do not fit a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OtherText;

impl Splices {
    /// What turns `before` into `after`; `None` where telling `after` whole takes less, or is as plain.
    #[must_use]
    pub fn between(before: &str, after: &str) -> Option<Self> {
        if before.len() < SPLICED_BYTES_MIN || after.len() < SPLICED_BYTES_MIN || before == after {
            return None;
        }
        if u32::try_from(before.len().max(after.len())).is_err() {
            return None;
        }
        let mut found = Found { pieces: Vec::new(), told: 0 };
        compare(before, after, 0, true, &mut found);
        let bytes: usize = found.pieces.iter().map(|piece| 8 + piece.insert.len()).sum();
        if found.pieces.len() > SPLICES_MAX || bytes + 16 > after.len() {
            return None;
        }
        Some(Self { pieces: found.pieces, result: hash(after) })
    }

    /// The text that comes out of another.
    pub(crate) fn apply(&self, before: &str) -> Result<Text, OtherText> {
        let inserted: usize = self.pieces.iter().map(|piece| piece.insert.len()).sum();
        let mut after = String::with_capacity(before.len() + inserted);
        let mut at = 0_usize;
        for piece in &self.pieces {
            let kept = at.checked_add(piece.keep as usize).ok_or(OtherText)?;
            after.push_str(before.get(at..kept).ok_or(OtherText)?);
            after.push_str(&piece.insert);
            at = kept.checked_add(piece.remove as usize).ok_or(OtherText)?;
        }
        after.push_str(before.get(at..).ok_or(OtherText)?);
        if hash(&after) == self.result { Ok(after.into()) } else { Err(OtherText) }
    }

    /// The bytes of text that it holds.
    #[must_use]
    pub fn inserted_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.insert.len()).sum()
    }
}

/// Tells the long texts that a change puts in place of others by what differs, where that takes less. `flow` is what the
/// change is made to.
pub fn splice_long_texts(operations: &mut [Operation], flow: &Flow) {
    let is_long = |operation: &Operation| matches!(operation, Operation::Set { edit: Edit::Put(Value::Text(text)), .. } if text.len() >= SPLICED_BYTES_MIN);
    if !operations.iter().any(is_long) {
        return;
    }
    // What an earlier operation of the change did to a component is not in the flow yet; such a text is told whole.
    let mut seen = HashSet::new();
    for operation in operations {
        let first = seen.insert(operation.id().clone());
        if let Operation::Set { id, path, edit } = operation
            && first
            && let Edit::Put(Value::Text(after)) = edit
            && let Some(Value::Text(before)) =
                flow.component(id).and_then(|held| value_in(&held.fields, path))
            && let Some(splices) = Splices::between(before, after)
        {
            *edit = Edit::Splice(splices);
        }
    }
}

fn value_in<'f>(fields: &'f Map, path: &Path) -> Option<&'f Value> {
    path.steps.iter().try_fold(fields.get(&path.field)?, |at, step| match (at, step) {
        (Value::Map(map), Step::Key(key)) => map.get(key),
        (Value::List(list), Step::Index(index)) => list.get(*index as usize),
        _ => None,
    })
}

impl fmt::Debug for Splices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.pieces).finish()
    }
}

fn hash(text: &str) -> [u8; 8] {
    let mut first = [0; 8];
    first.iter_mut().zip(blake3::hash(text.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
    first
}

struct Found {
    pieces: Vec<Splice>,
    /// How far `before` was told.
    told: usize,
}

impl Found {
    fn replace(&mut self, start: usize, remove: usize, insert: &str) {
        if let (Ok(keep), Ok(remove)) = (u32::try_from(start - self.told), u32::try_from(remove)) {
            self.told = start + remove as usize;
            self.pieces.push(Splice { keep, remove, insert: insert.into() });
        }
    }
}

/// Tells what differs between two texts of which the first lies at `offset`.
fn compare(before: &str, after: &str, offset: usize, by_lines: bool, found: &mut Found) {
    let head = shared_head(before, after);
    let (before, after) = (before.get(head..).unwrap_or_default(), after.get(head..).unwrap_or_default());
    let tail = shared_tail(before, after);
    let offset = offset + head;
    let before = before.get(..before.len() - tail).unwrap_or_default();
    let after = after.get(..after.len() - tail).unwrap_or_default();
    if before.is_empty() && after.is_empty() {
        return;
    }
    if !by_lines || before.len() < LINES_FROM_BYTES || after.len() < LINES_FROM_BYTES {
        found.replace(offset, before.len(), after);
        return;
    }

    // Lines that stand once in each are where the two are laid side by side; what lies between them is compared again.
    let (old_lines, new_lines) = (lines(before), lines(after));
    let places = once(&old_lines);
    let mut shared: Vec<(usize, usize)> =
        once(&new_lines).into_iter().filter_map(|(line, new)| Some((*places.get(line)?, new))).collect();
    shared.sort_unstable_by_key(|(_, new)| *new);
    let still = longest_ascent(&shared.iter().map(|(old, _)| *old).collect::<Vec<_>>());
    let start_of = |lines: &[(usize, &str)], line: usize, text: &str| {
        lines.get(line).map_or(text.len(), |(start, _)| *start)
    };
    let (mut old_at, mut new_at) = (0, 0);
    let anchors = shared.into_iter().filter(|(old, _)| still.contains(old));
    for (old, new) in anchors.chain([(old_lines.len(), new_lines.len())]) {
        let (old_end, new_end) = (start_of(&old_lines, old, before), start_of(&new_lines, new, after));
        let (gap, filling) = (before.get(old_at..old_end), after.get(new_at..new_end));
        compare(gap.unwrap_or_default(), filling.unwrap_or_default(), offset + old_at, false, found);
        old_at = start_of(&old_lines, old + 1, before);
        new_at = start_of(&new_lines, new + 1, after);
    }
}

/// The lines of a text, their ends included, with where each begins.
fn lines(text: &str) -> Vec<(usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|line| {
            at += line.len();
            (at - line.len(), line)
        })
        .collect()
}

/// The lines that stand once, and where in the row of lines.
fn once<'t>(lines: &[(usize, &'t str)]) -> HashMap<&'t str, usize> {
    let mut seen: HashMap<&str, Option<usize>> = HashMap::with_capacity(lines.len());
    for (at, (_, line)) in lines.iter().enumerate() {
        seen.entry(line).and_modify(|place| *place = None).or_insert(Some(at));
    }
    seen.into_iter().filter_map(|(line, place)| Some((line, place?))).collect()
}

fn shared_head(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rev().find(|at| a.is_char_boundary(*at) && b.is_char_boundary(*at)).unwrap_or(0)
}

fn shared_tail(a: &str, b: &str) -> usize {
    let same = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    (0..=same)
        .rev()
        .find(|tail| a.is_char_boundary(a.len() - tail) && b.is_char_boundary(b.len() - tail))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Splices;

    fn check(before: &str, after: &str) -> Option<usize> {
        let splices = Splices::between(before, after)?;
        assert_eq!(&*splices.apply(before).unwrap(), after);
        assert!(splices.apply(&format!("{before}x")).is_err(), "of another text");
        Some(splices.inserted_bytes())
    }

    fn body(lines: usize) -> String {
        (0..lines).map(|line| format!("line {line}: something or other is done here;\n")).collect()
    }

    #[test]
    fn a_changed_line_costs_about_that_line() {
        let before = body(14_000);
        let after = before.replace("line 7000: something", "line 7000: nothing");
        assert!(before.len() > 600_000);
        assert!(check(&before, &after).unwrap() < 20);
    }

    #[test]
    fn changes_far_apart_cost_what_changed() {
        let before = body(1_000);
        let after = before
            .replace("line 10: something", "line 10: nothing")
            .replace("line 500: something or other is done here;\n", "")
            .replace("line 990:", "a new line\nline 990:");
        assert!(check(&before, &after).unwrap() < 100);
    }

    #[test]
    fn lines_that_moved_are_put_elsewhere() {
        let before = body(100);
        let (front, rest) = before.split_at(1_000);
        check(&before, &format!("{rest}{front}")).unwrap();
    }

    #[test]
    fn characters_are_never_cut() {
        let before = "häuser und gärten, tore und öfen; ".repeat(20);
        check(&before, &before.replacen('ä', "ö", 1)).unwrap();
        check(&before, &before.replacen("tore", "töre", 2)).unwrap();
        check(&before, &format!("é{before}")).unwrap();
    }

    #[test]
    fn what_is_short_or_new_is_told_whole() {
        assert_eq!(check("short", "shorter"), None);
        assert_eq!(check(&"a".repeat(1_000), &"b".repeat(1_000)), None);
        assert_eq!(check(&body(10), &body(10)), None);
    }
}
