//! Goal: sealed, a history is what it was raw: every entry, chain value, time, state and end, over any mixture of raw and
//! sealed segments; and what the indexes answer is what folding every entry gives.
//!
//! Method: seeded histories of changes, undo, redo, marks, closings and crashes, under a tuning so small that segments
//! come all the time; any subset of their segments is sealed in blocks of any size, with the raw file left or gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flow_history::{
    Author, Component, ComponentId, Flow, History, Intent, Mark, MemoryStorage, Operation, Scope, Slot,
    Tuning,
};
use flow_history_replay::{
    Body, Chain, Ending, Entry, FileName, Folded, Log, LogError, LogIndex, Loose, MemorySource, Placed,
    Replay, Sealing, Seq, State, Tail, What, seal, verify_sealed,
};
use flow_history_tests::{Chance, Forged, Gene, SeededClock, slots_of, thoroughness};

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a history by chance, and that seed's chance to go on with.
fn made(seed: u64, steps: usize) -> (Files, Chance) {
    let mut chance = Chance::new(seed);
    let mut tuning = Tuning::hostile();
    tuning.seal = false;
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning.derive_from_bytes = u64::MAX;
    let clock = SeededClock::new(seed);
    let options = || History::options().tuning(tuning.clone()).clock(Arc::<SeededClock>::clone(&clock));
    let mut storage = MemoryStorage::new();
    let mut history = options().open_storage(Arc::new(storage.clone())).unwrap();
    for _ in 0..steps {
        let author =
            Author::user(pick(&mut chance, &["alice", "bob", "carol"])).named(pick(&mut chance, &["A", "B"]));
        match chance.below(24) {
            0..=12 => drop(change(&history, &author, Intent::Edit, &mut chance)),
            13 => drop(change(&history, &Author::system("host"), Intent::System, &mut chance)),
            14..=16 => drop(history.undo(Scope::Flow, &author)),
            17..=18 => drop(history.redo(Scope::Flow, &author)),
            19 => drop(history.mark(&author, Mark::Deploy)),
            20 => drop(history.label(&author, "here", history.version().seq().0 / 2)),
            21 => {
                history.close().unwrap();
                history = options().open_storage(Arc::new(storage.clone())).unwrap();
            }
            _ if chance.once_in(3) => {
                // As if the process had been killed: what is in the files is all there is.
                storage = MemoryStorage::with_files(storage.files());
                history = options().open_storage(Arc::new(storage.clone())).unwrap();
            }
            _ => {}
        }
    }
    if chance.once_in(2) {
        history.close().unwrap();
    }
    let is_log = |name: &str| name == "history" || name.starts_with("segment-");
    (storage.files().into_iter().filter(|(name, _)| is_log(name)).collect(), chance)
}

fn pick(chance: &mut Chance, of: &[&'static str]) -> &'static str {
    of[chance.below(of.len())]
}

fn change(history: &History, author: &Author, intent: Intent, chance: &mut Chance) -> Option<()> {
    let mut flow = history.at(flow_history::At::Head).unwrap().to_flow().unwrap();
    let mut operations: Vec<Operation> = Vec::new();
    for _ in 0..=chance.below(5) {
        let operation = Gene::random(chance).operation(&flow);
        if flow.apply(&operation).is_ok() {
            operations.push(operation);
        }
    }
    history.change(author, "a change").intent(intent).operations(operations).append().ok().map(drop)
}

fn open(files: &Files) -> Result<Log, LogError> {
    Log::open(Arc::new(MemorySource(files.clone())))
}

/// Everything that there is to see of a log.
struct Seen {
    entries: Vec<Entry>,
    chains: Vec<Chain>,
    state: State,
    ending: Ending,
}

fn seen(log: &Log) -> Seen {
    let mut replay = Replay::from_the_start(log);
    let (mut entries, mut chains) = (Vec::new(), vec![replay.state().chain]);
    while let Some(entry) = replay.next_entry().unwrap() {
        entries.push(entry);
        chains.push(replay.state().chain);
    }
    let ending = replay.ending().unwrap();
    Seen { entries, chains, state: replay.into_state(), ending }
}

fn same_state(a: &State, b: &State) -> bool {
    let flows = |flow: &Flow| slots_of(flow);
    (a.seq, a.chain, a.log_time) == (b.seq, b.chain, b.log_time)
        && flows(&a.flow) == flows(&b.flow)
        && a.flow.next_slot() == b.flow.next_slot()
        && a.stacks == b.stacks
        && a.marks == b.marks
}

/// Blocks of any size, so that few and many entries, and segments of one block and of many, are tried.
fn sealing(chance: &mut Chance) -> Sealing {
    Sealing::default()
        .block_bytes(*chance.pick(&[1, 200, 1_000, 64 << 10]))
        .level(*chance.pick(&[None, Some(3)]))
}

/// Seals some of the segments, and leaves some of their raw files.
fn mixture(files: &Files, chance: &mut Chance) -> Files {
    let log = open(files).unwrap();
    let mut mixed = files.clone();
    let ending = log.ending().unwrap();
    for at in 0..log.segments().len() {
        let raw = log.segments()[at].file();
        let is_open = at + 1 == log.segments().len() && ending.tail != Tail::Closed;
        if is_open {
            assert!(
                seal(&log, at, &Sealing::default(), &mut || {}).is_err(),
                "the end of an open log was sealed"
            );
        }
        if is_open || chance.once_in(3) {
            continue;
        }
        let bytes = seal(&log, at, &sealing(chance), &mut || {}).unwrap();
        let sealed = FileName::SealedSegment(log.segments()[at].header.number).to_string();
        let aside = format!("{sealed}.tmp");
        let beside: Files =
            [files.clone(), [(aside.clone(), bytes.clone())].into()].into_iter().flatten().collect();
        verify_sealed(&open(&beside).unwrap(), at, &aside, &mut || {}).unwrap();
        mixed.insert(sealed, bytes);
        if !chance.once_in(3) {
            mixed.remove(&raw.to_string());
        }
    }
    mixed
}

#[test]
fn any_mixture_of_raw_and_sealed_segments_is_the_same_history() {
    let mut sealed = 0;
    for seed in 0..40 * thoroughness() as u64 {
        let (files, mut chance) = made(seed, 120);
        let truth = seen(&open(&files).unwrap());
        for _ in 0..4 {
            let mixed = mixture(&files, &mut chance);
            let log = open(&mixed).unwrap();
            sealed += log.segments().iter().filter(|segment| segment.sealed.is_some()).count();
            let found = seen(&log);
            assert_eq!(found.entries, truth.entries, "seed {seed}");
            assert_eq!(found.chains, truth.chains, "seed {seed}");
            assert!(same_state(&found.state, &truth.state), "seed {seed}");
            let ends = |ending: &Ending| (ending.segment, ending.seq, ending.chain, ending.tail);
            assert_eq!(ends(&found.ending), ends(&truth.ending), "seed {seed}");
            assert_eq!(ends(&log.ending().unwrap()), ends(&truth.ending), "seed {seed}");
            places(&log, &truth, seed);
            resumed(&log, &truth, &mut chance, seed);
        }
    }
    assert!(sealed > 500, "{sealed} segments were sealed");
}

/// Looks up entries by number and time.
fn places(log: &Log, truth: &Seen, seed: u64) {
    for (seq, chain) in (0..).zip(&truth.chains) {
        assert_eq!(log.chain_at(Seq(seq)).unwrap(), Some(*chain), "seed {seed}, {seq}");
    }
    assert_eq!(log.chain_at(Seq(truth.chains.len() as u64)).unwrap(), None, "seed {seed}");
    let times: Vec<i64> = truth.entries.iter().map(|entry| entry.header.log_time).collect();
    assert_eq!(log.first_time().unwrap(), times.first().copied());
    for time in times.iter().flat_map(|time| [time - 1, *time, time + 1]) {
        let expected = times.partition_point(|other| *other <= time) as u64;
        assert_eq!(log.seq_at_time(time).unwrap(), Seq(expected), "seed {seed}, time {time}");
    }
}

/// Goes on from a state in the middle.
fn resumed(log: &Log, truth: &Seen, chance: &mut Chance, seed: u64) {
    let mut replay = Replay::from_the_start(log);
    replay.run_to(Seq(chance.below(truth.entries.len() + 1) as u64)).unwrap();
    let state = replay.into_state();
    let mut replay = Replay::from_state(log, state);
    replay.run_to(Seq(u64::MAX)).unwrap();
    assert!(same_state(replay.state(), &truth.state), "seed {seed}");
    assert_eq!(replay.ending().map(|ending| ending.seq), Some(truth.state.seq));
}

/// The ids that a flow says are inside each component and attached to each, which operations alone would not tell.
fn relations(flow: &Flow) -> Vec<(String, Vec<ComponentId>, BTreeSet<ComponentId>)> {
    let ids = |components: Vec<Arc<flow_history::Component>>| {
        components.iter().map(|component| component.id.clone()).collect::<Vec<_>>()
    };
    let of = |component: &flow_history::Component| {
        let id = component.id.to_string();
        let attached = flow.attached(&id).map(|wire| wire.id.clone()).collect();
        let inside = ids(flow.children(&id));
        (id, inside, attached)
    };
    flow.in_order().iter().map(|component| of(component)).collect()
}

#[test]
fn the_flow_alone_is_what_replay_gives_at_every_version() {
    let mut compared = 0;
    for seed in 200..200 + 25 * thoroughness() as u64 {
        let (files, mut chance) = made(seed, 120);
        let raw = open(&files).unwrap();
        let mut replay = Replay::from_the_start(&raw);
        let mut states = vec![replay.state().clone()];
        while replay.next_entry().unwrap().is_some() {
            states.push(replay.state().clone());
        }
        let mixed = mixture(&files, &mut chance);
        for files in [files, mixed] {
            let log = open(&files).unwrap();
            let mut along = Folded::from(&states[0]);
            for truth in &states {
                // One entry at a time, and in one go from somewhere before.
                along.run_to(&log, truth.seq).unwrap();
                let from = chance.below(usize::try_from(truth.seq.0).unwrap() + 1);
                let mut at_once = Folded::from(&states[from]);
                at_once.run_to(&log, truth.seq).unwrap();
                // The same component by component, in one go, in two, and beside the reading of what it begins with.
                let mut loose = Loose::of(&Folded::from(&states[from]));
                loose.run_to(&log, states[(from + at(truth.seq)) / 2].seq).unwrap();
                loose.run_to(&log, truth.seq).unwrap();
                let started = started(&log, &states[from], truth.seq, states[from].flow.len() as u64);
                let loose = loose.into_folded().unwrap();
                let mut checked = Loose::of(&Folded::from(&states[from]));
                checked.run_checked(&log, truth.seq).unwrap();
                let checked = checked.into_folded().unwrap();
                let mut on_both = Loose::of(&Folded::from(&states[from]));
                on_both.run_on_both(&log, truth.seq).unwrap();
                let on_both = on_both.into_folded().unwrap();
                for folded in [&along, &at_once, &loose, &started, &checked, &on_both] {
                    assert_eq!(folded.seq(), truth.seq);
                    let of = format!("seed {seed}, version {}, from {from}", truth.seq);
                    assert_eq!(slots_of(folded.flow()), slots_of(&truth.flow), "{of}");
                    assert_eq!(relations(folded.flow()), relations(&truth.flow), "{of}");
                    assert_eq!(format!("{:?}", folded.flow()), format!("{:?}", truth.flow), "{of}");
                    compared += 1;
                }
                assert_eq!(at_once.entries_folded(), truth.seq.0 - from as u64);
                assert_eq!(started.entries_folded(), truth.seq.0 - from as u64);
            }
            let behind = truth_behind(&states);
            assert!(along.run_to(&log, behind).is_err(), "there is no version {behind}");
        }
    }
    assert!(compared > 2_000, "{compared} flows were compared");
}

/// Every checksum is made to match; what is wrong is which entries the chain says that there were.
#[test]
fn entries_that_the_chain_does_not_lead_to_are_found_where_it_is_checked() {
    let (mut files, _) = made(400, 40);
    let first = FileName::RawSegment(1).to_string();
    let mut forged = Forged::of(&files[&first], 1);
    let frame = forged.frames.iter_mut().find(|frame| frame.entries > 0).unwrap();
    frame.chain.0[31] ^= 1;
    let to = Seq(frame.first_seq + u64::from(frame.entries) - 1);
    let bytes = forged.to_bytes();
    files.get_mut(&first).unwrap()[..bytes.len()].copy_from_slice(&bytes);
    let log = open(&files).unwrap();
    let begin = || Loose::of(&Folded::from(&log.start().unwrap()));
    begin().run_to(&log, to).unwrap();
    match begin().run_checked(&log, to) {
        Err(LogError::Damaged(damage)) => assert_eq!(damage.what, What::Chain),
        other => panic!("{other:?}"),
    }
}

fn at(seq: Seq) -> usize {
    usize::try_from(seq.0).unwrap()
}

/// The flow of a version from the components of an earlier one, which two threads read in parts.
fn started(log: &Log, from: &State, to: Seq, about: u64) -> Folded {
    let components = Loose::of(&Folded::from(from)).components().to_vec();
    let parts: Vec<Vec<Placed>> = components.chunks(3).map(<[Placed]>::to_vec).collect();
    let turns = AtomicUsize::new(0);
    let taken = |_| -> Result<_, ()> {
        Ok(std::iter::from_fn(|| parts.get(turns.fetch_add(1, Ordering::Relaxed)).cloned()).collect())
    };
    let names = State::names_of_aside(&from.aside_to_bytes().unwrap()).unwrap();
    let start = (from.seq, from.flow.next_slot(), names, about);
    Loose::starting(log, start, to, taken).unwrap().unwrap().into_folded().unwrap()
}

/// How many entries are read before they are applied depends on how much they hold, and on how many components the flow has.
#[test]
fn a_flow_is_the_same_in_however_many_stretches_its_entries_are_read() {
    let storage = MemoryStorage::new();
    let mut tuning = Tuning::default();
    tuning.derive_from_bytes = u64::MAX;
    let options = History::options().tuning(tuning).clock(SeededClock::new(31));
    let history = options.open_storage(Arc::new(storage.clone())).unwrap();
    let (alice, mut chance) = (Author::user("alice"), Chance::new(31));
    for pump in 0..40 {
        let pump = Component::new(format!("pump-{pump}"), "processor");
        history.change(&alice, "").add(pump).append().unwrap();
    }
    for _ in 0..3_000 {
        let (pump, field) = (format!("pump-{}", chance.below(40)), format!("field-{}", chance.below(50)));
        let text: String = (0..1_000).map(|_| format!("{:08x}", chance.bits())).collect();
        history.change(&alice, "").set(&pump, field.as_str(), text).append().unwrap();
    }
    let to = [1_500, 2_900, 3_040].map(Seq);
    let truth = to.map(|to| history.at(to).unwrap().state_hash().unwrap());
    history.close().unwrap();
    let log = Log::open(Arc::new(storage)).unwrap();
    let entered: u64 = log.segments().iter().map(|segment| segment.bytes).sum();
    assert!(log.segments().len() > 4 && entered > 8 << 20, "{} {entered}", log.segments().len());
    let mut from = Replay::from_the_start(&log);
    from.run_to(Seq(100)).unwrap();
    for (to, truth) in to.into_iter().zip(truth) {
        for about in [0, 40, 1 << 15, u64::MAX] {
            let started = started(&log, from.state(), to, about);
            assert_eq!(started.flow().state_hash(), truth, "version {to}, about {about} components");
        }
    }
}

fn truth_behind(states: &[State]) -> Seq {
    states.last().unwrap().seq.next().unwrap()
}

#[test]
fn the_indexes_say_what_folding_every_entry_says() {
    let mut asked = 0;
    for seed in 100..100 + 25 * thoroughness() as u64 {
        let (files, mut chance) = made(seed, 120);
        let raw = open(&files).unwrap();
        let truth = seen(&raw);
        let fold = Fold::of(&raw);
        let mixed = mixture(&files, &mut chance);
        for files in [files, mixed] {
            let log = open(&files).unwrap();
            let index = LogIndex::of(&log).unwrap();
            assert_eq!(index.last_seq(), truth.state.seq, "seed {seed}");
            for entry in &truth.entries {
                let found = index.entry(entry.seq).unwrap();
                assert_eq!(found.as_ref(), Some(entry), "seed {seed}");
            }
            assert_eq!(index.entry(Seq(0)).unwrap(), None);
            assert_eq!(index.entry(Seq(truth.state.seq.0 + 1)).unwrap(), None);
            assert_eq!(index.stacks().unwrap(), truth.state.stacks, "seed {seed}");
            asked += fold.compare(&index, &mut chance, seed);
        }
    }
    assert!(asked > 10_000, "{asked} questions were asked");
}

#[test]
fn an_index_goes_on_with_its_log() {
    for seed in 200..210 {
        let (files, mut chance) = made(seed, 60);
        let index = LogIndex::of(&open(&files).unwrap()).unwrap();
        let mixed = open(&mixture(&files, &mut chance)).unwrap();
        let renewed = index.renewed(&mixed).unwrap();
        let of_new = LogIndex::of(&mixed).unwrap();
        assert_eq!(renewed.segments(), of_new.segments(), "seed {seed}");
    }
}

/// What folding every entry says of slots.
#[derive(Default)]
struct Fold {
    /// The slots that each entry touched.
    touched: Vec<BTreeSet<Slot>>,
    /// The id that each slot was given to.
    ids: Vec<ComponentId>,
}

impl Fold {
    fn of(log: &Log) -> Self {
        let (mut replay, mut fold) = (Replay::from_the_start(log), Fold::default());
        loop {
            let mut flow = replay.state().flow.clone();
            let Some(entry) = replay.next_entry().unwrap() else { return fold };
            let mut touched = BTreeSet::new();
            if let Body::Change(operations) = &entry.body {
                for operation in operations {
                    touched.extend(flow.slot(operation.id()));
                    flow.apply(operation).unwrap();
                    touched.extend(flow.slot(operation.id()));
                    if flow.next_slot().0 as usize > fold.ids.len() {
                        fold.ids.push(operation.id().clone());
                    }
                }
            }
            fold.touched.push(touched);
        }
    }

    fn compare(&self, index: &LogIndex, chance: &mut Chance, seed: u64) -> usize {
        let entries = self.touched.len();
        let ranges: Vec<(u64, u64)> = (0..6)
            .map(|_| (chance.below(entries + 1) as u64, chance.below(entries + 3) as u64))
            .chain([(0, entries as u64)])
            .collect();
        for slot in 0..self.ids.len() as u32 + 2 {
            let expected = self.ids.get(slot as usize);
            assert_eq!(index.id_of(Slot(slot)).unwrap().as_ref(), expected, "seed {seed}, slot {slot}");
            for (after, to) in &ranges {
                let expected: Vec<Seq> = (after + 1..=(*to).min(entries as u64))
                    .filter(|seq| self.touched[*seq as usize - 1].contains(&Slot(slot)))
                    .map(Seq)
                    .collect();
                let found = || index.touches(Slot(slot), Seq(*after), Seq(*to));
                let back = || index.touches_back(Slot(slot), Seq(*after), Seq(*to));
                // Segment by segment, and several segments at once.
                for found in [found(), found().all().unwrap()] {
                    let found: Result<Vec<Seq>, _> = found.collect();
                    assert_eq!(found.unwrap(), expected, "seed {seed}, slot {slot}, ({after}, {to}]");
                }
                for back in [back(), back().all().unwrap()] {
                    let back: Result<Vec<Seq>, _> = back.collect();
                    assert!(back.unwrap().iter().eq(expected.iter().rev()), "seed {seed}, slot {slot}");
                }
            }
        }
        for (after, to) in &ranges {
            let between = (after + 1..=(*to).min(entries as u64)).map(|seq| &self.touched[seq as usize - 1]);
            let expected: BTreeSet<Slot> = between.flatten().copied().collect();
            assert_eq!(
                index.touched(Seq(*after), Seq(*to)).unwrap(),
                expected,
                "seed {seed}, ({after}, {to}]"
            );
        }
        let distinct: BTreeSet<&ComponentId> = self.ids.iter().collect();
        for id in distinct {
            let of_id = (0..).map(Slot).zip(&self.ids).filter(|(_, other)| *other == id);
            let mut expected: Vec<Slot> = of_id.map(|(slot, _)| slot).collect();
            expected.reverse();
            let found: Result<Vec<Slot>, _> = index.slots_of(id).collect();
            assert_eq!(found.unwrap(), expected, "seed {seed}, {id}");
        }
        assert_eq!(index.slots_of("never added").count(), 0);
        self.ids.len() * ranges.len()
    }
}

/// A history that was closed, but killed before its last segment was sealed, is sealed by the next close; one that was
/// killed while it was open says so before anything of it is sealed.
#[test]
fn what_a_kill_left_raw_is_sealed_once_the_log_says_that_it_was_closed() {
    let alice = Author::user("alice");
    let open = |storage: &MemoryStorage, seal: bool| {
        let mut tuning = Tuning::hostile();
        tuning.derive_from_bytes = u64::MAX;
        tuning.seal = seal;
        History::options().tuning(tuning).open_storage(Arc::new(storage.clone())).unwrap()
    };
    let append = |history: &History, at: usize| {
        let part = Component::new(format!("part-{at}"), "part").field("text", "x".repeat(700));
        history.change(&alice, "").add(part).append().unwrap();
    };
    let raw = |storage: &MemoryStorage| {
        storage.files().keys().filter(|name| name.ends_with(".raw") && name.starts_with("segment")).count()
    };
    let storage = MemoryStorage::new();
    let history = open(&storage, false);
    (0..20).for_each(|at| append(&history, at));
    let version = history.version();
    let killed = MemoryStorage::with_files(storage.files());
    history.close().unwrap();
    assert!(raw(&storage) > 2, "segments stay raw where nothing is sealed");

    let history = open(&storage, true);
    assert_eq!(history.version(), version);
    history.close().unwrap();
    assert_eq!(raw(&storage), 0, "{:?}", storage.files().keys());
    let sealed = storage.files();
    open(&storage, true).close().unwrap();
    assert_eq!(storage.files(), sealed, "another opening changes nothing");

    for _ in 0..3 {
        let history = open(&killed, true);
        assert_eq!(history.version(), version);
        history.close().unwrap();
        assert_eq!(raw(&killed), 1, "the last segment, which nobody closed");
    }
    let history = open(&killed, true);
    append(&history, 20);
    assert_eq!(history.version().seq().0, version.seq().0 + 2, "behind a mark that says so");
    let last = history.version();
    history.close().unwrap();
    assert_eq!(raw(&killed), 0, "{:?}", killed.files().keys());
    assert_eq!(open(&killed, true).version(), last);
}
