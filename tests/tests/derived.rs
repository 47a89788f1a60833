//! Goal: checkpoints and the catalog cost time when they are missing, and nothing else; with them, opening a version reads
//! a bounded part of the log.
//!
//! Method: ten thousand small changes, a checkpoint due every 2,500; count the checkpoint files, and the entries that the handle
//! decodes to answer; then delete what is derived, in every combination, and ask again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_history::{
    Author, Component, Durability, History, MemoryStorage, Options, Seq, StateHash, Storage, Tuning,
};
use flow_history_replay::SEGMENT_HEADER_BYTES;
use flow_history_tests::{Call, Chance, Fault, Faulty, SeededClock};

const CHANGES: u64 = 10_000;
/// Between two checkpoints lie 2,500 entries, and what is appended while one is written.
const ENTRIES_READ_MAX: u64 = 5_000;

/// Entries between two checkpoints.
const CADENCE: u64 = 2_500;

fn open(storage: &MemoryStorage) -> History {
    let mut tuning = Tuning::default();
    tuning.checkpoint_entries = CADENCE;
    tuning.catalog_from_bytes = 0;
    Options::new().tuning(tuning).clock(SeededClock::new(5)).open_storage(Arc::new(storage.clone())).unwrap()
}

fn ten_thousand_changes() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump-1", "processor").field("rate", 0)).append().unwrap();
    for rate in 2..=CHANGES {
        history.change(&alice, "").set("pump-1", "rate", rate).append().unwrap();
    }
    history.close().unwrap();
    storage
}

fn checkpoints(storage: &MemoryStorage) -> Vec<String> {
    storage.files().into_keys().filter(|name| name.starts_with("checkpoint-")).collect()
}

fn hashes(storage: MemoryStorage) -> Vec<(Seq, StateHash)> {
    let history = Options::new().open_storage_read_only(Arc::new(storage)).unwrap();
    let versions = [1, 2, 2_499, 2_500, 2_501, 4_999, 7_777, 9_999, CHANGES];
    versions.into_iter().map(|n| (Seq(n), history.at(n).unwrap().state_hash().unwrap())).collect()
}

#[test]
fn opening_a_version_of_ten_thousand_reads_a_bounded_part_of_the_log() {
    let storage = ten_thousand_changes();
    let kept = checkpoints(&storage);
    assert!(kept.len() >= 3, "{kept:?}");

    for version in [CHANGES, 9_999, 5_001, 2_600] {
        let history = Options::new().open_storage_read_only(Arc::new(storage.clone())).unwrap();
        let opened = history.entries_read();
        assert!(opened <= ENTRIES_READ_MAX, "opening decoded {opened} entries");
        let view = history.at(version).unwrap();
        assert_eq!(view.component("pump-1").unwrap().unwrap().get("rate"), Some(&version.into()));
        // A handle that only reads looks for newer versions with every question, and decodes the tail once more.
        let read = history.entries_read();
        assert!(read <= 3 * ENTRIES_READ_MAX, "version {version} decoded {read} entries");
    }
}

/// What a question needs of a disk is mostly known before the first of it has come: of however many blocks in however many
/// segments, they are fetched at once.
#[test]
fn one_component_of_long_ago_waits_for_the_disk_a_few_times() {
    let storage = MemoryStorage::new();
    let mut tuning = Tuning::default();
    (tuning.segment_bytes_first, tuning.segment_bytes_max) = (64 << 10, 128 << 10);
    (tuning.checkpoint_entries, tuning.checkpoint_bytes_percent) = (2_000, 100_000);
    tuning.background = false;
    let history = Options::new()
        .tuning(tuning)
        .clock(SeededClock::new(9))
        .open_storage(Arc::new(storage.clone()))
        .unwrap();
    let (alice, mut chance) = (Author::user("alice"), Chance::new(9));
    let letters: Vec<char> = ('a'..='z').collect();
    let mut text = || -> String { (0..24).map(|_| *chance.pick(&letters)).collect() };
    for pump in 0..2_000 {
        let pump = Component::new(format!("pump-{pump}"), "processor").field("note", text());
        history.change(&alice, "").add(pump.field("place", text())).append().unwrap();
    }
    for round in 0..8 {
        for pump in 0..2_000 {
            let pump = format!("pump-{}", (pump * 7 + round) % 2_000);
            history.change(&alice, "").set(&pump, "note", text()).append().unwrap();
        }
    }
    history.close().unwrap();

    // One that stays, and the one that follows the head: all between is told by the log.
    let places = places(&storage);
    assert!(places.len() == 2 && places[1] - places[0] > 10_000, "{places:?}");
    let asked = places[1] - 100;

    let disk = Arc::new(Faulty::new(Arc::new(storage)));
    let history = Options::new().open_storage_read_only(Arc::clone(&disk) as _).unwrap();
    let blocks = |log: &flow_history_replay::Log| -> usize {
        log.segments()
            .iter()
            .filter_map(|segment| Some(segment.sealed.as_ref()?.blocks().unwrap().count()))
            .sum()
    };
    let log = flow_history_replay::Log::open(Arc::clone(&disk) as _).unwrap();
    assert!(log.segments().len() >= 10 && blocks(&log) >= 20, "{} {}", log.segments().len(), blocks(&log));
    // The first question also compares the checkpoint with what the log says of it.
    for (pump, most) in [(3, 6), (555, 3), (1_998, 3)] {
        flow_history::forget_cached();
        disk.cool();
        let view = history.at(asked).unwrap();
        let component = view.component(&format!("pump-{pump}")).unwrap();
        assert!(component.is_some());
        // The identity, which says that nothing was pruned; the page of ids; the page of the index of slots.
        let waits = disk.waits();
        assert!(waits.len() <= most, "{waits:#?}");
    }
}

/// The versions of the checkpoints there are.
fn places(storage: &MemoryStorage) -> Vec<u64> {
    let number = |name: &String| {
        name.strip_prefix("checkpoint-").and_then(|name| name.strip_suffix(".pages")?.parse().ok())
    };
    checkpoints(storage).iter().filter_map(number).collect()
}

/// A history in memory on which 200 components are changed in turns as fast as they can be. Where whoever appends does the
/// background's work, what gathers is written after so many changes, so that all is in the same order every time.
fn burst(seed: u64, changes: u64, flush_every: Option<u64>, percent: u64) -> (MemoryStorage, History) {
    let storage = MemoryStorage::new();
    let history = of_pumps(Arc::new(storage.clone()), seed, flush_every.is_none(), percent);
    note(&history, 0..changes, flush_every);
    (storage, history)
}

fn of_pumps(storage: Arc<dyn Storage>, seed: u64, background: bool, percent: u64) -> History {
    let mut tuning = Tuning::default();
    tuning.derive_from_bytes = 0;
    tuning.checkpoint_entries = 1_000;
    tuning.checkpoint_bytes_percent = percent;
    tuning.background = background;
    let durability = Durability::Buffered { max_delay: Duration::from_millis(5) };
    let options = Options::new().durability(durability).tuning(tuning).clock(SeededClock::new(seed));
    let history = options.open_storage(storage).unwrap();
    let alice = Author::user("alice");
    for pump in 0..200 {
        let pump = Component::new(format!("pump-{pump}"), "processor").field("note", "none yet");
        history.change(&alice, "").add(pump).append().unwrap();
    }
    history
}

fn note(history: &History, notes: std::ops::Range<u64>, flush_every: Option<u64>) {
    let alice = Author::user("alice");
    for note in notes {
        let pump = format!("pump-{}", note % 200);
        history.change(&alice, "").set(&pump, "note", format!("the note {note}")).append().unwrap();
        if flush_every.is_some_and(|every| note % every == 0) {
            history.flush().unwrap();
        }
    }
    history.flush().unwrap();
}

#[test]
fn after_a_burst_the_newest_checkpoint_is_close_behind() {
    for round in 0..4 {
        let (storage, history) = burst(round, 40_000 + 3_000 * round, None, 2_000);
        let head = history.version().seq().0;
        // What was due when the burst ended is made at leisure.
        let deadline = Instant::now() + Duration::from_secs(60);
        let behind = || head - places(&storage).last().copied().unwrap_or_default();
        while behind() >= 1_000 + 200 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(behind() < 1_000 + 200, "the newest checkpoint is {} entries behind", behind());
        history.close().unwrap();
    }
}

/// A host is idle most of the time, and then is when it is killed.
#[test]
fn an_idle_history_has_a_checkpoint_close_behind_its_head() {
    let (storage, history) = burst(9, 1_000, None, 2_000);
    let deadline = Instant::now() + Duration::from_secs(60);
    let wait = |done: &dyn Fn(u64) -> bool| {
        let newest = || places(&storage).last().copied().unwrap_or_default();
        while !done(newest()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(done(newest()), "the newest checkpoint is that of {}", newest());
    };
    wait(&|newest| newest >= 1_000);
    // For so few appending asks for none.
    note(&history, 1_000..1_700, None);
    wait(&|newest| newest + 1_000 / 8 > history.version().seq().0);
    history.close().unwrap();
}

/// How many are made while others append depends on how often the background has its turn. Here whoever appends does its work.
#[test]
fn checkpoints_that_stay_are_evenly_spaced() {
    // Groups that hold many entries end where such a checkpoint is due.
    for flush_every in [500, 1_000_000] {
        let (storage, history) = burst(0, 60_000, Some(flush_every), 20_000);
        history.close().unwrap();
        let places = places(&storage);
        let gaps: Vec<u64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // The first has no other before it, and the last is where the history was closed.
        let between = gaps.get(1..gaps.len() - 1).unwrap();
        let (least, most) = (between.iter().min().unwrap(), between.iter().max().unwrap());
        // Those in between, each of which was the newest for a while, are gone.
        assert!(*least >= 2_000 && *most <= least * 5 / 4 && places.len() >= 6, "{places:?}");
    }
}

#[test]
fn a_checkpoint_that_could_not_be_written_comes_once_it_can_be() {
    let storage = MemoryStorage::new();
    let disk = Faulty::new(Arc::new(storage.clone()));
    let history = of_pumps(Arc::new(disk.clone()), 3, false, 20_000);
    let (mut at, flush_every) = (0, Some(100));
    let mut on = |changes: u64| {
        note(&history, at..at + changes, flush_every);
        at += changes;
    };
    on(20_000);
    let before = places(&storage);
    let gap = before[2] - before[1];
    // All that lies between two, and more, while none can be written.
    let fault = Fault { call: Call::Rename, number: 1, errno: 28, half: false, forever: true };
    disk.plan(Some(fault));
    on(2 * gap);
    assert!(disk.struck().iter().any(|file| file.starts_with("checkpoint-")), "{:?}", disk.struck());
    assert_eq!(places(&storage), before);
    disk.plan(None);
    on(gap);
    let after = places(&storage);
    history.close().unwrap();
    // At once, and the one after it where it would have come anyway.
    let mended = 20_200 + 2 * gap;
    let new: Vec<u64> = after.iter().copied().filter(|place| !before.contains(place)).collect();
    assert!(
        new[0] - mended <= 200 && new.len() == 2 && places(&storage).contains(&new[0]),
        "{before:?} {after:?}"
    );
}

/// Whoever opens a history looks at its catalog, and whoever verifies it; redb would write to what it opens.
#[test]
fn whoever_looks_at_the_catalog_leaves_it_as_it_is() {
    let storage = ten_thousand_changes();
    let open = || Options::new().open_storage(Arc::new(storage.clone())).unwrap();
    let history = open();
    history.rebuild_catalog().unwrap();
    drop(history);
    let made = storage.files()["catalog.redb"].clone();
    let history = open();
    history.verify().unwrap();
    drop(history);
    assert!(storage.files()["catalog.redb"] == made, "the catalog was written to");
}

#[test]
fn what_is_derived_may_be_deleted_in_any_combination() {
    let storage = ten_thousand_changes();
    let truth = hashes(storage.clone());
    let files = storage.files();
    let derived: Vec<String> = files
        .keys()
        .filter(|name| name.starts_with("checkpoint-") || *name == "catalog.redb")
        .cloned()
        .collect();
    assert!(derived.len() >= 4, "{derived:?}");
    for combination in 1_u32..1 << derived.len() {
        let deleted = |name: &String| {
            derived.iter().position(|other| other == name).is_some_and(|at| combination >> at & 1 == 1)
        };
        let left: BTreeMap<_, _> = files.clone().into_iter().filter(|(name, _)| !deleted(name)).collect();
        assert_eq!(hashes(MemoryStorage::with_files(left)), truth, "without {combination:b} of {derived:?}");
    }
}

#[test]
fn a_checkpoint_of_another_line_of_the_same_history_is_passed_over() {
    // The same history goes on in two copies; the checkpoint of one is laid beside the log of the other.
    let (storage, copy) = two_copies();
    go_on(&storage, 1, 6_000);
    go_on(&copy, 2, 6_000);

    let mut mixed = storage.files();
    let foreign: BTreeMap<_, _> =
        copy.files().into_iter().filter(|(name, _)| name.starts_with("checkpoint-")).collect();
    assert!(!foreign.is_empty());
    // Its own are gone, so that none is nearer.
    mixed.retain(|name, _| !name.starts_with("checkpoint-"));
    mixed.extend(foreign);
    let open_mixed = || {
        let storage = Arc::new(MemoryStorage::with_files(mixed.clone()));
        Options::new().open_storage_read_only(storage).unwrap()
    };
    let history = open_mixed();
    for version in [2_u64, 2_600, 5_999, 6_000] {
        let view = history.at(version).unwrap();
        assert_eq!(view.component("pump-1").unwrap().unwrap().get("rate"), Some(&version.into()));
        // The whole flow, by whoever has read nothing yet.
        let flow = open_mixed().at(version).unwrap().to_flow().unwrap();
        let pump = flow.component("pump-1").unwrap();
        assert_eq!(
            (pump.get("rate"), pump.get("line")),
            (Some(&version.into()), Some(&1.into())),
            "{version}"
        );
    }
    history.verify().unwrap();
}

/// A history whose one entry added `pump-1`, twice.
fn two_copies() -> (MemoryStorage, MemoryStorage) {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    let pump = Component::new("pump-1", "processor").field("rate", 0);
    history.change(&Author::user("alice"), "").add(pump).append().unwrap();
    history.close().unwrap();
    let copy = MemoryStorage::with_files(storage.files());
    (storage, copy)
}

/// Goes on with a history whose first entry added `pump-1`, in a way that the factor tells from others, and closes it.
fn go_on(storage: &MemoryStorage, factor: u64, entries: u64) {
    let (history, alice) = (open(storage), Author::user("alice"));
    // What every later entry sets again would hide where a flow came from.
    history
        .change(&alice, "")
        .set("pump-1", "rate", factor * 2)
        .set("pump-1", "line", factor)
        .append()
        .unwrap();
    for rate in 3..=entries {
        history.change(&alice, "").set("pump-1", "rate", factor * rate).append().unwrap();
    }
    history.close().unwrap();
}

#[test]
fn a_checkpoint_of_another_line_at_the_last_version_is_passed_over() {
    let (storage, copy) = two_copies();
    go_on(&copy, 2, 6_000);
    let last = *places(&copy).last().unwrap();
    assert!(last > 2, "{last}");
    go_on(&storage, 1, last);
    // A crash before its first entry was written left a segment without any.
    let clock = SeededClock::new(6);
    let history = Options::new().clock(clock).open_storage(Arc::new(storage.clone())).unwrap();
    history.change(&Author::user("alice"), "").set("pump-1", "rate", 0).append().unwrap();
    let mut mixed = storage.files();
    let (_, begun) =
        mixed.iter_mut().find(|(name, _)| name.starts_with("segment-") && name.ends_with(".raw")).unwrap();
    begun[SEGMENT_HEADER_BYTES..].fill(0);
    mixed.retain(|name, _| !name.starts_with("checkpoint-"));
    let name = copy.files().into_keys().rfind(|name| name.starts_with("checkpoint-")).unwrap();
    mixed.insert(name.clone(), copy.files()[&name].clone());
    for read_only in [true, false] {
        let storage = Arc::new(MemoryStorage::with_files(mixed.clone()));
        let history = match read_only {
            true => Options::new().open_storage_read_only(storage).unwrap(),
            false => Options::new().open_storage(storage).unwrap(),
        };
        assert_eq!(history.version().seq().0, last);
        let flow = history.at(last).unwrap().to_flow().unwrap();
        let pump = flow.component("pump-1").unwrap();
        assert_eq!((pump.get("rate"), pump.get("line")), (Some(&last.into()), Some(&1.into())));
        history.verify().unwrap();
    }
}
