//! Goal: checkpoints and the catalog cost time when they are missing, and nothing else; with them, opening a version reads
//! a bounded part of the log.
//!
//! Method: ten thousand small changes under the default tuning; count the checkpoint files, and the entries that the handle
//! decodes to answer; then delete what is derived, in every combination, and ask again.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history::{Author, Component, History, MemoryStorage, Options, Seq, StateHash};
use flow_history_tests::SeededClock;

const CHANGES: u64 = 10_000;
/// Between two checkpoints lie 2,500 entries, and what is appended while one is written.
const ENTRIES_READ_MAX: u64 = 5_000;

fn open(storage: &MemoryStorage) -> History {
    Options::new().clock(SeededClock::new(5)).open_storage(Arc::new(storage.clone())).unwrap()
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
    let storage = MemoryStorage::new();
    let history = open(&storage);
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump-1", "processor").field("rate", 0)).append().unwrap();
    history.close().unwrap();
    let copy = MemoryStorage::with_files(storage.files());
    let go_on = |storage: &MemoryStorage, factor: u64| {
        let history = open(storage);
        for rate in 2..=6_000 {
            history.change(&alice, "").set("pump-1", "rate", factor * rate).append().unwrap();
        }
        history.close().unwrap();
    };
    go_on(&storage, 1);
    go_on(&copy, 2);

    let mut mixed = storage.files();
    let foreign: BTreeMap<_, _> =
        copy.files().into_iter().filter(|(name, _)| name.starts_with("checkpoint-")).collect();
    assert!(!foreign.is_empty());
    mixed.extend(foreign);
    let history = Options::new().open_storage_read_only(Arc::new(MemoryStorage::with_files(mixed))).unwrap();
    for version in [2_u64, 2_600, 5_999, 6_000] {
        let view = history.at(version).unwrap();
        assert_eq!(view.component("pump-1").unwrap().unwrap().get("rate"), Some(&version.into()));
    }
    history.verify().unwrap();
}
