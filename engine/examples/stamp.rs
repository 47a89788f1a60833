//! Stamped provenance events, from the process that makes them to the one that asks where they came from.
//!
//! `cargo run --example stamp` runs three processes over one directory:
//!
//! 1. a host edits a flow while it runs;
//! 2. the second, the same host's worker, stamps what the flow produces: JSON lines, each with the 16 bytes that name the
//!    version it was made by;
//! 3. the third, hours later and with no host running, resolves each stamp to the component at that version.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example talks, and stops where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flow_history::{Author, Component, FlowVersionId, History};

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("stamp"), Some(dir)) => stamp(Path::new(&dir)),
        (Some("resolve"), Some(dir)) => resolve(Path::new(&dir)),
        _ => host(),
    }
}

/// Starts the other two, and shows what came of it.
fn host() {
    let dir: PathBuf = std::env::temp_dir().join(format!("stamp-example-{}", std::process::id()));
    let this = std::env::current_exe().unwrap();
    let stamped = Command::new(&this).arg("stamp").arg(&dir).output().unwrap();
    assert!(stamped.status.success(), "{}", String::from_utf8_lossy(&stamped.stderr));

    let mut resolver = Command::new(&this)
        .arg("resolve")
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    resolver.stdin.take().unwrap().write_all(&stamped.stdout).unwrap();
    let resolved = resolver.wait_with_output().unwrap();
    assert!(resolved.status.success());
    print!("{}", String::from_utf8_lossy(&resolved.stdout));
    std::fs::remove_dir_all(dir).unwrap();
}

/// A flow that is edited while it runs, and what it produces meanwhile, each with its stamp.
fn stamp(dir: &Path) {
    let history = History::open(dir).unwrap();
    let alice = Author::user("alice");
    let pump = Component::new("pump-1", "processor").field("rate", 80);
    history.change(&alice, "add the pump").add(pump).append().unwrap();

    // One stamper for all threads that produce: cheap to clone, and reading it takes no lock.
    let stamper = history.stamper();
    for (drop, rate) in [80, 80, 8, 8, 40].into_iter().enumerate() {
        let now = history.at(history.version()).unwrap();
        if now.component("pump-1").unwrap().unwrap().get("rate") != Some(&rate.into()) {
            history.change(&alice, "turn the tap").set("pump-1", "rate", rate).append().unwrap();
        }
        println!("{{\"drop\":{drop},\"component\":\"pump-1\",\"flowVersion\":\"{}\"}}", stamper.current());
    }
    history.close().unwrap();
}

/// From each stamp to the component that made it, as it was then.
fn resolve(dir: &Path) {
    let history = History::open_read_only(dir).unwrap();
    for line in BufReader::new(std::io::stdin()).lines() {
        let line = line.unwrap();
        let stamp: FlowVersionId = text_of(&line, "flowVersion").parse().unwrap();
        let id = text_of(&line, "component");
        let then = history.at(stamp).unwrap();
        let component = then.component(&id).unwrap().unwrap();
        println!("{line}\n  made by version {}: {:?}", history.resolve(stamp).unwrap(), component.fields);
    }
}

/// The text of a member of a line of JSON, as simple as the lines above are.
fn text_of(line: &str, member: &str) -> String {
    let start = line.find(&format!("\"{member}\":\"")).unwrap() + member.len() + 4;
    line.get(start..).unwrap().chars().take_while(|char| *char != '"').collect()
}
