//! What is appended, and what must be there afterwards.

use std::collections::{BTreeMap, HashMap};

use clap::ValueEnum;

use crate::plain::{Change, PlainFlow, PlainOperation, changes_of, flow_hash};
use crate::{Editing, Random, Step, Uniform};

/// A reference stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Workload {
    /// 1,000 components, 100,000 changes spread evenly.
    W1k,
    /// 10,000 components, 1,000,000 changes spread evenly.
    W10k,
    /// Changes as people make them: 2,000 components, 300,000 changes.
    Edit,
}

impl Workload {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::W1k => "w1k",
            Self::W10k => "w10k",
            Self::Edit => "edit",
        }
    }

    /// Steps with which the flow is set up.
    pub(super) fn setup(self) -> u64 {
        match self {
            Self::W1k => 1,
            Self::W10k => 10,
            Self::Edit => 41,
        }
    }

    /// Versions that a whole stream makes, or one that is run smaller.
    pub(super) fn versions(self, quick: bool) -> u64 {
        self.setup()
            + match (self, quick) {
                (Self::W1k, false) => 100_000,
                (Self::W10k, false) => 1_000_000,
                (Self::Edit, false) => 300_000,
                (Self::W1k | Self::Edit, true) => 20_000,
                (Self::W10k, true) => 40_000,
            }
    }

    /// Its changes, without end.
    pub(super) fn changes(self) -> Box<dyn Iterator<Item = Change>> {
        match self {
            Self::W1k => Box::new(changes_of(Uniform::new(1_000, u64::MAX))),
            Self::W10k => Box::new(changes_of(Uniform::new(10_000, u64::MAX))),
            Self::Edit => Box::new(changes_of(Editing::new(u64::MAX))),
        }
    }
}

/// A question about the past of a flow: two versions, and a component that is there at the first.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) version: u64,
    pub(crate) other: u64,
    pub(crate) id: String,
}

/// What is known of the first so many versions of a stream, by applying it to a plain map.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) hash: String,
    pub(crate) questions: Vec<Question>,
    /// Components with text fields that are there at the end, each with one of them.
    pub(crate) live: Vec<(String, String)>,
}

/// Live components in an order from which one is picked at random.
#[derive(Default)]
struct Live {
    ids: Vec<String>,
    places: HashMap<String, usize>,
}

impl Live {
    fn apply(&mut self, operation: &PlainOperation) {
        match operation {
            PlainOperation::Add(id, _) => {
                self.places.insert(id.clone(), self.ids.len());
                self.ids.push(id.clone());
            }
            PlainOperation::Remove(id) => {
                if let Some(at) = self.places.remove(id) {
                    self.ids.swap_remove(at);
                    if let Some(moved) = self.ids.get(at) {
                        self.places.insert(moved.clone(), at);
                    }
                }
            }
            PlainOperation::Set(..) => {}
        }
    }

    fn any(&self, random: &mut Random) -> String {
        if self.ids.is_empty() {
            return String::new();
        }
        self.ids.get(random.index(self.ids.len())).cloned().unwrap_or_default()
    }
}

/// Applies a stream to a plain map, and notes what is known at each of these lengths.
pub(crate) fn known_of(
    changes: impl Iterator<Item = Change>,
    setup: u64,
    lengths: &[u64],
    questions: usize,
) -> BTreeMap<u64, Known> {
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    // At which version which question of which length gets its component.
    let mut wanted: BTreeMap<u64, Vec<(u64, usize)>> = BTreeMap::new();
    for length in lengths {
        let mut random = Random::seeded(11);
        let first = setup.min(*length);
        let mut version = || first + random.below(length - first + 1);
        let asked: Vec<Question> = (0..questions)
            .map(|_| Question { version: version(), other: version(), id: String::new() })
            .collect();
        for (at, question) in asked.iter().enumerate() {
            wanted.entry(question.version).or_default().push((*length, at));
        }
        known.insert(*length, Known { hash: String::new(), questions: asked, live: Vec::new() });
    }
    let mut random = Random::seeded(13);
    let mut flow = PlainFlow::new();
    let mut live = Live::default();
    let last = lengths.iter().max().copied().unwrap_or_default();
    for (version, change) in (1..=last).zip(changes) {
        change.plain.apply(&mut flow);
        change.plain.operations.iter().for_each(|operation| live.apply(operation));
        for (length, at) in wanted.remove(&version).unwrap_or_default() {
            if let Some(question) = known.get_mut(&length).and_then(|known| known.questions.get_mut(at)) {
                question.id = live.any(&mut random);
            }
        }
        if let Some(known) = known.get_mut(&version) {
            known.hash = flow_hash(&flow);
            known.live = (0..questions)
                .filter_map(|_| {
                    let id = live.any(&mut random);
                    let (field, _) = flow.get(&id)?.fields.first()?.clone();
                    Some((id, field))
                })
                .collect();
        }
    }
    known
}

/// The hash of the first so many versions of a stream.
pub(super) fn hash_at(changes: impl Iterator<Item = Change>, version: u64) -> String {
    let mut flow = PlainFlow::new();
    for (_, change) in (0..version).zip(changes) {
        change.plain.apply(&mut flow);
    }
    flow_hash(&flow)
}

/// A change that sets one text, of about 256 bytes in our files: what durable appends are measured by.
pub(crate) fn small_change(id: &str, field: &str, number: u64) -> Change {
    let operations = vec![flow_history::Operation::set(id, field, format!("{number:0>140}"))];
    only(Step { author: 0, gap_millis: 1, operations })
}

/// A change that adds the components which small changes are about.
pub(crate) fn small_setup(threads: usize) -> Change {
    let pump = |thread| flow_history::Component::new(pump(thread), "processor").field("note", "x");
    let operations = (0..threads).map(|thread| flow_history::Operation::add(pump(thread))).collect();
    only(Step { author: 0, gap_millis: 1, operations })
}

/// The component of a thread.
pub(crate) fn pump(thread: usize) -> String {
    format!("pump-{thread}")
}

fn only(step: Step) -> Change {
    let plain = changes_of(std::iter::once(step.clone())).next().map(|change| change.plain);
    let plain =
        plain.unwrap_or_else(|| crate::plain::PlainChange { author: 0, millis: 0, operations: Vec::new() });
    Change { step, plain }
}

#[cfg(test)]
mod tests {
    use super::{Workload, hash_at, known_of};

    #[test]
    fn every_question_has_a_component_that_is_there_and_a_length_has_its_own_hash() {
        let known = known_of(Workload::W1k.changes(), 1, &[300, 700], 20);
        assert_ne!(known[&300].hash, known[&700].hash);
        assert_eq!(known[&300].hash, hash_at(Workload::W1k.changes(), 300));
        for (length, known) in known {
            assert_eq!(known.questions.len(), 20);
            assert!(known.live.len() == 20);
            assert!(known.questions.iter().all(|asked| !asked.id.is_empty() && asked.version <= length));
        }
    }
}
