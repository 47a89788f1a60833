//! Whatever goes wrong ends with its own exit code, a sentence and a hint; under `--json` as a last line.

use std::fs;
use std::path::Path;

use flow_history::{Author, Component, History};

use crate::fixture::{documents, json, open, place, pump, run};

/// Checks the exit code, as text and as JSON Lines.
fn check(arguments: &[&str], code: i32, name: &str) -> String {
    let text = run(arguments).failed(code).stderr;
    let (ran, lines) = json(arguments);
    let last = lines.last().unwrap();
    assert_eq!(ran.code, code);
    assert_eq!(ran.stderr, "");
    assert_eq!((&last["type"], &last["code"], &last["exit"]), (&"error".into(), &name.into(), &code.into()));
    assert!(last["message"].is_string() && last["hint"].is_string(), "{last}");
    text
}

#[test]
fn no_history() {
    let (keep, dir) = place();
    let copy = keep.path().join("copy").to_str().unwrap().to_owned();
    let all: [&[&str]; 15] = [
        &["log", &dir],
        &["at", &dir, "1"],
        &["diff", &dir, "0", "1"],
        &["show", &dir, "1"],
        &["stat", &dir],
        &["verify", &dir],
        &["undo", &dir],
        &["redo", &dir],
        &["restore", &dir, "1"],
        &["label", &dir, "released", "1"],
        &["blame", &dir, "pump-1"],
        &["when", &dir, "pump-1", "rate", "=", "80"],
        &["running", &dir, "2026-11-22"],
        &["backup", &dir, &copy],
        &["succeed", &dir, "--into", &copy],
    ];
    for arguments in all {
        check(arguments, 10, "no-history");
    }
    assert!(!Path::new(&dir).exists() && !Path::new(&copy).exists(), "nothing was made");
    // Nor in an empty directory, which a host may have made, nor among other files.
    fs::create_dir(&dir).unwrap();
    for arguments in all {
        check(arguments, 10, "no-history");
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    documents(keep.path());
    let other = keep.path().to_str().unwrap();
    check(&["log", other], 10, "no-history");
    check(&["undo", other], 10, "no-history");
}

#[test]
fn no_such_version_label_time_or_component() {
    let (_keep, dir) = place();
    pump(&dir);
    for selector in ["99", "@-4", "released", "2001-01-01", "00000000-0002-8fff-bfff-ffffffffffff"] {
        check(&["at", &dir, selector], 5, "not-found");
        check(&["restore", &dir, selector], 5, "not-found");
    }
    check(&["show", &dir, "1", "pump-2"], 5, "not-found");
    run(&["label", &dir, "released", "1"]).well();
    assert!(check(&["at", &dir, "relesed"], 5, "not-found").contains("released"), "the nearest is named");
    assert_eq!(json(&["log", &dir]).1.len(), 4, "nothing was appended");
}

#[test]
fn what_somebody_may_have_meant_is_named() {
    let ((_keep, dir), (_other, another)) = (place(), place());
    pump(&dir);
    let elsewhere = pump(&another);
    let foreign = elsewhere[1].to_string();
    let bob = Author::user("bob");
    let history = open(&dir);
    history.change(&bob, "").add(Component::new("tank", "processor").field("size", 1)).append().unwrap();
    history.change(&bob, "").remove("tank").append().unwrap();
    history.close().unwrap();
    run(&["label", &dir, "released", "1"]).well();
    let not_found: [(&[&str], &str); 14] = [
        (&["log", &dir, "--component", "pmp-1"], "there is `pump-1`"),
        (&["log", &dir, "--subtree", "pump1"], "there is `pump-1`"),
        (&["log", &dir, "--until", "2001-01-01"], "the first entry, which was made at 2"),
        (&["log", &dir, "--after", "99"], "the newest is 6"),
        (&["log", &dir, "--after", "eleased"], "there is \"released\""),
        (&["log", &dir, "--after", &foreign], "another history"),
        (&["at", &dir, "--time", "2001-01-01"], "the first entry, which was made at 2"),
        (&["show", &dir, "1", "pump-2"], "there is `pump-1`"),
        (&["blame", &dir, "pump_1"], "there is `pump-1`"),
        (&["blame", &dir, "tank"], "went with version 5; version 4 has it"),
        (&["when", &dir, "pump_1", "rate", "=", "8"], "there is `pump-1`"),
        (&["when", &dir, "pump-1", "rat", "=", "8"], "there is `rate`"),
        (&["when", &dir, "tank", "sizes", "present"], "there is `size`"),
        (&["running", &dir, "2001-01-01"], "the first entry, which was made at 2"),
    ];
    for (arguments, part) in not_found {
        let said = check(arguments, 5, "not-found");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    // What is like nothing is offered nothing.
    let said = check(&["blame", &dir, "quite something else"], 5, "not-found");
    assert!(!said.contains("there is"), "{said}");
}

#[test]
fn a_backup_goes_where_nothing_is() {
    let (keep, dir) = place();
    pump(&dir);
    let said = check(&["backup", &dir, &dir], 4, "conflict");
    assert!(said.contains("is not empty") && said.contains("-2 is free"), "{said}");
    let file = keep.path().join("mine.txt");
    fs::write(&file, "mine").unwrap();
    check(&["backup", &dir, file.to_str().unwrap()], 4, "conflict");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    run(&["verify", &dir]).well();
}

#[test]
fn wrong_usage() {
    let (ran, lines) = json(&["diff"]);
    assert_eq!((ran.code, &lines[0]["code"]), (2, &"usage".into()));
    assert_eq!(run(&["frobnicate"]).code, 2);
    assert_eq!(run(&["--help"]).well().code, 0);
    let (_keep, dir) = place();
    pump(&dir);
    check(&["at", &dir, "--time", "soon"], 2, "usage");
    check(&["verify", &dir, "--expect", "abc"], 2, "usage");
    check(&["log", &dir, "--since", "soon"], 2, "usage");
    check(&["log", &dir, "--until", "soon"], 2, "usage");
    check(&["running", &dir, "soon"], 2, "usage");
    check(&["when", &dir, "pump-1", "rate", "="], 2, "usage");
    check(&["when", &dir, "pump-1", "rate", "absent", "8"], 2, "usage");
    let wrong: [&[&str]; 4] = [
        &["when", &dir, "pump-1", "rate", "~", "8"],
        &["log", &dir, "--intent", "ondo"],
        &["log", &dir, "--kind", "rename"],
        &["log", &dir, "--limit", "-1"],
    ];
    for arguments in wrong {
        let (ran, lines) = json(arguments);
        assert_eq!((ran.code, &lines[0]["code"]), (2, &"usage".into()), "{arguments:?}");
    }
}

#[test]
fn locked_by_a_host_that_writes() {
    let (_keep, dir) = place();
    pump(&dir);
    let host = History::open(&dir).unwrap();
    check(&["undo", &dir], 11, "locked");
    check(&["label", &dir, "released"], 11, "locked");
    // Reading works all the same.
    assert_eq!(json(&["log", &dir]).1.len(), 3);
    run(&["verify", &dir]);
    host.close().unwrap();
    run(&["undo", &dir]).well();
}

#[test]
fn nothing_to_undo_or_redo() {
    let (_keep, dir) = place();
    pump(&dir);
    check(&["redo", &dir], 13, "nothing-to-undo");
    for _ in 0..3 {
        run(&["undo", &dir]).well();
    }
    check(&["undo", &dir], 13, "nothing-to-undo");
}

#[test]
fn damaged_in_the_middle_of_a_segment() {
    let (_keep, dir) = place();
    pump(&dir);
    let largest = fs::read_dir(&dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .max_by_key(|file| fs::metadata(file).unwrap().len());
    let segment = largest.unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(12).position(|window| window == b"slow it down").unwrap();
    bytes[at] ^= 0x20;
    fs::write(&segment, &bytes).unwrap();
    let said = check(&["verify", &dir], 6, "damaged");
    let file = segment.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(file) && said.contains("offset") && said.contains("version 2"), "{said}");
    check(&["undo", &dir], 6, "damaged");
    assert_eq!(fs::read(&segment).unwrap(), bytes, "nothing was changed");
}

#[test]
fn not_the_history_that_was_expected() {
    let ((_keep, dir), (_other, another)) = (place(), place());
    let (_, elsewhere) = (pump(&dir), pump(&another));
    check(&["verify", &dir, "--expect", &elsewhere[1].to_string()], 6, "damaged");
    check(&["verify", &dir, "--expect", &"0".repeat(64)], 6, "damaged");
}
