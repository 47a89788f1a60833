//! The demo shows a history that is really there, and every command that it ends with works.

use std::process::Command;

use flow_history::History;

use crate::fixture::{PROGRAM, Ran, json, place, run};

fn shell(line: &str) -> Ran {
    Ran::of(&Command::new("sh").args(["-c", line]).env("LOGNAME", "tester").output().unwrap())
}

#[test]
fn every_command_that_it_ends_with_works_in_turn() {
    let (_keep, dir) = place();
    let text = run(&["demo", "--dir", &dir]).well().stdout;
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let commands: Vec<&str> = commands.into_iter().filter(|line| line.starts_with(PROGRAM)).collect();
    assert!(commands.len() >= 7, "{text}");
    let ran: Vec<(&str, Ran)> = commands.iter().map(|line| (*line, shell(line).well())).collect();
    let of = |command: &str| {
        let found = ran.iter().find(|(line, _)| line.contains(&format!(" {command} ")));
        &found.unwrap_or_else(|| panic!("the demo names `{command}`")).1.stdout
    };
    assert!(of("log").contains("label morning = version 4"), "{}", of("log"));
    assert!(of("at").contains(r#""topic": "plant/+/temperature""#), "{}", of("at"));
    assert!(of("show").contains("threshold: 800"), "{}", of("show"));
    assert!(of("diff").contains("threshold: 80 -> 85"), "{}", of("diff"));
    assert!(of("undo").contains("undo of version 11"), "{}", of("undo"));
    assert!(of("redo").contains("redo of version 13"), "{}", of("redo"));
    assert!(of("label").contains("evening"), "{}", of("label"));
    assert!(of("verify").contains("everything is as it was written"), "{}", of("verify"));
    assert!(run(&["verify", &dir]).well().stdout.contains("entries     15"));
}

#[test]
fn it_says_what_the_history_says() {
    let (_keep, dir) = place();
    let (ran, lines) = json(&["demo", "--dir", &dir]);
    let ran = ran.well();
    assert!(!ran.stdout.contains('\u{1b}'), "no colour in a pipe");
    let history = History::open_read_only(&dir).unwrap();
    let said: Vec<_> = lines.iter().filter(|line| line["type"] == "entry").collect();
    let held: Vec<_> = history.log().map(Result::unwrap).collect();
    assert_eq!(said.len(), held.len());
    for (said, held) in said.iter().zip(&held) {
        assert_eq!(said["id"], held.entry.id.to_string());
        assert_eq!(said["author"]["id"], *held.entry.header.author.id);
    }
    // A day, in order, with an undo by one of what the other did.
    let times: Vec<i64> = held.iter().map(|line| line.entry.header.log_time).collect();
    assert!(times.is_sorted() && times.last().unwrap() - times[0] > 6 * 3_600_000, "{times:?}");
    let undo = said.iter().find(|line| line["intent"] == "undo").unwrap();
    let undone = undo["links"][0]["version"].as_u64().unwrap();
    assert_ne!(undo["author"], said[undone as usize - 1]["author"]);
    let stamped = lines.iter().find(|line| line["type"] == "provenance").unwrap();
    let id = stamped["provenance"]["flowVersion"].as_str().unwrap().parse().unwrap();
    let then = history.at(history.resolve(id).unwrap()).unwrap().component("limit").unwrap().unwrap();
    assert_eq!(then.get("threshold"), Some(&800.into()));
    assert!(lines.iter().any(|line| line["type"] == "command"));
}

#[test]
fn it_writes_over_nothing() {
    let (_keep, dir) = place();
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(format!("{dir}/mine.txt"), "mine").unwrap();
    run(&["demo", "--dir", &dir]).failed(4);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn a_temporary_directory_is_named_and_kept() {
    let text = run(&["demo"]).well().stdout;
    let (_, dir) = text.lines().find_map(|line| line.split_once(", in ")).unwrap();
    assert!(run(&["verify", dir]).well().stdout.contains("entries     12"));
    std::fs::remove_dir_all(dir).unwrap();
}
