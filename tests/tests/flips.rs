//! Goal: no damage is ever taken for a history. Whatever is flipped, cut, deleted, swapped or spliced in the files of a
//! closed history, it opens with an error that names a file, or shows exactly what was recorded: never a panic, a shorter
//! history or another flow.
//!
//! Method: every byte of every file of a small closed history with several segments is damaged, one bit at a time (one
//! bit of each byte here, every bit nightly), and everything is read through a read-only handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    Author, Component, Error, Flow, FlowVersionId, History, Mark, MemoryStorage, Scope, Tuning,
};
use flow_history_tests::{SeededClock, is_nightly};

type Files = BTreeMap<String, Vec<u8>>;

/// The true history: each version's name and flow.
struct Truth {
    files: Files,
    versions: Vec<(FlowVersionId, Flow)>,
}

fn made(seed: u64, checkpoints: bool) -> Truth {
    let mut tuning = Tuning::hostile();
    tuning.segment_bytes_first = 1 << 10;
    tuning.segment_bytes_max = 1 << 10;
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning.checkpoint_entries = 5;
    if !checkpoints {
        tuning.derive_from_bytes = u64::MAX;
    }
    let storage = MemoryStorage::new();
    let options = History::options().tuning(tuning).clock(SeededClock::new(seed));
    let history = options.open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice").named("Alice A.");
    history
        .change(&alice, "add")
        .add(Component::new("pump", "processor").field("rate", 80))
        .append()
        .unwrap();
    for rate in 0..6 {
        history.change(&alice, "set the rate").set("pump", "rate", rate).append().unwrap();
    }
    history.undo(Scope::Flow, &alice).unwrap();
    history.label(&alice, "tested", 3).unwrap();
    history.mark(&alice, Mark::Deploy).unwrap();
    history.change(&alice, "").remove("pump").append().unwrap();
    let versions = (0..=history.version().seq().0)
        .map(|seq| history.at(seq).map(|view| (view.version().unwrap(), view.to_flow().unwrap())).unwrap())
        .collect();
    history.close().unwrap();
    Truth { files: storage.files(), versions }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Found {
    Error,
    Truth,
}

/// What an error says is damaged: the name of a file, or nothing.
fn named(error: &Error) -> Option<String> {
    let of_path = |path: &std::path::Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match error {
        Error::Damaged { damage, .. } => Some(damage.file.clone()),
        Error::Unsupported { path, .. } | Error::Io { path, .. } => of_path(path),
        _ => None,
    }
}

/// Opens, reads everything, and says whether it is an error or the truth; anything else is told in words.
fn look(files: &Files, truth: &Truth, names: &[&str]) -> Result<Found, String> {
    let storage = MemoryStorage::with_files(files.clone());
    let look = || -> Result<Result<(), String>, Error> {
        let history = History::options().open_storage_read_only(Arc::new(storage.clone()))?;
        let head = history.version();
        let verified = history.verify()?;
        for (seq, (id, flow)) in truth.versions.iter().enumerate() {
            let view = history.at(seq as u64)?;
            if view.to_flow()? != *flow || view.version()? != *id {
                return Ok(Err(format!("version {seq} is another")));
            }
        }
        for line in history.log() {
            line?;
        }
        let last = truth.versions.last().unwrap().0;
        if head != last || verified.head != last {
            return Ok(Err(format!("the head is {}", head.seq())));
        }
        Ok(Ok(()))
    };
    let looked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).map_err(|_| "a panic".to_owned())?;
    if storage.files() != *files {
        return Err("reading changed the files".to_owned());
    }
    match looked {
        Ok(Ok(())) => Ok(Found::Truth),
        Ok(Err(wrong)) => Err(wrong),
        // An UnknownVersion here is a history that opened and is shorter.
        Err(error) => match named(&error) {
            // Under which of its two names a missing segment was there last, nobody can tell.
            Some(file) if names.iter().any(|name| stem(name) == stem(&file)) => Ok(Found::Error),
            _ => Err(format!("{error} names none of {names:?}")),
        },
    }
}

/// Damage to these costs time and nothing else.
fn is_derived(name: &str) -> bool {
    name.starts_with("checkpoint-") || name.starts_with("catalog") || name == "lock"
}

#[derive(Default, Debug)]
struct Tally {
    tried: usize,
    refused: usize,
    harmless: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, what: impl Fn() -> String, file: &str, found: Result<Found, String>) {
        self.tried += 1;
        match found {
            Ok(Found::Error) if is_derived(file) => {
                self.wrong.push(format!("{}: refused, and it is derived", what()));
            }
            Ok(Found::Error) => self.refused += 1,
            Ok(Found::Truth) => self.harmless += 1,
            Err(why) => self.wrong.push(format!("{}: {why}", what())),
        }
    }

    fn finish(self, what: &str) {
        eprintln!("{what}: {} tried, {} refused, {} harmless", self.tried, self.refused, self.harmless);
        let first: Vec<_> = self.wrong.iter().take(8).collect();
        assert!(
            self.wrong.is_empty(),
            "{what}: {} of {} went wrong: {first:#?}",
            self.wrong.len(),
            self.tried
        );
        assert!(self.refused > 0, "{what}: nothing was refused: the damage is blind");
    }
}

fn flip_every_byte(truth: &Truth, wanted: impl Fn(&str) -> bool, stride: usize) -> Tally {
    let mut tally = Tally::default();
    let mut files = truth.files.clone();
    for (name, bytes) in truth.files.iter().filter(|(name, _)| wanted(name)) {
        for at in (0..bytes.len()).step_by(stride) {
            let bits = if is_nightly() { 0..8 } else { (at * 5 + at / 8) % 8..(at * 5 + at / 8) % 8 + 1 };
            for bit in bits {
                let flip = |files: &mut Files| files.get_mut(name).unwrap()[at] ^= 1 << bit;
                flip(&mut files);
                tally.add(|| format!("{name}, byte {at}, bit {bit}"), name, look(&files, truth, &[name]));
                flip(&mut files);
            }
        }
    }
    tally
}

#[test]
fn a_flipped_bit_of_the_log_is_an_error_that_names_the_file_or_changes_nothing() {
    let truth = made(1, false);
    assert!(truth.files.len() >= 4, "several segments are wanted: {:?}", truth.files.keys());
    assert_eq!(look(&truth.files, &truth, &[]), Ok(Found::Truth));
    flip_every_byte(&truth, |_| true, 1).finish("flips in the log");
}

#[test]
fn a_flipped_bit_of_a_checkpoint_or_the_catalog_costs_time_only() {
    let truth = made(2, true);
    let derived: Vec<_> = truth.files.iter().filter(|(name, _)| is_derived(name)).collect();
    assert!(derived.iter().any(|(name, _)| name.starts_with("checkpoint-")), "{:?}", truth.files.keys());
    assert!(derived.iter().any(|(name, _)| name.starts_with("catalog")), "{:?}", truth.files.keys());
    let mut checkpoints =
        flip_every_byte(&truth, |name| name.starts_with("checkpoint-"), if is_nightly() { 1 } else { 3 });
    // redb's file is large and mostly empty.
    let catalog =
        flip_every_byte(&truth, |name| name.starts_with("catalog"), if is_nightly() { 61 } else { 4_001 });
    checkpoints.tried += catalog.tried;
    checkpoints.harmless += catalog.harmless;
    checkpoints.wrong.extend(catalog.wrong);
    checkpoints.refused = 1;
    checkpoints.finish("flips in what is derived");
}

#[test]
fn a_file_that_is_cut_short_is_an_error_or_changes_nothing() {
    let truth = made(3, false);
    let mut tally = Tally::default();
    for (name, bytes) in &truth.files {
        for length in 0..bytes.len() {
            let mut files = truth.files.clone();
            files.get_mut(name).unwrap().truncate(length);
            tally.add(
                || format!("{name} cut to {length} of {} bytes", bytes.len()),
                name,
                look(&files, &truth, &[name]),
            );
        }
    }
    tally.finish("truncations");
}

#[test]
fn a_file_with_something_behind_it_is_an_error_or_changes_nothing() {
    let truth = made(3, false);
    let mut tally = Tally::default();
    for name in truth.files.keys() {
        for (count, byte) in [(1, 0), (1, 7), (511, 0), (4_096, 0), (4_096, 255)] {
            let mut files = truth.files.clone();
            files.get_mut(name).unwrap().extend(vec![byte; count]);
            tally.add(|| format!("{name} with {count} bytes {byte}"), name, look(&files, &truth, &[name]));
        }
        // A part of the file, from any place, behind it: frames where no frames were.
        let bytes = truth.files[name].clone();
        for from in (0..bytes.len()).step_by(8) {
            let mut files = truth.files.clone();
            files.get_mut(name).unwrap().extend(&bytes[from..]);
            tally.add(
                || format!("{name} with its own bytes from {from}"),
                name,
                look(&files, &truth, &[name]),
            );
        }
    }
    tally.finish("additions");
}

#[test]
fn sectors_that_are_zeroed_or_change_places_are_an_error_or_change_nothing() {
    let truth = made(6, false);
    let mut tally = Tally::default();
    for (name, bytes) in &truth.files {
        for at in (0..bytes.len()).step_by(64) {
            let end = (at + 512).min(bytes.len());
            let mut files = truth.files.clone();
            files.get_mut(name).unwrap()[at..end].fill(0);
            if files != truth.files {
                tally.add(|| format!("{name}, zeros at {at}"), name, look(&files, &truth, &[name]));
            }
            for other in
                (0..bytes.len()).step_by(192).filter(|other| other + 64 <= at && at + 64 <= bytes.len())
            {
                let mut files = truth.files.clone();
                let held = files.get_mut(name).unwrap();
                let (low, high) = held.split_at_mut(at);
                low[other..other + 64].swap_with_slice(&mut high[..64]);
                tally.add(
                    || format!("{name}, {at} and {other} swapped"),
                    name,
                    look(&files, &truth, &[name]),
                );
            }
        }
    }
    tally.finish("sectors");
}

#[test]
fn a_file_that_is_missing_swapped_or_of_another_history_is_an_error() {
    let truth = made(4, true);
    let other = made(5, true);
    let mut tally = Tally::default();
    let names: Vec<&String> = truth.files.keys().collect();
    for name in &names {
        let mut files = truth.files.clone();
        files.remove(*name);
        tally.add(|| format!("{name} is missing"), name, look(&files, &truth, &[name]));
        if let Some(foreign) = other.files.get(*name).filter(|_| *name != "lock") {
            let mut files = truth.files.clone();
            files.insert((*name).clone(), foreign.clone());
            // Of two histories that do not fit, either may be called the stranger.
            let segments: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            tally.add(|| format!("{name} is of another history"), name, look(&files, &truth, &segments));
        }
    }
    let segments: Vec<&&String> = names.iter().filter(|name| name.starts_with("segment-")).collect();
    for a in &segments {
        for b in segments.iter().filter(|b| b > &a) {
            let mut files = truth.files.clone();
            let held = files.insert((**a).clone(), truth.files[**b].clone()).unwrap();
            files.insert((**b).clone(), held);
            let found = look(&files, &truth, &[a.as_str(), b.as_str()]);
            assert_eq!(found, Ok(Found::Error), "{a} and {b} swapped");
            tally.add(|| format!("{a} and {b} swapped"), a, found);
            // The same segment twice.
            let mut files = truth.files.clone();
            files.insert((**b).clone(), truth.files[**a].clone());
            tally.add(|| format!("{a} in place of {b}"), b, look(&files, &truth, &[a.as_str(), b.as_str()]));
        }
    }
    // A second life of a segment's number: the next one, again.
    let last = segments.last().unwrap();
    let number: u64 = stem(last)["segment-".len()..].parse().unwrap();
    let next = format!("segment-{:010}{}", number + 1, &last[stem(last).len()..]);
    let mut files = truth.files.clone();
    files.insert(next.clone(), truth.files[**last].clone());
    tally.add(|| format!("{last} again as {next}"), &next, look(&files, &truth, &[next.as_str()]));
    tally.finish("files");
}

#[test]
fn a_writer_refuses_what_a_reader_refuses_and_leaves_it_alone() {
    let truth = made(7, false);
    let mut tried = 0;
    for (name, bytes) in &truth.files {
        for at in (0..bytes.len()).step_by(if is_nightly() { 1 } else { 7 }) {
            let mut files = truth.files.clone();
            files.get_mut(name).unwrap()[at] ^= 0x10;
            if look(&files, &truth, &[name]) != Ok(Found::Error) || name == "lock" {
                continue;
            }
            let storage = MemoryStorage::with_files(files.clone());
            match History::options().open_storage(Arc::new(storage.clone())) {
                Err(error) => assert_eq!(named(&error).as_ref(), Some(name), "byte {at}: {error}"),
                // What lies before the end is read when it is asked for; then it must say so.
                Ok(history) => {
                    let found = history.verify().map(|verified| verified.head);
                    assert!(
                        found.is_err(),
                        "{name}, byte {at}: a writer verifies what a reader refuses: {found:?}"
                    );
                }
            }
            files.remove("lock");
            let mut left = storage.files();
            left.remove("lock");
            assert!(left == files, "{name}, byte {at}: opening changed what is damaged");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

/// A history as a crash leaves it, and the file and place where the newest entry begins.
fn made_and_not_closed() -> (Truth, String, usize) {
    let mut tuning = Tuning::hostile();
    tuning.segment_bytes_first = 2 << 10;
    tuning.segment_bytes_max = 2 << 10;
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning.derive_from_bytes = u64::MAX;
    let storage = MemoryStorage::new();
    let options = History::options().tuning(tuning).clock(SeededClock::new(9));
    let history = options.open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    for rate in 0..14 {
        history.change(&alice, "set the rate").set("pump", "rate", rate).append().unwrap();
    }
    let before = storage.files();
    history.change(&alice, "").set("pump", "rate", "the newest").append().unwrap();
    let mut files = storage.files();
    files.retain(|name, _| !name.starts_with("pool-"));
    let last = files.keys().rfind(|name| name.starts_with("segment-")).unwrap().clone();
    let place = files[&last].iter().zip(&before[&last]).position(|(new, old)| new != old).unwrap();
    let versions = (0..=history.version().seq().0)
        .map(|seq| history.at(seq).map(|view| (view.version().unwrap(), view.to_flow().unwrap())).unwrap())
        .collect();
    (Truth { files, versions }, last, place)
}

#[test]
fn where_a_history_was_not_closed_only_its_newest_entry_can_be_taken_for_torn() {
    let (truth, last, newest) = made_and_not_closed();
    let mut without_newest = made_and_not_closed().0;
    without_newest.versions.pop();
    assert_eq!(look(&truth.files, &truth, &[]), Ok(Found::Truth));
    let (mut tally, mut torn) = (Tally::default(), 0);
    let mut files = truth.files.clone();
    for (name, bytes) in &truth.files {
        for at in 0..bytes.len() {
            let bit = 1 << ((at * 3 + at / 8) % 8);
            files.get_mut(name).unwrap()[at] ^= bit;
            let mut found = look(&files, &truth, &[name]);
            if found.is_err() && *name == last && at >= newest {
                found = look(&files, &without_newest, &[name]);
                torn += usize::from(found == Ok(Found::Truth));
            }
            tally.add(|| format!("{name}, byte {at}"), name, found);
            files.get_mut(name).unwrap()[at] ^= bit;
        }
        // A whole frame gone, as a disk loses it that reorders what it was told to keep.
        for at in
            (512..bytes.len().saturating_sub(96)).step_by(8).filter(|at| *name != last || at + 96 <= newest)
        {
            files.get_mut(name).unwrap()[at..at + 96].fill(0);
            if files[name] != *bytes {
                tally.add(|| format!("{name}, zeros at {at}"), name, look(&files, &truth, &[name]));
            }
            files.get_mut(name).unwrap()[at..at + 96].copy_from_slice(&bytes[at..at + 96]);
        }
    }
    assert!(torn > 50, "damage to the newest entry is not told from a torn one: {torn}");
    tally.finish("flips in a history that was not closed");
}

/// The log of an earlier moment of a history beside what was derived from it later.
fn check_log_behind(derived: &str) {
    let storage = MemoryStorage::new();
    let mut tuning = Tuning::hostile();
    tuning.background = false;
    let open = |storage: &MemoryStorage| {
        let options = History::options().tuning(tuning.clone()).clock(SeededClock::new(11));
        options.open_storage(Arc::new(storage.clone()))
    };
    let alice = Author::user("alice");
    let fill = |history: &History, count: u64| {
        for rate in 0..count {
            history.change(&alice, "").set("pump", "rate", rate).append().unwrap();
        }
    };
    let history = open(&storage).unwrap();
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    fill(&history, 4);
    history.close().unwrap();
    let earlier = storage.files();
    let history = open(&storage).unwrap();
    fill(&history, 40);
    history.close().unwrap();
    let mut files = earlier;
    let later: Files = storage.files().into_iter().filter(|(name, _)| name.starts_with(derived)).collect();
    assert!(!later.is_empty());
    files.extend(later);
    let storage = MemoryStorage::with_files(files);
    let error = open(&storage).map(|history| history.version()).unwrap_err();
    let Error::Damaged { damage, .. } = &error else { panic!("{error}") };
    assert_eq!(damage.what, flow_history_replay::What::LogIsShorter, "{error}");
    if derived == "checkpoint-" {
        let read = History::options().open_storage_read_only(Arc::new(storage));
        assert!(matches!(read, Err(Error::Damaged { .. })), "{:?}", read.map(|history| history.version()));
    }
}

#[test]
fn a_log_that_is_behind_its_checkpoint_is_damage() {
    check_log_behind("checkpoint-");
}

#[test]
fn a_log_that_is_behind_its_catalog_is_damage() {
    check_log_behind("catalog");
}

/// Two lives of a history after one crash begin a segment of the same number, at the same entry, with the same chain.
#[test]
fn a_frame_of_another_life_of_its_file_is_no_frame() {
    let (truth, ..) = made_and_not_closed();
    let alice = Author::user("alice");
    let lives: Vec<Files> = [21, 22]
        .map(|seed| {
            let mut tuning = Tuning::hostile();
            tuning.vouch_after = Duration::from_secs(3_600);
            tuning.derive_from_bytes = u64::MAX;
            let storage = MemoryStorage::with_files(truth.files.clone());
            let options = History::options().tuning(tuning).clock(SeededClock::new(seed));
            let history = options.open_storage(Arc::new(storage.clone())).unwrap();
            for rate in 0..6 {
                history.change(&alice, "").set("pump", "rate", rate).append().unwrap();
            }
            storage.files()
        })
        .into();
    let name = lives[0].keys().rfind(|name| name.starts_with("segment-")).unwrap();
    let (one, other) = (&lives[0][name], &lives[1][name]);
    let end = one.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let starts: Vec<usize> = (512..end).step_by(8).filter(|at| one[*at..].starts_with(b"FhFr")).collect();
    assert_eq!(starts.len(), 6);
    for (count, at) in starts.iter().enumerate().skip(1) {
        // A crash that lost the last frames of one life, where the file still holds those of the other.
        let mut mixed = one.clone();
        mixed[*at..].copy_from_slice(&other[*at..]);
        let mut files = lives[0].clone();
        files.insert(name.clone(), mixed);
        files.retain(|name, _| !name.starts_with("pool-"));
        let history = History::options().open_storage_read_only(Arc::new(MemoryStorage::with_files(files)));
        let history = history.unwrap_or_else(|error| panic!("{count} frames: {error}"));
        // The mark that says that there was a crash, and so many changes.
        assert_eq!(history.version().seq().0, truth.versions.len() as u64 + count as u64, "{count} frames");
        history.verify().unwrap();
    }
}

/// Two copies of a history went on, each its own way; a segment of one stands between those of the other.
#[test]
fn segments_of_two_lives_of_a_history_are_no_log() {
    let storage = MemoryStorage::new();
    let alice = Author::user("alice");
    let open = |storage: &MemoryStorage, seed: u64| {
        let mut tuning = Tuning::hostile();
        tuning.derive_from_bytes = u64::MAX;
        tuning.background = false;
        let options = History::options().tuning(tuning).clock(SeededClock::new(seed));
        options.open_storage(Arc::new(storage.clone())).unwrap()
    };
    let history = open(&storage, 1);
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    history.close().unwrap();
    let lives = [2_u64, 3].map(|seed| {
        let storage = MemoryStorage::with_files(storage.files());
        // Each life is closed twice, so that it has two segments of its own.
        for _ in 0..2 {
            let history = open(&storage, seed);
            for rate in 0..4 {
                history.change(&alice, "").set("pump", "rate", seed * 10 + rate).append().unwrap();
            }
            history.close().unwrap();
        }
        storage.files()
    });
    let last = lives[0].keys().rfind(|name| name.starts_with("segment-")).unwrap();
    let mut mixed = lives[0].clone();
    mixed.insert(last.clone(), lives[1][last].clone());
    let opened = flow_history_replay::Log::open(Arc::new(MemoryStorage::with_files(mixed)));
    assert!(opened.is_err(), "the last segment of another life continues this one");
}

/// The name of a file without how it ends: a segment has one ending while it is raw and another once it is sealed.
fn stem(name: &str) -> &str {
    name.strip_suffix(".raw").or_else(|| name.strip_suffix(".sealed")).unwrap_or(name)
}
