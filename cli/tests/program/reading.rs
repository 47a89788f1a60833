//! What is read is said in full, as text and as JSON Lines, and nothing in it steers a terminal.

use std::process::{Command, Stdio};
use std::sync::Arc;

use flow_history::{Author, Component, History, Value, VaultKey};

use crate::fixture::{PROGRAM, json, place, pump, run};

#[test]
fn the_log_has_a_line_per_version() {
    let (_keep, dir) = place();
    let ids = pump(&dir);
    let text = run(&["log", &dir]).well().stdout;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().next().unwrap().contains("alice"), "{text}");
    let (_, log) = json(&["log", &dir]);
    let said: Vec<_> = log.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said, ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(
        (&log[0]["added"], &log[0]["changed"], &log[0]["operations"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!((&log[1]["modified"], &log[1]["message"]), (&1.into(), &"slow it down".into()));
    let (_, newest) = json(&["log", &dir, "--newest-first", "--limit", "2"]);
    assert_eq!(newest.iter().filter_map(|line| line["seq"].as_u64()).collect::<Vec<_>>(), [3, 2]);
    let (_, last) = json(&["log", &dir, "--limit", "1"]);
    assert_eq!(last.iter().filter_map(|line| line["seq"].as_u64()).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_difference_counts_and_names_the_fields() {
    let (_keep, dir) = place();
    pump(&dir);
    let (_, lines) = json(&["diff", &dir, "1", "@"]);
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["change"], &lines[0]["name"]), (&"modified".into(), &"Pump".into()));
    assert_eq!(lines[0]["fields"][0]["before"], 80);
    assert_eq!(lines[0]["fields"][0]["after"], 8);
    assert_eq!((&lines[1]["type"], &lines[1]["changed"]), (&"summary".into(), &1.into()));
    let text = run(&["diff", &dir, "1", "3"]).well().stdout;
    assert!(text.contains("rate: 80 -> 8") && text.contains("1 component changed"), "{text}");
    // A drag is one line, and the count.
    let text = run(&["diff", &dir, "2", "3"]).well().stdout;
    assert!(text.lines().count() == 2 && text.contains("at 10 -> 20"), "{text}");
    assert_eq!(run(&["diff", &dir, "1", "@", "--exit-code"]).code, 3);
    assert_eq!(run(&["diff", &dir, "@", "@", "--exit-code"]).code, 0);
}

#[test]
fn every_selector_finds_its_version() {
    let (_keep, dir) = place();
    let ids = pump(&dir);
    run(&["label", &dir, "slow", "2"]).well();
    let id = ids[1].to_string();
    for selector in ["2", "@-2", "slow", &id] {
        let (_, lines) = json(&["at", &dir, selector]);
        assert_eq!(lines[0]["version"], 2, "{selector}");
    }
    let (_, log) = json(&["log", &dir]);
    let time = log[3]["log_time"].as_str().unwrap();
    let (_, lines) = json(&["at", &dir, "--time", time]);
    assert_eq!(lines[0]["version"], 4);
    // The log's own time, to the second, finds what stood beside it or what came within that second.
    let text = run(&["log", &dir, "--limit", "1"]).well().stdout;
    let shown = text.split_whitespace().find(|word| word.ends_with('Z')).unwrap();
    let (_, lines) = json(&["at", &dir, shown]);
    assert_eq!(lines[0]["version"], 4);
    let (_, lines) = json(&["at", &dir, "0"]);
    assert_eq!((&lines[0]["components"], &lines[0]["document"]), (&0.into(), &"[]".into()));
}

#[test]
fn a_version_and_a_component_are_shown_in_full() {
    let (_keep, dir) = place();
    let ids = pump(&dir);
    let text = run(&["show", &dir, "2"]).well().stdout;
    for part in ["alice (user)", "slow it down", "rate: 80 -> 8", &ids[1].to_string()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, lines) = json(&["show", &dir, "1", "pump-1"]);
    assert_eq!((&lines[0]["type"], &lines[0]["fields"]["rate"]), (&"state".into(), &80.into()));
    let (_, lines) = json(&["stat", &dir]);
    assert_eq!((&lines[0]["entries"], &lines[0]["components"]), (&3.into(), &1.into()));
    let (_, lines) = json(&["verify", &dir, "--expect", &ids[0].to_string()]);
    assert_eq!((&lines[0]["type"], &lines[0]["entries"]), (&"verified".into(), &3.into()));
    let chain = lines[0]["chain"].as_str().unwrap();
    run(&["verify", &dir, "--expect", chain]).well();
}

#[test]
fn secrets_are_never_shown() {
    let (_keep, dir) = place();
    let history = History::open(&dir).unwrap();
    let alice = Author::user("alice");
    let facets: flow_history::Map = [("processor/password", "secret")].into_iter().collect();
    let root = Component::new(flow_history::ROOT_ID, flow_history::ROOT_KIND).field("facets", facets);
    let pump =
        Component::new("pump-1", "processor").field("password", "hunter1").field("token", "enc{hunter2}");
    history.change(&alice, "add").add(root).add(pump).append().unwrap();
    let change = history.change(&alice, "change").set("pump-1", "password", "hunter3");
    change.set("pump-1", "token", "enc{hunter4}").append().unwrap();
    history.close().unwrap();
    let commands: [&[&str]; 5] = [
        &["blame", &dir, "pump-1"],
        &["show", &dir, "1"],
        &["show", &dir, "2"],
        &["diff", &dir, "1", "2"],
        &["show", &dir, "2", "pump-1"],
    ];
    for command in commands {
        let (text, (json, _)) = (run(command).well().stdout, json(command));
        assert!(text.contains("password") && json.stdout.contains("password"), "{text}");
        assert!(!text.contains("hunter") && !json.stdout.contains("hunter"), "{text}{}", json.stdout);
    }
    // Nor can it be guessed.
    run(&["when", &dir, "pump-1", "password", "=", "hunter1"]).failed(2);
    assert_eq!(json(&["when", &dir, "pump-1", "token", "=", "enc{hunter2}"]).1.len(), 0);
    assert_eq!(json(&["when", &dir, "pump-1", "password", "present"]).1.len(), 1);
}

#[test]
fn nothing_in_the_data_steers_a_terminal() {
    let (_keep, dir) = place();
    let history = History::open(&dir).unwrap();
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J";
    let component = Component::new(format!("id{evil}"), evil).field("name", evil).field(evil, evil);
    history.change(&Author::user(evil), evil).attribute(evil, evil).add(component).append().unwrap();
    history.label(&Author::user(evil), evil, 1).unwrap();
    history.close().unwrap();
    let id = format!("id{evil}");
    let commands: [&[&str]; 11] = [
        &["log", &dir],
        &["log", &dir, "--component", &id, "--author", evil, "--limit", "1"],
        &["blame", &dir, &id],
        &["blame", &dir, &id[1..]],
        &["when", &dir, &id, evil, "present"],
        &["when", &dir, &id, &evil[1..], "present"],
        &["show", &dir, "1"],
        &["diff", &dir, "0", "1"],
        &["label", &dir, "--list"],
        &["show", &dir, "2"],
        &["undo", &dir],
    ];
    for command in commands {
        for color in ["never", "always"] {
            for format in [None, Some("--json")] {
                let arguments: Vec<&str> =
                    command.iter().copied().chain(["--color", color]).chain(format).collect();
                let ran = run(&arguments);
                let plain = anstream::adapter::strip_str(&ran.stdout).to_string();
                let steers = |c: char| c.is_control() && c != '\n';
                assert!(
                    !plain.contains(steers) && !ran.stdout.contains("\u{1b}]"),
                    "{arguments:?} {plain:?}"
                );
                if color == "never" || format.is_some() {
                    assert!(!ran.stdout.contains(steers), "{arguments:?}");
                }
            }
        }
    }
}

#[test]
fn secrets_show_as_secrets_and_what_was_shredded_is_said() {
    let (_keep, dir) = place();
    let plain = "correct horse battery staple";
    let keys = Arc::new(VaultKey::new("key-1", [1; 32]));
    let history = History::options().vault_keys(keys).open(&dir).unwrap();
    let alice = Author::user("alice");
    let add = history.change(&alice, "add").add(Component::new("pump", "processor"));
    add.secret("pump", "password", plain).append().unwrap();
    for _ in 0..2 {
        history.change(&alice, "again").secret("pump", "password", plain).append().unwrap();
    }
    let pump = history.at(2).unwrap().component("pump").unwrap().unwrap();
    let Some(Value::Secret(secret)) = pump.get("password") else { panic!() };
    history.change(&alice, "another").secret("pump", "password", "another").append().unwrap();
    history.shred(secret, &alice).unwrap();
    history.close().unwrap();

    let commands: [&[&str]; 13] = [
        &["log", &dir],
        &["log", &dir, "--component", "pump", "--limit", "9"],
        &["show", &dir, "4"],
        &["show", &dir, "4", "pump"],
        &["diff", &dir, "0", "4"],
        &["diff", &dir, "1", "2"],
        &["blame", &dir, "pump"],
        &["when", &dir, "pump", "password", "present"],
        &["trash", &dir],
        &["what-if", &dir, "--without", "2"],
        &["undo", &dir, "--plan"],
        &["stat", &dir],
        &["verify", &dir],
    ];
    let mut said = String::new();
    for command in commands {
        for format in [None, Some("--json")] {
            let arguments: Vec<&str> = command.iter().copied().chain(format).collect();
            let ran = run(&arguments);
            assert!(ran.stderr.is_empty() || ran.code == 0, "{arguments:?}: {}", ran.stderr);
            said.push_str(&ran.stdout);
            said.push_str(&ran.stderr);
        }
    }
    for spelling in [plain, "Y29ycmVjdCBob3JzZ", "636f727265637420", &format!("{:?}", plain.as_bytes())] {
        assert!(!said.contains(spelling), "{spelling} in {said}");
    }
    assert!(said.contains("shredded") && said.contains("(secret), sealed anew"), "{said}");
    assert!(said.contains(r#""secrets":3,"shredded":1"#), "{said}");
    let restored = run(&["restore", &dir, "2"]).well().stdout;
    assert!(restored.contains("the secret of \"password\""), "{restored}");
}

#[test]
fn a_pipe_that_closes_is_no_failure() {
    let (_keep, dir) = place();
    let history = History::open(&dir).unwrap();
    let alice = Author::user("alice");
    let long = "x".repeat(60_000);
    history.change(&alice, "add").add(Component::new("pump-1", "processor")).append().unwrap();
    for n in 0..40 {
        history.change(&alice, &long).set("pump-1", "rate", n).append().unwrap();
    }
    history.close().unwrap();
    for arguments in [vec!["log", &dir], vec!["log", &dir, "--json"]] {
        let mut program = Command::new(PROGRAM)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(program.stdout.take());
        let output = program.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    }
}
