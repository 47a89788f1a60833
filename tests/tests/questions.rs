//! Goal: what a history answers without putting flows together is what a plain list of flows and entries says.
//!
//! Method: seeded histories of changes, removals, adding the same id again, undo, redo, marks and restarts, under a tuning
//! so small that segments are sealed and checkpoints come all the time; each question to the writer and to a reader,
//! once with nothing kept and once more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    At, Author, Component, ComponentId, Difference, Durability, Entry, Flow, History, Intent, Mark,
    MemoryStorage, Operation, OperationKind, Order, Scope, Seq, Slot, Tuning, Value,
};
use flow_history_replay::Body;
use flow_history_tests::{Chance, Gene, SeededClock, thoroughness};

/// Everything there is to know, in plain lists.
struct Truth {
    seed: u64,
    /// The flow at each version, from version 0.
    flows: Vec<Flow>,
    /// From version 1.
    entries: Vec<Entry>,
    /// The slots, with their ids, that each entry touched.
    touched: Vec<BTreeSet<(Slot, ComponentId)>>,
    ids: BTreeSet<ComponentId>,
}

fn author(chance: &mut Chance) -> Author {
    let name = *chance.pick(&["alice", "bob"]);
    Author::user(name)
}

fn made(seed: u64) -> (Truth, History, History) {
    let mut chance = Chance::new(seed);
    let mut tuning = Tuning::hostile();
    tuning.seal = !chance.once_in(4);
    tuning.vouch_after = Duration::from_secs(3_600);
    let clock = SeededClock::new(seed);
    let options = || History::options().tuning(tuning.clone()).clock(Arc::<SeededClock>::clone(&clock));
    let storage = MemoryStorage::new();
    let mut history = options().open_storage(Arc::new(storage.clone())).unwrap();
    for _ in 0..90 {
        let author = author(&mut chance);
        match chance.below(20) {
            0..=12 => {
                let mut flow = history.at(At::Head).unwrap().to_flow().unwrap();
                let mut operations: Vec<Operation> = Vec::new();
                for _ in 0..=chance.below(6) {
                    let operation = Gene::random(&mut chance).operation(&flow);
                    if flow.apply(&operation).is_ok() {
                        operations.push(operation);
                    }
                }
                let message = *chance.pick(&["a change", "Another"]);
                drop(history.change(&author, message).operations(operations).append());
            }
            13..=15 => drop(history.undo(Scope::Flow, &author)),
            16 => drop(history.redo(Scope::Flow, &author)),
            17 => drop(history.mark(&author, Mark::Deploy)),
            18 => drop(history.running(&author, history.version().seq().0 / 2 + 1)),
            _ => {
                history.close().unwrap();
                history = options().open_storage(Arc::new(storage.clone())).unwrap();
            }
        }
    }
    let reader = options().open_storage_read_only(Arc::new(storage)).unwrap();
    let mut truth = Truth {
        seed,
        flows: vec![Flow::new()],
        entries: history.log().map(|line| line.unwrap().entry).collect(),
        touched: Vec::new(),
        ids: BTreeSet::new(),
    };
    for entry in &truth.entries {
        let mut flow = truth.flows.last().unwrap().clone();
        let mut touched = BTreeSet::new();
        for operation in operations_of(entry) {
            let id = operation.id();
            touched.extend(flow.slot(id).map(|slot| (slot, id.clone())));
            flow.apply(operation).unwrap();
            touched.extend(flow.slot(id).map(|slot| (slot, id.clone())));
            truth.ids.insert(id.clone());
        }
        truth.flows.push(flow);
        truth.touched.push(touched);
    }
    (truth, history, reader)
}

fn operations_of(entry: &Entry) -> &[Operation] {
    match &entry.body {
        Body::Change(operations) => operations,
        _ => &[],
    }
}

#[test]
fn a_difference_is_that_of_the_whole_flows() {
    let mut differ = 0;
    for seed in 300..300 + 12 * thoroughness() as u64 {
        let (truth, history, reader) = made(seed);
        let mut chance = Chance::new(seed);
        for history in [&history, &reader] {
            for _ in 0..60 {
                let [before, after] = [(); 2].map(|()| chance.below(truth.flows.len()));
                if chance.once_in(2) {
                    flow_history::forget_cached();
                }
                let difference = history.diff(before as u64, after as u64).unwrap();
                let expected = Difference::between(&truth.flows[before], &truth.flows[after]);
                assert_eq!(difference, expected, "seed {seed}, {before} to {after}");
                differ += usize::from(!difference.is_empty());
            }
        }
    }
    assert!(differ > 500, "{differ} differences were compared");
}

/// Versions between which more was touched than is asked for one by one: they are compared by what checkpoints and entries give,
/// with no flow made of it, forwards and backwards, with what was read before and without. Where something only moved among the
/// others, the flows say so.
#[test]
fn a_difference_of_versions_far_apart_is_that_of_the_whole_flows() {
    let storage = MemoryStorage::new();
    let options = || History::options().tuning(Tuning::hostile()).clock(SeededClock::new(5));
    let history = options().open_storage(Arc::new(storage.clone())).unwrap();
    let (alice, mut chance) = (Author::user("alice"), Chance::new(5));
    let made = |name: usize| Component::new(format!("part-{name}"), "part").field("rate", 0);
    let operations = (0..50).map(|name| Operation::add(made(name))).collect();
    history.change(&alice, "").operations(operations).append().unwrap();
    let mut flows = vec![Flow::new(), history.at(At::Head).unwrap().to_flow().unwrap()];
    for round in 0..20 {
        let head = flows.last().unwrap().clone();
        let mut operations = Vec::new();
        for name in 0..60 {
            let id = format!("part-{name}");
            match (head.component(&id).is_some(), chance.below(20)) {
                (true, 0..=1) => operations.push(Operation::Remove { id: id.as_str().into() }),
                (true, 2) if round > 14 => {
                    let order = Order::from_bytes(&[u8::try_from(name).unwrap() + 1]);
                    operations.push(Operation::Move { id: id.as_str().into(), parent: None, order });
                }
                (true, _) => operations.push(Operation::set(id, "rate", round)),
                (false, 0..=9) => operations.push(Operation::add(made(name))),
                (false, _) => {}
            }
        }
        history.change(&alice, "").operations(operations).append().unwrap();
        flows.push(history.at(At::Head).unwrap().to_flow().unwrap());
    }
    history.close().unwrap();
    assert!(storage.files().keys().filter(|name| name.starts_with("checkpoint-")).count() > 1);
    let reader = options().open_storage_read_only(Arc::new(storage)).unwrap();
    assert_eq!(flows.len() as u64, reader.version().seq().0 + 1);
    for (before, old) in flows.iter().enumerate() {
        for (after, new) in flows.iter().enumerate() {
            if chance.once_in(2) {
                flow_history::forget_cached();
            }
            let difference = reader.diff(before as u64, after as u64).unwrap();
            assert_eq!(difference, Difference::between(old, new), "{before} to {after}");
            assert_eq!(reader.diff(before as u64, after as u64).unwrap(), difference, "asked again");
            if chance.once_in(4) {
                assert_eq!(reader.at(after as u64).unwrap().to_flow().unwrap(), *new, "{after}");
            }
        }
    }
}

/// More than is read at once of several entries together.
#[test]
fn a_value_of_very_many_parts_is_read_all_the_same() {
    let storage = Arc::new(MemoryStorage::new());
    let history = History::options().open_storage(Arc::<MemoryStorage>::clone(&storage)).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("a", "processor")).append().unwrap();
    let many = Value::List(vec![Value::Null; (1 << 20) + 100]);
    history.change(&alice, "").set("a", "many", many).append().unwrap();
    history.change(&alice, "").set("a", "rate", 7).append().unwrap();
    history.change(&alice, "").set("a", "rate", 8).append().unwrap();
    let head = history.at(At::Head).unwrap().to_flow().unwrap();
    history.close().unwrap();
    let reader = History::options().open_storage_read_only(storage).unwrap();
    flow_history::forget_cached();
    let before = reader.at(3).unwrap();
    assert_eq!(before.component("a").unwrap().unwrap().get("rate"), Some(&7.into()));
    let mut flow = before.to_flow().unwrap();
    flow.apply(&Operation::set("a", "rate", 8)).unwrap();
    assert_eq!(flow, head);
}

/// A version that was asked for before and one that is only in memory so far: what was touched between is in no index.
#[test]
fn a_difference_holds_what_is_only_buffered() {
    let storage = Arc::new(MemoryStorage::new());
    let durability = Durability::Buffered { max_delay: Duration::from_secs(3_600) };
    let history = History::options().durability(durability).open_storage(storage).unwrap();
    let alice = Author::user("alice");
    for name in ["a", "b", "c", "d", "e"] {
        history.change(&alice, "").add(Component::new(name, "processor").field("rate", 1)).append().unwrap();
    }
    flow_history::forget_cached();
    assert!(history.at(3).unwrap().component("a").unwrap().is_some());
    history.change(&alice, "").set("a", "rate", 2).append().unwrap();
    for (before, after) in [(At::from(3), At::Head), (At::Head, At::from(3))] {
        let difference = history.diff(before, after).unwrap();
        let ids: Vec<&str> = difference.components.iter().map(|component| component.id.as_str()).collect();
        assert_eq!(ids, ["a", "d", "e"]);
    }
}

#[test]
fn a_component_is_what_the_whole_flow_holds() {
    for seed in 0..12 * thoroughness() as u64 {
        let (truth, history, reader) = made(seed);
        for history in [&history, &reader] {
            for (seq, flow) in (0_u64..).zip(&truth.flows) {
                for forget in [true, false] {
                    if forget && seq % 5 == 0 {
                        flow_history::forget_cached();
                    }
                    let view = history.at(seq).unwrap();
                    assert_eq!(view.seq(), Seq(seq));
                    if let Some(entry) = seq.checked_sub(1).map(|before| &truth.entries[before as usize]) {
                        assert_eq!(
                            (view.version().unwrap(), view.log_time().unwrap()),
                            (entry.id, entry.header.log_time)
                        );
                        assert_eq!(history.at(entry.id).unwrap().version().unwrap(), entry.id);
                    }
                    for id in &truth.ids {
                        let found = view.component(id).unwrap();
                        assert_eq!(found.as_ref(), flow.component(id), "seed {seed}, {seq}, {id}");
                    }
                    assert_eq!(view.component("never there").unwrap(), None);
                }
            }
        }
    }
}

impl Truth {
    /// The numbers of the entries that fit, in one direction.
    fn those(&self, newest_first: bool, fits: impl Fn(&Entry) -> bool) -> Vec<Seq> {
        let mut seqs: Vec<Seq> =
            self.entries.iter().filter(|entry| fits(entry)).map(|entry| entry.seq).collect();
        if newest_first {
            seqs.reverse();
        }
        seqs
    }

    fn check(&self, what: &str, asked: impl Fn() -> flow_history::Entries, fits: impl Fn(&Entry) -> bool) {
        for newest_first in [false, true] {
            let begin = || if newest_first { asked().newest_first() } else { asked() };
            let expected = self.those(newest_first, &fits);
            let seqs = |entries: flow_history::Entries| -> Vec<Seq> {
                entries
                    .map(|entry| {
                        let entry = entry.unwrap();
                        assert_eq!(entry, self.entries[entry.seq.0 as usize - 1], "seed {}", self.seed);
                        entry.seq
                    })
                    .collect()
            };
            assert_eq!(seqs(begin()), expected, "seed {}, {what}, {newest_first}", self.seed);
            for (at, cursor) in expected.iter().enumerate().step_by(5) {
                let id = self.entries[cursor.0 as usize - 1].id;
                let rest = seqs(begin().after(id));
                assert_eq!(rest, expected[at + 1..], "seed {}, {what}, after {cursor}", self.seed);
            }
            let (from, to) = (self.entries.len() as u64 / 4 + 1, self.entries.len() as u64 * 3 / 4 + 1);
            let inside = |seq: &Seq| (from..=to).contains(&seq.0);
            let expected: Vec<Seq> = expected.iter().copied().filter(inside).collect();
            assert_eq!(seqs(begin().from(from).to(to)), expected, "seed {}, {what}, part", self.seed);
        }
    }
}

#[test]
fn entries_are_those_that_fit() {
    for seed in 100..100 + 8 * thoroughness() as u64 {
        let (truth, history, reader) = made(seed);
        for history in [&history, &reader] {
            flow_history::forget_cached();
            truth.check("all", || history.entries(), |_| true);
            truth.check(
                "author",
                || history.entries().author("bob"),
                |entry| &*entry.header.author.id == "bob",
            );
            truth.check(
                "intent",
                || history.entries().intent(Intent::Undo),
                |entry| entry.header.intent == Intent::Undo,
            );
            truth.check(
                "text",
                || history.entries().text("ANOTHER"),
                |entry| entry.header.message.contains("Another"),
            );
            truth.check(
                "kind",
                || history.entries().kind(OperationKind::Remove),
                |entry| {
                    let is_removal = |operation: &Operation| matches!(operation, Operation::Remove { .. });
                    operations_of(entry).iter().any(is_removal)
                },
            );
            for id in &truth.ids {
                truth.check(
                    id.as_str(),
                    || history.entries().component(id),
                    |entry| operations_of(entry).iter().any(|operation| operation.id() == id),
                );
            }
        }
    }
}

#[test]
fn what_became_of_a_component_is_what_the_flows_say() {
    for seed in 200..200 + 12 * thoroughness() as u64 {
        let (truth, history, reader) = made(seed);
        for history in [&history, &reader] {
            flow_history::forget_cached();
            for id in &truth.ids {
                let touches =
                    |entry: &&Entry| operations_of(entry).iter().any(|operation| operation.id() == id);
                let last = truth.entries.iter().rev().find(touches).map(|entry| entry.id);
                assert_eq!(history.last_change(id).unwrap(), last, "seed {seed}, {id}");
                truth.when(history, id);
                truth.blame(history, id);
            }
            assert_eq!(history.last_change("never there").unwrap(), None);
            truth.trash(history);
            truth.running(history);
        }
    }
}

impl Truth {
    fn when(&self, history: &History, id: &ComponentId) {
        let holds = |value: Option<&flow_history::Value>| value.is_some();
        let held: Vec<bool> = self
            .flows
            .iter()
            .map(|flow| holds(flow.component(id).and_then(|component| component.get("a"))))
            .collect();
        let intervals = history.when(id, "a", holds).unwrap();
        for (seq, held) in held.iter().enumerate() {
            let inside = intervals.iter().any(|interval| interval.contains(Seq(seq as u64)));
            assert_eq!(inside, *held, "seed {}, {id} at {seq}: {intervals:?}", self.seed);
        }
        for interval in intervals {
            assert_eq!(interval.from, self.entries[interval.from.seq().0 as usize - 1].id);
        }
    }

    fn blame(&self, history: &History, id: &ComponentId) {
        let blamed = history.blame(id).unwrap();
        let head = self.flows.last().unwrap();
        let Some(component) = head.component(id) else { return assert!(blamed.is_empty()) };
        assert_eq!(blamed.len(), component.fields.len(), "seed {}, {id}", self.seed);
        for (blame, (name, value)) in blamed.iter().zip(component.fields.iter()) {
            assert_eq!((&blame.field, &blame.value), (name, value));
            let gives = |operation: &Operation| match operation {
                Operation::Add { component, .. } => component.id == *id,
                Operation::Set { id: of, path, .. } => of == id && path.field == *name,
                _ => false,
            };
            let by = self.entries.iter().rev().find(|entry| operations_of(entry).iter().any(gives)).unwrap();
            assert_eq!(blame.version, by.id, "seed {}, {id}, {name}", self.seed);
            assert_eq!(blame.log_time, by.header.log_time);
        }
    }

    fn trash(&self, history: &History) {
        let head = self.flows.last().unwrap();
        let mut expected = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for (at, pair) in self.flows.windows(2).enumerate().rev() {
            for (slot, component) in pair[0].iter() {
                let goes = pair[1].component_in(slot).is_none();
                if goes && head.component_in(slot).is_none() && seen.insert(slot) {
                    expected.insert((slot, at as u64 + 1, component.id.clone()));
                }
            }
        }
        let found: Vec<(Slot, u64, ComponentId)> = history
            .trash()
            .unwrap()
            .map(|removed| removed.unwrap())
            .map(|removed| (removed.slot, removed.entry.0, removed.component.id.clone()))
            .collect();
        assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1), "the one removed last comes first");
        assert_eq!(found.len(), expected.len(), "seed {}", self.seed);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "seed {}", self.seed);
    }

    fn running(&self, history: &History) {
        let mut running = None;
        for (at, entry) in self.entries.iter().enumerate() {
            if let Body::Mark(Mark::Running { version }) = &entry.body {
                running = Some(self.entries[version.0 as usize - 1].id);
            }
            let (time, next) = (entry.header.log_time, self.entries.get(at + 1));
            if next.is_none_or(|next| next.header.log_time > time) {
                let time = flow_history::Timestamp::from_millis(time);
                assert_eq!(history.running_at(time).unwrap(), running, "seed {}, {}", self.seed, entry.seq);
            }
        }
    }
}
