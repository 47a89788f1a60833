//! Going on where a history is damaged: what is kept, what is not, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flow_history::{Author, Options, Tuning};

use crate::fixture::{json, open, place, pump, run};

fn files(dir: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Flips a bit of the newest entry of a history that was closed.
fn damage(dir: &str) {
    let segment = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some_and(|kind| kind == "raw")).max().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let message = b"drag it";
    let at = bytes.windows(message.len()).position(|window| window == message).unwrap();
    bytes[at] ^= 1;
    fs::write(segment, bytes).unwrap();
}

#[test]
fn a_damaged_history_goes_on_elsewhere_and_says_what_is_kept() {
    let (keep, dir) = place();
    let ids = pump(&dir);
    damage(&dir);
    assert_eq!(run(&["verify", &dir]).failed(6).code, 6);
    let before = files(&dir);
    let into = keep.path().join("flow-2").to_str().unwrap().to_owned();
    let (ran, lines) = json(&["succeed", &dir, "--into", &into]);
    ran.well();
    assert_eq!((&lines[0]["type"], &lines[0]["version"]), (&"succeeded".into(), &2.into()));
    assert_eq!(lines[0]["version_id"], ids[1].to_string());
    assert!(lines[0]["damage"].as_str().unwrap().contains("segment-0000000001.raw"), "{}", lines[0]);
    assert_eq!(files(&dir), before, "the damaged directory was changed");
    run(&["verify", &into]).well();
    // It is recorded on, and old IDs lead to the old versions.
    let history = open(&into);
    history.change(&Author::user("bob"), "go on").set("pump-1", "rate", 9).append().unwrap();
    history.close().unwrap();
    let old = run(&["show", &into, &ids[0].to_string(), "pump-1"]).well().stdout;
    assert!(old.contains("80"), "{old}");
    run(&["show", &into, &ids[2].to_string()]).failed(5);
    // In words.
    let other = format!("{into}-b");
    let said = run(&["succeed", &dir, "--into", &other]).well().stdout;
    for part in ["goes on from version 2", "kept", &ids[1].to_string(), "not kept", "next", "verify"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_is_sound_or_written_and_a_place_that_is_taken_are_refused() {
    let (keep, dir) = place();
    pump(&dir);
    let into = keep.path().join("flow-2").to_str().unwrap().to_owned();
    let said = run(&["succeed", &dir, "--into", &into]).failed(4).stderr;
    assert!(said.contains("is not damaged") && said.contains("backup"), "{said}");
    // A checkpoint is derived: without it nothing is lost.
    assert!(!Path::new(&into).exists());
    damage(&dir);
    let said = run(&["succeed", &dir, "--into", &dir]).failed(4).stderr;
    assert!(said.contains("lies in the damaged directory"), "{said}");
    let inside = format!("{dir}/deeper/new");
    run(&["succeed", &dir, "--into", &inside]).failed(4);
    assert!(!Path::new(&dir).join("deeper").exists());
    let file = keep.path().join("mine.txt");
    fs::write(&file, "mine").unwrap();
    run(&["succeed", &dir, "--into", file.to_str().unwrap()]).failed(4);
    let taken = keep.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine.txt"), "mine").unwrap();
    let said = run(&["succeed", &dir, "--into", taken.to_str().unwrap()]).failed(4).stderr;
    assert!(said.contains("is free"), "{said}");
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
    // Somebody holds the lock of a history that was damaged under them.
    let written = keep.path().join("written").to_str().unwrap().to_owned();
    let host = Options::new().tuning(Tuning::default()).open(&written).unwrap();
    let alice = Author::user("alice");
    for message in ["first", "drag it", "last"] {
        host.change(&alice, message).add(flow_history::Component::new(message, "k")).append().unwrap();
    }
    damage(&written);
    let said = run(&["succeed", &written, "--into", &into]).failed(11).stderr;
    assert!(said.contains("written by another process"), "{said}");
    assert!(!Path::new(&into).exists());
    drop(host);
}
