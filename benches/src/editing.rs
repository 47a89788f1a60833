//! `edit`: changes as people make them.

use flow_history::{Component, Operation, Value};

use crate::{Random, Step};

/// Groups that components stand in.
const GROUPS: usize = 40;
/// Components of each kind of step at the beginning.
const COMPONENTS: usize = 2_000;
/// Components that hold a long text.
const LONG_TEXTS: usize = 8;
/// Lines of a long text.
const LINES: usize = 400;

/// A stream as people edit: bursts within one group, favourites among its components (Zipf), drags that set x and y, now
/// and then a component that comes or goes, and a few long texts of which a line changes.
pub struct Editing {
    random: Random,
    setup: usize,
    changes_left: u64,
    /// Live components of each group; the first ones are the favourites.
    groups: Vec<Vec<String>>,
    texts: Vec<Vec<String>>,
    burst_left: u64,
    group: usize,
    author: u8,
}

impl Editing {
    /// So many changes after the setup.
    #[must_use]
    pub fn new(changes: u64) -> Self {
        let mut random = Random::seeded(0x6564_6974);
        let texts = (0..LONG_TEXTS).map(|_| (0..LINES).map(|_| line(&mut random)).collect()).collect();
        Self {
            random,
            setup: 0,
            changes_left: changes,
            groups: vec![Vec::new(); GROUPS],
            texts,
            burst_left: 0,
            group: 0,
            author: 0,
        }
    }

    fn processor(&mut self, group: usize) -> Operation {
        let id = self.random.id();
        let (x, y) = (self.random.below(4_000), self.random.below(4_000));
        let component = Component::new(id.as_str(), "processor")
            .inside(group_id(group))
            .field("name", self.random.text())
            .field("schedule", "0 sec")
            .field("url", self.random.text())
            .field("threshold", self.random.below(1_000))
            .field("x", x)
            .field("y", y);
        if let Some(members) = self.groups.get_mut(group) {
            members.push(id);
        }
        Operation::add(component)
    }

    /// A member of the group; the n-th is picked about 1/n as often as the first.
    fn favourite(&mut self) -> Option<(usize, String)> {
        let members = self.groups.get(self.group).map_or(0, Vec::len);
        if members == 0 {
            return None;
        }
        // Halving the range with even odds picks the first half twice as often as the second: near enough to Zipf, and
        // exact in integers.
        let mut range = members;
        while range > 1 && self.random.below(2) == 0 {
            range = range.div_ceil(2);
        }
        let at = self.random.index(range);
        Some((at, self.groups.get(self.group)?.get(at)?.clone()))
    }

    fn change(&mut self) -> Vec<Operation> {
        let Some((at, id)) = self.favourite() else { return vec![self.processor(self.group)] };
        match self.random.below(100) {
            0..45 => {
                let (x, y) = (self.random.below(4_000), self.random.below(4_000));
                vec![Operation::set(id.as_str(), "x", x), Operation::set(id.as_str(), "y", y)]
            }
            45..85 => {
                let (field, value): (&str, Value) = match self.random.below(3) {
                    0 => ("name", self.random.text().into()),
                    1 => ("url", self.random.text().into()),
                    _ => ("threshold", self.random.below(1_000).into()),
                };
                vec![Operation::set(id, field, value)]
            }
            85..92 => {
                let which = self.random.index(LONG_TEXTS);
                let changed = self.random.index(LINES);
                let new = line(&mut self.random);
                let Some(text) = self.texts.get_mut(which) else { return Vec::new() };
                if let Some(line) = text.get_mut(changed) {
                    *line = new;
                }
                vec![Operation::set(text_id(which), "func", text.join("\n"))]
            }
            92..97 => vec![self.processor(self.group)],
            _ => {
                if let Some(members) = self.groups.get_mut(self.group) {
                    members.remove(at);
                }
                vec![Operation::remove(id)]
            }
        }
    }
}

fn line(random: &mut Random) -> String {
    let words = 3 + random.index(8);
    let words: Vec<String> = (0..words)
        .map(|_| {
            let letters = 2 + random.index(9);
            random.letters(letters)
        })
        .collect();
    words.join(" ")
}

fn group_id(group: usize) -> String {
    format!("group-{group}")
}

fn text_id(which: usize) -> String {
    format!("function-{which}")
}

impl Iterator for Editing {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.setup <= GROUPS {
            let operations = if self.setup == 0 {
                let groups =
                    (0..GROUPS).map(|group| Operation::add(Component::new(group_id(group), "group")));
                let texts = self.texts.iter().enumerate().map(|(at, text)| {
                    Operation::add(Component::new(text_id(at), "function").field("func", text.join("\n")))
                });
                groups.chain(texts).collect()
            } else {
                (0..COMPONENTS / GROUPS).map(|_| self.processor(self.setup - 1)).collect()
            };
            self.setup += 1;
            return Some(Step { author: 0, gap_millis: 1_000, operations });
        }
        self.changes_left = self.changes_left.checked_sub(1)?;
        let mut gap_millis = u32::try_from(200 + self.random.below(4_000)).unwrap_or_default();
        if self.burst_left == 0 {
            self.burst_left = 5 + self.random.below(60);
            self.group = self.random.index(GROUPS);
            self.author = u8::try_from(self.random.below(5)).unwrap_or_default();
            gap_millis += u32::try_from(self.random.below(3_600_000)).unwrap_or_default();
        }
        self.burst_left -= 1;
        Some(Step { author: self.author, gap_millis, operations: self.change() })
    }
}

#[cfg(test)]
mod tests {
    use super::Editing;
    use crate::stream_hash;

    #[test]
    fn the_stream_is_the_one_that_figures_were_measured_on() {
        let hash = stream_hash(Editing::new(5_000));
        assert_eq!(hash, "68a779ea42db8074b02f9f68ecb6fc9e08ce8b2a3890ca8509b33210148fe46e");
    }
}
