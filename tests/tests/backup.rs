//! Goal: a copy of a history that somebody writes is a history up to a version that was durable, and says so; a plain copy
//! of its files opens as a beginning of it or says what is missing.
//!
//! Method: real directories, a writer in a thread of its own under a hostile tuning, so that segments fill and are sealed
//! while they are copied.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flow_history::{Author, Component, Error, History, Options, Seq, Tuning};

fn write_until(history: &History, done: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (history, done) = (history.clone(), Arc::clone(done));
    thread::spawn(move || {
        let alice = Author::user("alice");
        let mut rate = 0_u64;
        while !done.load(Ordering::Relaxed) {
            history.change(&alice, "").set("pump-1", "rate", rate).append().unwrap();
            rate += 1;
        }
    })
}

fn begin(dir: &Path) -> History {
    let history = Options::new().tuning(Tuning::hostile()).open(dir).unwrap();
    history.change(&Author::user("alice"), "").add(Component::new("pump-1", "processor")).append().unwrap();
    history
}

#[test]
fn a_backup_of_a_live_history_is_whole_and_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let history = begin(&dir.path().join("live"));
    let done = Arc::new(AtomicBool::new(false));
    let writer = write_until(&history, &done);
    let mut backups = Vec::new();
    for round in 0..8 {
        let to = dir.path().join(format!("copy-{round}"));
        let durable = history.version().seq();
        let backup = history.backup(&to).unwrap();
        assert!(backup.version.seq() >= durable, "what was durable when it began is in it");
        backups.push((to, backup));
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();

    for (to, backup) in backups {
        let copy = History::open(&to).unwrap();
        assert_eq!(copy.version(), backup.version);
        assert_eq!(history.resolve(backup.version).unwrap(), backup.version.seq());
        let of_copy = copy.at(backup.version).unwrap().state_hash().unwrap();
        assert_eq!(of_copy, history.at(backup.version).unwrap().state_hash().unwrap());
        // Whatever it goes on with has a name of its own.
        let bob = Author::user("bob");
        let next = copy.change(&bob, "").set("pump-1", "rate", 7).append().unwrap();
        assert!(matches!(history.resolve(next), Err(Error::Foreign { .. } | Error::UnknownVersion { .. })));
        copy.close().unwrap();
        History::open_read_only(&to).unwrap().verify().unwrap();
    }
}

#[test]
fn a_backup_of_what_was_closed_and_of_what_is_only_read_is_the_same_history() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let history = begin(&from);
    for rate in 0..300 {
        history.change(&Author::user("alice"), "").set("pump-1", "rate", rate).append().unwrap();
    }
    history.close().unwrap();
    let read = History::open_read_only(&from).unwrap();
    let backup = read.backup(&to).unwrap();
    assert_eq!(backup.version, read.version());
    assert_eq!(History::open_read_only(&to).unwrap().verify().unwrap().head, read.version());
}

#[test]
fn a_backup_goes_into_no_directory_that_holds_something() {
    let dir = tempfile::tempdir().unwrap();
    let history = begin(&dir.path().join("live"));
    let to = dir.path().join("full");
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("note.txt"), "mine").unwrap();
    assert!(matches!(history.backup(&to), Err(Error::NotEmpty { dir }) if dir == to));
    let names: Vec<_> = std::fs::read_dir(&to).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["note.txt"]);
    assert!(matches!(history.backup(dir.path().join("live")), Err(Error::NotEmpty { .. })));
}

#[test]
fn a_plain_copy_of_a_live_directory_opens_as_a_beginning_or_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let history = begin(&live);
    let done = Arc::new(AtomicBool::new(false));
    let writer = write_until(&history, &done);
    while history.version().seq() < Seq(60) {
        thread::sleep(std::time::Duration::from_millis(1));
    }
    let (mut opened, mut refused) = (0, 0);
    for round in 0..30 {
        let to = dir.path().join(format!("plain-{round}"));
        std::fs::create_dir(&to).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(&live).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            // A file may be sealed, and gone, before it is copied.
            let _ = std::fs::copy(live.join(&name), to.join(&name));
        }
        match History::open_read_only(&to) {
            Ok(copy) => {
                let seq = copy.version().seq();
                // A group may be copied between its write and its sync.
                history.flush().unwrap();
                assert!(seq <= history.version().seq());
                assert_eq!(history.resolve(copy.version()).unwrap(), seq, "it is a beginning of it");
                let of_copy = copy.at(seq).unwrap().state_hash().unwrap();
                assert_eq!(of_copy, history.at(seq).unwrap().state_hash().unwrap());
                opened += 1;
            }
            Err(Error::Damaged { damage, .. }) => {
                assert!(!damage.file.is_empty());
                refused += 1;
            }
            Err(Error::NotAHistory { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    eprintln!("plain copies: {opened} opened, {refused} said what is missing");
}
