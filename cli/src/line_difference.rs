//! What changed in a long text, line by line.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::escape::escape;
use crate::output::{ADDED, DIM, REMOVED, paint};

/// Lines shown around each change.
const CONTEXT_LINES: usize = 2;
/// The work spent on finding the shortest difference; past it a longer one is shown.
const DEADLINE: Duration = Duration::from_millis(500);
/// Longest line that is shown whole, in characters.
const LINE_CHARACTERS: usize = 160;

/// Whether two texts are compared line by line rather than shown before and after.
pub(crate) fn is_worth_it(before: &str, after: &str) -> bool {
    before.lines().nth(1).is_some() || after.lines().nth(1).is_some()
}

/// The lines that differ, each with its sign, and those around them.
pub(crate) fn lines(before: &str, after: &str) -> Vec<String> {
    let difference = TextDiff::configure().timeout(DEADLINE).diff_lines(before, after);
    let mut lines = Vec::new();
    for (at, group) in difference.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if at > 0 {
            lines.push(paint(DIM, "  ..."));
        }
        for change in group.iter().flat_map(|operation| difference.iter_changes(operation)) {
            let text = cut(change.value().trim_end_matches(['\n', '\r']));
            lines.push(match change.tag() {
                ChangeTag::Delete => paint(REMOVED, format!("- {text}")),
                ChangeTag::Insert => paint(ADDED, format!("+ {text}")),
                ChangeTag::Equal => paint(DIM, format!("  {text}")),
            });
        }
    }
    lines
}

fn cut(line: &str) -> String {
    // Code is indented with tabs, which steer nothing.
    let shown = line.split('\t').map(escape).collect::<Vec<_>>().join("    ");
    if shown.chars().count() <= LINE_CHARACTERS {
        return shown;
    }
    shown.chars().take(LINE_CHARACTERS).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn only_what_changed_and_what_is_around_it_is_shown() {
        let before: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 10\n", "line ten\n");
        let plain: Vec<String> = lines(&before, &after)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(plain, ["  line 8", "  line 9", "- line 10", "+ line ten", "  line 11", "  line 12"]);
    }
}
