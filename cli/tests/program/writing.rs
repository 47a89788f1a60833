//! Commands that write append, say how to take it back, and say who did it.

use crate::fixture::{json, place, pump, run};

fn document(dir: &str, version: &str) -> String {
    run(&["at", dir, version]).well().stdout
}

#[test]
fn undo_and_redo_walk_back_and_forth() {
    let (_keep, dir) = place();
    pump(&dir);
    let (_, lines) = json(&["undo", &dir, "--as", "carol"]);
    assert_eq!(
        (&lines[0]["type"], &lines[0]["taken"], &lines[0]["version"]),
        (&"applied".into(), &3.into(), &4.into())
    );
    assert_eq!(document(&dir, "@"), document(&dir, "2"));
    let text = run(&["undo", &dir]).well().stdout;
    assert!(text.contains("undo of version 2") && text.contains(" redo "), "{text}");
    assert_eq!(document(&dir, "@"), document(&dir, "1"));
    run(&["redo", &dir]).well();
    run(&["redo", &dir]).well();
    assert_eq!(document(&dir, "@"), document(&dir, "3"));
    let (_, log) = json(&["log", &dir]);
    assert_eq!(log.len(), 7);
    assert_eq!((&log[3]["author"]["id"], &log[3]["author"]["kind"]), (&"carol".into(), &"operator".into()));
    assert_eq!(log[4]["author"]["id"], "tester");
    run(&["verify", &dir]).well();
}

#[test]
fn restore_makes_everything_as_it_was() {
    let (_keep, dir) = place();
    pump(&dir);
    let text = run(&["restore", &dir, "1"]).well().stdout;
    assert!(text.contains("restore of version 1"), "{text}");
    assert_eq!(document(&dir, "@"), document(&dir, "1"));
    run(&["restore", &dir, "1"]).failed(13);
    run(&["undo", &dir]).well();
    assert_eq!(document(&dir, "@"), document(&dir, "3"));
}

#[test]
fn labels_come_move_and_go() {
    let (_keep, dir) = place();
    pump(&dir);
    run(&["label", &dir, "released", "1"]).well();
    let text = run(&["label", &dir, "released", "@-1"]).well().stdout;
    assert!(text.contains("it named version 1"), "{text}");
    let (_, lines) = json(&["label", &dir, "--list"]);
    assert_eq!((&lines[0]["label"], &lines[0]["version"]), (&"released".into(), &3.into()));
    run(&["label", &dir, "released", "--remove"]).well();
    assert_eq!(run(&["label", &dir, "--list"]).well().stdout, "");
    run(&["label", &dir, "released", "--remove"]).failed(5);
    run(&["label", &dir, "2026-11-22"]).failed(2);
}
