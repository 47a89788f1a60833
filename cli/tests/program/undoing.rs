//! Undo, redo, revert and restore say what they would do, whose changes they take, and what is in the way.

use std::fs;

use flow_history::{Author, Component, History};

use crate::fixture::{json, place, pump, run};

/// The three versions of `pump`, and a fourth by bob, who sets the rate again.
fn two_authors(dir: &str) {
    pump(dir);
    let history = History::open(dir).unwrap();
    history.change(&Author::user("bob"), "faster").set("pump-1", "rate", 9).append().unwrap();
    history.close().unwrap();
}

#[test]
fn a_plan_writes_nothing_and_says_what_is_in_the_way() {
    let (_keep, dir) = place();
    two_authors(&dir);
    let (ran, lines) = json(&["undo", &dir, "--plan"]);
    assert_eq!((ran.code, &lines[0]["type"], &lines[0]["taken"][0]), (0, &"plan".into(), &4.into()));
    // Alice's slowing down: bob set the rate since.
    let (ran, lines) = json(&["revert", &dir, "2", "--plan"]);
    assert_eq!((ran.code, &lines[0]["clear"]), (4, &false.into()));
    assert_eq!((&lines[1]["type"], &lines[1]["obstacle"]), (&"conflict".into(), &"FieldChangedSince".into()));
    assert!(lines[1]["resolutions"].as_array().unwrap().len() > 1);
    let text = run(&["revert", &dir, "2", "--plan"]).stdout;
    assert!(text.contains("in the way FieldChangedSince: rate of \"pump-1\" was changed since"), "{text}");
    run(&["revert", &dir, "2"]).failed(4);
    assert_eq!(json(&["log", &dir]).1.len(), 4, "nothing was appended");
    // While a host writes, a plan can be made.
    let host = History::open(&dir).unwrap();
    assert_eq!(json(&["undo", &dir, "--plan"]).0.code, 0);
    host.close().unwrap();
    run(&["revert", &dir, "2", "--mode", "force"]).well();
    assert_eq!(json(&["log", &dir]).1.len(), 5);
}

#[test]
fn a_scope_takes_whose_changes_it_says() {
    let (_keep, dir) = place();
    two_authors(&dir);
    let (_, lines) = json(&["undo", &dir, "--scope", "author:alice", "--as", "carol"]);
    assert_eq!(lines[0]["taken"], 3);
    assert!(lines[0]["take_back"].as_str().unwrap().contains("redo"), "{}", lines[0]);
    assert!(lines[0]["take_back"].as_str().unwrap().contains("--scope=author:alice"), "{}", lines[0]);
    let (_, lines) = json(&["redo", &dir, "--scope=author:alice"]);
    assert_eq!(lines[0]["taken"], 5);
    run(&["undo", &dir, "--scope", "session:none"]).failed(13);
    assert_eq!(json(&["undo", &dir, "--scope", "everybody"]).0.code, 2);
}

#[test]
fn a_part_is_restored_and_the_rest_stays() {
    let (_keep, dir) = place();
    two_authors(&dir);
    run(&["restore", &dir, "1", "--component", "pump-1", "--field", "rate"]).well();
    let history = History::open_read_only(&dir).unwrap();
    let pump = history.at(history.version()).unwrap().component("pump-1").unwrap().unwrap();
    assert_eq!((pump.get("rate"), pump.get("x")), (Some(&80.into()), Some(&20.into())));
    run(&["restore", &dir, "1", "--component", "pump-1", "--field", "rate"]).failed(13);
    assert_eq!(json(&["restore", &dir, "1", "--facet", "colour"]).0.code, 2);
}

#[test]
fn the_trash_says_how_to_bring_things_back_and_what_if_what_would_be() {
    let (_keep, dir) = place();
    pump(&dir);
    let history = History::open(&dir).unwrap();
    let bob = Author::user("bob");
    history.change(&bob, "").add(Component::new("tank", "processor")).append().unwrap();
    history.change(&bob, "clean up").remove("pump-1").append().unwrap();
    history.close().unwrap();
    let (_, lines) = json(&["trash", &dir]);
    assert_eq!((&lines[0]["id"], &lines[0]["version"], lines.len()), (&"pump-1".into(), &5.into(), 1));
    let text = run(&["trash", &dir]).well().stdout;
    assert!(text.contains("removed by bob") && text.contains("revert"), "{text}");
    let (_, lines) = json(&["what-if", &dir, "--without", "5"]);
    assert_eq!((&lines[0]["change"], &lines[1]["type"]), (&"added".into(), &"what-if".into()));
    run(&["revert", &dir, "5"]).well();
    assert_eq!(json(&["trash", &dir]).1.len(), 0);
}

#[test]
fn a_document_is_written_for_a_host_that_is_not_running() {
    let (keep, dir) = place();
    let index = crate::fixture::documents(keep.path());
    json(&["import", "node-red", "--keep-going", "--index", &index, "--into", &dir]);
    let file = keep.path().join("flows.json");
    fs::write(&file, "old").unwrap();
    run(&["undo", &dir, "--write-document", file.to_str().unwrap()]).well();
    assert_eq!(fs::read_to_string(&file).unwrap(), run(&["at", &dir]).well().stdout);
}

/// What is printed is typed as it is, into a shell.
#[test]
fn what_each_says_takes_it_back_and_each_writes_the_document() {
    let (keep, dir) = place();
    let index = crate::fixture::documents(keep.path());
    json(&["import", "node-red", "--keep-going", "--index", &index, "--into", &dir]);
    let file = keep.path().join("flows.json");
    let now = || run(&["at", &dir]).well().stdout;
    let newest = History::open_read_only(&dir).unwrap().version().seq().to_string();
    let commands: [&[&str]; 4] = [&["undo"], &["redo"], &["revert", "--mode=force"], &["restore"]];
    for command in commands {
        let mut line = vec![command[0], &dir];
        match command[0] {
            "revert" => line.push(&newest),
            "restore" => line.push("1"),
            _ => {}
        }
        line.extend(&command[1..]);
        let before = now();
        let (_, plan) = json(&[&line[..], &["--plan"]].concat());
        assert_eq!((&plan[0]["type"], now() == before), (&"plan".into(), true), "{line:?}");
        line.extend(["--write-document", file.to_str().unwrap()]);
        let (ran, lines) = json(&line);
        assert_eq!((ran.code, &lines[0]["type"]), (0, &"applied".into()), "{line:?}: {}", ran.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), now(), "{line:?}");
        assert_ne!(now(), before, "{line:?}");
        let take_back = lines[0]["take_back"].as_str().unwrap();
        let shell = std::process::Command::new("sh").arg("-c").arg(take_back).output().unwrap();
        assert!(shell.status.success(), "{take_back}: {shell:?}");
        assert_eq!(now(), before, "{line:?}, then {take_back}");
        // So that there is something to do again, and then something to take back.
        match command[0] {
            "undo" => drop(run(&["undo", &dir]).well()),
            "redo" => drop(run(&["redo", &dir]).well()),
            _ => {}
        }
    }
}
