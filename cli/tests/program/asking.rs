//! Questions about a history: which versions fit, page by page; who gave a field its value; when it held another; which
//! version ran; and a copy that answers the same.
//!
//! The program is asked on a small history with two authors, a group, a removal and an undo, in which every answer can be
//! told by hand; its times are those of the run, so that nothing depends on a clock.

use flow_history::{Author, Component, FlowVersionId, LiveStamps, Options, Order, Scope, Tuning};
use serde_json::Value;

use crate::fixture::{json, open, place, pump, run};

/// Eight versions: the three of `pump` by alice; bob adds a group with a valve, raises the rate, and removes the group;
/// alice takes that back and moves the pump into the group.
fn plant(dir: &str) -> Vec<FlowVersionId> {
    let mut ids = pump(dir);
    let history = open(dir);
    let (alice, bob) = (Author::user("alice"), Author::user("bob"));
    let valve = Component::new("valve", "processor").field("state", "open").inside("hall");
    let hall = history.change(&bob, "A hall with a VALVE").add(Component::new("hall", "group")).add(valve);
    ids.push(hall.append().unwrap());
    ids.push(history.change(&bob, "hot water").set("pump-1", "rate", 800).append().unwrap());
    ids.push(history.change(&bob, "no hall").remove("hall").append().unwrap());
    ids.push(history.undo(Scope::Flow, &alice).unwrap().version);
    let place = Order::from_bytes(&[1]);
    ids.push(history.change(&alice, "").shift("pump-1", Some("hall".into()), place).append().unwrap());
    history.close().unwrap();
    ids
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter(|line| line["type"] == "entry").map(|line| line["seq"].as_u64().unwrap()).collect()
}

#[test]
fn the_log_lists_what_fits_every_condition() {
    let (_keep, dir) = place();
    let ids = plant(&dir);
    let check = |conditions: &[&str], expected: &[u64]| {
        let (ran, lines) = json(&[&["log", &dir], conditions].concat());
        ran.well();
        assert_eq!(seqs(&lines), expected, "{conditions:?}");
        let (_, lines) = json(&[&["log", &dir, "--newest-first"], conditions].concat());
        let backwards: Vec<u64> = expected.iter().rev().copied().collect();
        assert_eq!(seqs(&lines), backwards, "{conditions:?}");
    };
    check(&["--author", "bob"], &[4, 5, 6]);
    check(&["--intent", "undo"], &[7]);
    check(&["--component", "pump-1"], &[1, 2, 3, 5, 8]);
    check(&["--component", "pump-1", "--field", "rate"], &[1, 2, 5]);
    check(&["--field", "state"], &[4, 7]);
    check(&["--subtree", "hall"], &[4, 6, 7, 8]);
    check(&["--kind", "remove"], &[6]);
    check(&["--kind", "move"], &[8]);
    check(&["--text", "valve"], &[4]);
    check(&["--author", "bob", "--text", "HALL", "--kind", "add"], &[4]);
    check(&["--since", "2001-01-01"], &[1, 2, 3, 4, 5, 6, 7, 8]);
    check(&["--since", "2999-01-01"], &[]);
    check(&["--until", "2999-01-01T10:00", "--author", "alice"], &[1, 2, 3, 7, 8]);
    check(&["--author", "zoe"], &[]);
    check(&["--author", "bob", "--since", "2001-01-01", "--until", "2999-01-01"], &[4, 5, 6]);
    let (_, log) = json(&["log", &dir]);
    let third = log[2]["log_time"].as_str().unwrap();
    let (_, lines) = json(&["log", &dir, "--since", third, "--until", third]);
    assert!(seqs(&lines).contains(&3), "{lines:?}");
    assert_eq!(log[3]["id"], ids[3].to_string());
}

#[test]
fn a_condition_that_all_fit_changes_nothing_in_what_is_said() {
    let (_keep, dir) = place();
    plant(&dir);
    // One way follows the flow from entry to entry, the other looks up what each entry touched.
    let (all, asked) = (run(&["log", &dir]).well(), run(&["log", &dir, "--since", "2001-01-01"]).well());
    assert_eq!(all.stdout, asked.stdout);
    assert_eq!(json(&["log", &dir]).1, json(&["log", &dir, "--since", "2001-01-01"]).1);
}

#[test]
fn nothing_that_fits_is_said_beside_the_result() {
    let (_keep, dir) = place();
    plant(&dir);
    let ran = run(&["log", &dir, "--author", "zoe"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("the newest is 8"), "{}", ran.stderr);
}

#[test]
fn pages_follow_one_another_by_the_command_that_ends_each() {
    let (_keep, dir) = place();
    plant(&dir);
    let follow = |first: &[&str]| {
        let (mut pages, mut next) = (Vec::new(), first.iter().map(ToString::to_string).collect::<Vec<_>>());
        for _ in 0..9 {
            let arguments: Vec<&str> = next.iter().map(String::as_str).collect();
            let (ran, lines) = json(&arguments);
            ran.well();
            pages.push(seqs(&lines));
            let Some(line) = lines.iter().find(|line| line["type"] == "next") else { return pages };
            let line = line["line"].as_str().unwrap();
            next = line.split(' ').skip(1).filter(|word| *word != "--json").map(str::to_owned).collect();
        }
        panic!("the pages have no end: {pages:?}");
    };
    let backwards = [vec![8, 7, 6], vec![5, 4, 3], vec![2, 1]];
    assert_eq!(follow(&["log", &dir, "--newest-first", "--limit", "3"]), backwards);
    assert_eq!(follow(&["log", &dir, "--after", "2", "--limit", "3"]), [vec![3, 4, 5], vec![6, 7, 8]]);
    // The newest few stand in the order of the log; what is left goes on backwards.
    assert_eq!(follow(&["log", &dir, "--limit", "5"]), [vec![4, 5, 6, 7, 8], vec![3, 2, 1]]);
    let bobs = follow(&["log", &dir, "--author", "bob", "--limit", "2"]);
    assert_eq!(bobs, [vec![5, 6], vec![4]]);
    let words =
        follow(&["log", &dir, "--author", "bob", "--kind", "add", "--intent", "edit", "--limit", "1"]);
    assert_eq!(words, [vec![4], vec![]]);
    let text = run(&["log", &dir, "--text", "it's all", "--limit", "1", "--since", "2001-01-01"]);
    assert_eq!(text.stdout, "");
    let text = run(&["log", &dir, "--author", "alice", "--limit", "1"]).well().stdout;
    let (_, command) = text.lines().last().unwrap().split_once("older: ").unwrap();
    assert!(command.ends_with("--author alice --newest-first --limit 1 --after 8"), "{command}");
}

#[test]
fn a_cursor_stays_good_whatever_is_appended() {
    let (_keep, dir) = place();
    let ids = plant(&dir);
    run(&["label", &dir, "released", "5"]).well();
    let id = ids[5].to_string();
    for cursor in ["6", &id] {
        let (_, lines) = json(&["log", &dir, "--newest-first", "--limit", "2", "--after", cursor]);
        assert_eq!(seqs(&lines), [5, 4]);
    }
    let (_, lines) = json(&["log", &dir, "--after", "released"]);
    assert_eq!(seqs(&lines), [6, 7, 8, 9]);
    assert_eq!(run(&["log", &dir, "--after", "@"]).stdout, "");
}

#[test]
fn blame_says_who_gave_each_field_its_value() {
    let (_keep, dir) = place();
    let ids = plant(&dir);
    let (ran, lines) = json(&["blame", &dir, "pump-1"]);
    ran.well();
    let told: Vec<_> = lines.iter().map(|line| (&line["field"], &line["value"], &line["version"])).collect();
    let expected = [
        (&"name".into(), &"Pump".into(), &1.into()),
        (&"rate".into(), &800.into(), &5.into()),
        (&"x".into(), &20.into(), &3.into()),
    ];
    assert_eq!(told, expected);
    assert_eq!((&lines[1]["author"]["id"], &lines[1]["type"]), (&"bob".into(), &"blame".into()));
    assert_eq!(lines[1]["version_id"], ids[4].to_string());
    let text = run(&["blame", &dir, "pump-1"]).well().stdout;
    let rate = text.lines().find(|line| line.contains("rate")).unwrap();
    assert!(rate.contains("800") && rate.contains("version 5") && rate.ends_with("bob"), "{text}");
    let text = run(&["blame", &dir, "hall"]).well().stdout;
    assert!(text.contains("it has no fields"), "{text}");
}

#[test]
fn when_says_during_which_versions_a_field_held_what_is_asked() {
    let (_keep, dir) = place();
    let ids = plant(&dir);
    let check = |question: &[&str], expected: &[(u64, u64)]| {
        let (ran, lines) = json(&[&["when", &dir], question].concat());
        ran.well();
        let told: Vec<(u64, u64)> =
            lines.iter().map(|line| (line["from"].as_u64().unwrap(), line["to"].as_u64().unwrap())).collect();
        assert_eq!(told, expected, "{question:?}");
    };
    check(&["pump-1", "rate", "=", "80"], &[(1, 1)]);
    check(&["pump-1", "rate", "!=", "8"], &[(1, 1), (5, 8)]);
    check(&["pump-1", "rate", ">", "8"], &[(1, 1), (5, 8)]);
    check(&["pump-1", "rate", "<=", "8.0"], &[(2, 4)]);
    check(&["pump-1", "rate", ">=", "8"], &[(1, 8)]);
    check(&["pump-1", "rate", "<", "-5"], &[]);
    check(&["valve", "state", "=", "open"], &[(4, 5), (7, 8)]);
    check(&["valve", "state", "present"], &[(4, 5), (7, 8)]);
    check(&["pump-1", "name", "absent"], &[(0, 0)]);
    let (_, lines) = json(&["when", &dir, "pump-1", "rate", "=", "8"]);
    assert_eq!((&lines[0]["until"], &lines[0]["until_id"]), (&5.into(), &ids[4].to_string().into()));
    let (_, log) = json(&["log", &dir]);
    assert_eq!((&lines[0]["from_time"], &lines[0]["until_time"]), (&log[1]["log_time"], &log[4]["log_time"]));
    let text = run(&["when", &dir, "pump-1", "rate", ">=", "8"]).well().stdout;
    assert!(text.starts_with("versions 1 to 8, from ") && text.ends_with(" and still\n"), "{text}");
    let ran = run(&["when", &dir, "pump-1", "rate", "=", "9"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.trim()), (0, "", "note: it never was so"));
}

#[test]
fn running_tells_what_ran_from_what_was_saved_last() {
    let (_keep, dir) = place();
    plant(&dir);
    let ran = run(&["running", &dir, "2999-01-01"]).failed(5);
    assert!(ran.stderr.contains("saved last was version 8"), "{}", ran.stderr);
    let history = open(&dir);
    history.running(&Author::system("host"), 5).unwrap();
    history.change(&Author::user("bob"), "later").set("pump-1", "x", 5).append().unwrap();
    history.close().unwrap();
    let (ran, lines) = json(&["running", &dir, "2999-01-01"]);
    ran.well();
    assert_eq!((&lines[0]["version"], &lines[0]["saved"]), (&5.into(), &10.into()));
    let text = run(&["running", &dir, "2999-01-01"]).well().stdout;
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    assert!(first.contains("version 5, by bob") && first.contains("hot water"), "{text}");
    assert!(second.contains("version 10, by bob") && second.contains("later"), "{text}");
}

#[test]
fn a_backup_of_a_history_that_is_written_is_a_history() {
    let (keep, dir) = place();
    let ids = plant(&dir);
    let to = keep.path().join("some where").join("copy").to_str().unwrap().to_owned();
    let host = open(&dir);
    let (ran, lines) = json(&["backup", &dir, &to]);
    ran.well();
    assert_eq!((&lines[0]["type"], &lines[0]["version"]), (&"backup".into(), &8.into()));
    assert_eq!(lines[0]["version_id"], ids[7].to_string());
    host.close().unwrap();
    run(&["verify", &to, "--expect", &ids[7].to_string()]).well();
    assert_eq!(run(&["log", &to]).well().stdout, run(&["log", &dir]).well().stdout);
    let other = format!("{to}-other");
    let text = run(&["backup", &dir, &other]).well().stdout;
    assert!(text.contains("holds version 8") && text.contains(&ids[7].to_string()), "{text}");
}

#[test]
fn what_was_pruned_is_passed_over_and_the_oldest_that_is_kept_is_named() {
    let (_keep, dir) = place();
    let history = Options::new().tuning(Tuning::hostile()).open(&dir).unwrap();
    let alice = Author::user("alice");
    let pump = Component::new("pump-1", "processor").field("name", "Pump").field("rate", 0);
    history.change(&alice, "add").add(pump).append().unwrap();
    history.change(&alice, "add").add(Component::new("tank", "processor").field("size", 1)).append().unwrap();
    for rate in 1..=100 {
        history.change(&alice, &"tune it ".repeat(20)).set("pump-1", "rate", rate).append().unwrap();
    }
    history.running(&alice, 102).unwrap();
    history.prune(&alice, 90, &LiveStamps::GiveUp).unwrap();
    history.close().unwrap();

    let (ran, log) = json(&["log", &dir]);
    ran.well();
    let (listed, oldest) = (seqs(&log), seqs(&log)[0] - 1);
    assert!(oldest > 1 && listed.is_sorted() && *listed.last().unwrap() == 104, "{listed:?}");
    assert_eq!(log.last().unwrap()["mark"]["version"], oldest);
    for conditions in [vec!["--author", "alice"], vec!["--newest-first"], vec!["--limit", "1000"]] {
        let (ran, lines) = json(&[&["log", &dir], conditions.as_slice()].concat());
        ran.well();
        assert_eq!(seqs(&lines).len(), listed.len(), "{conditions:?}");
    }
    let count = listed.len().to_string();
    let (_, lines) = json(&["log", &dir, "--newest-first", "--limit", &count]);
    assert!(lines.iter().all(|line| line["type"] == "entry"), "nothing comes behind the oldest");
    for question in [&["at", &dir, "1"][..], &["log", &dir, "--after", "1"], &["show", &dir, "1"]] {
        let said = run(question).failed(5).stderr;
        assert!(said.contains(&format!("the oldest kept is {oldest}")), "{said}");
    }
    // Who gave these fields their values is not known any more, and nobody else is said to have.
    let (ran, lines) = json(&["blame", &dir, "pump-1"]);
    ran.well();
    assert_eq!((&lines[0]["field"], &lines[0]["version"]), (&"name".into(), &Value::Null));
    assert_eq!((&lines[1]["field"], &lines[1]["version"]), (&"rate".into(), &102.into()));
    let text = run(&["blame", &dir, "tank"]).well().stdout;
    assert!(text.contains("size") && text.contains("pruned"), "{text}");
    let (ran, lines) = json(&["when", &dir, "pump-1", "rate", ">", "95"]);
    ran.well();
    assert_eq!((&lines[0]["from"], &lines[0]["until"]), (&98.into(), &Value::Null));
    let (_, lines) = json(&["running", &dir, "2999-01-01"]);
    assert_eq!((&lines[0]["version"], &lines[0]["saved"]), (&102.into(), &104.into()));
}

#[test]
fn pruning_says_what_went_and_what_holds_it_back() {
    let (_keep, dir) = place();
    plant(&dir);
    let silent = run(&["prune", &dir, "@"]);
    assert!(
        silent.stderr.contains("--oldest-stamp") && silent.stderr.contains("--give-up-stamps"),
        "{}",
        silent.stderr
    );

    // Long notes fill the first segment.
    let host = open(&dir);
    let ids: Vec<_> = (0..400)
        .map(|at| {
            let note = format!("{at} {}", "a note that nobody will read again ".repeat(40));
            let change = host.change(&Author::user("alice"), "");
            change.add(Component::new(format!("note-{at}"), "note").field("text", note)).append().unwrap()
        })
        .collect();
    host.label(&Author::user("alice"), "kept", ids[2]).unwrap();
    host.close().unwrap();
    let held = run(&["prune", &dir, "@", "--give-up-stamps"]);
    assert!(held.stderr.contains("kept") && held.stderr.contains("nothing was pruned"), "{}", held.stderr);
    run(&["label", &dir, "--remove", "kept"]).well();
    let stamp = run(&["prune", &dir, "@", "--oldest-stamp", &ids[0].to_string()]);
    assert!(stamp.stderr.contains("stamps from version"), "{}", stamp.stderr);

    let (ran, lines) = json(&["prune", &dir, "@", "--give-up-stamps"]);
    ran.well();
    assert_eq!(lines[0]["type"], "pruned");
    let oldest = lines[0]["oldest"].as_u64().unwrap();
    assert!(oldest > 8 && lines[0]["entries"].as_u64().unwrap() == oldest, "{lines:?}");
    let gone = run(&["at", &dir, "1"]);
    assert!(gone.stderr.contains(&oldest.to_string()), "{}", gone.stderr);
    run(&["verify", &dir]).well();
    let (_, lines) = json(&["log", &dir]);
    assert!(lines.iter().any(|line| line.to_string().contains("pruned")), "the mark says so");
}
