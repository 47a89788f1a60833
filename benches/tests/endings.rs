//! Goal: however a run of `compare` ends, the table says it, JSON is whole or not there, and its directory goes.
//!
//! Method: the program itself, on a few rows: interrupted, on tmpfs, and with the process killed that loads a system.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-history-benches");

/// The program, told to be quick about it and to write here.
fn compare(directory: &Path, rows: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["compare", "--quick", "--workload", "w1k", "--seconds", "1", "--rounds", "1"]);
    command.args(["--peers", "flow-history", "--rows", rows]);
    command.arg("--directory").arg(directory).arg("--json").arg(directory.join("figures.json"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The names of what is left in a directory.
fn left_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, process]).status().unwrap().success());
}

#[test]
fn an_interrupt_is_said_in_the_table_and_leaves_neither_json_nor_a_directory() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let child = compare(directory.path(), "durable,component").spawn().unwrap();
    let began = Instant::now();
    // Not before it has begun to write.
    while left_in(directory.path()).is_empty() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal("-INT", &child.id().to_string());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("Stopped by Ctrl-C"), "{}", said(&output));
    assert!(said(&output).contains("Nothing was written to"), "{}", said(&output));
    assert_eq!(left_in(directory.path()), Vec::<String>::new());
}

#[test]
fn on_tmpfs_durable_rows_have_no_figures_and_the_table_says_why() {
    let shared = Path::new("/dev/shm");
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    if !mounts.lines().any(|line| line.contains(" /dev/shm tmpfs ")) {
        return say_skipped();
    }
    let directory = tempfile::tempdir_in(shared).unwrap();
    let output = compare(directory.path(), "durable_1,buffered").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("is on tmpfs"), "{}", said(&output));
    let json = std::fs::read_to_string(directory.path().join("figures.json")).unwrap();
    assert!(json.contains("\"buffered\"") && !json.contains("\"durable_1\""), "{json}");
    assert_eq!(left_in(directory.path()), ["figures.json"]);
}

#[test]
fn a_system_that_fails_in_the_middle_is_said_in_the_table_and_json_is_whole() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let child = compare(directory.path(), "bytes,peak").spawn().unwrap();
    // The one that loads our own store first; the second loads undisturbed.
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let began = Instant::now();
    let loading = loop {
        let children = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(first) = children.split_whitespace().next() {
            break first.to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no child came");
        std::thread::sleep(Duration::from_millis(2));
    };
    signal("-KILL", &loading);
    let output = child.wait_with_output().unwrap();
    let told = said(&output);
    assert!(
        told.contains("| `bytes_per_change` | flow-history | - |") && told.contains("failed: "),
        "{told}"
    );
    let json = std::fs::read_to_string(directory.path().join("figures.json")).unwrap();
    assert!(json.contains("\"flow-history (warm)\"") && !json.contains("\"flow-history\""), "{json}");
    for line in json.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object(), "{line}");
    }
    assert_eq!(left_in(directory.path()), ["figures.json"]);
}

fn say_skipped() {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIPPED: there is no tmpfs at /dev/shm");
}
