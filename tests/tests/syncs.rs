//! Goal: whatever is acknowledged was synced before; a process that is killed cannot tell, because the kernel keeps what it
//! wrote, but the system calls can.
//!
//! Method: a process of its own appends, and writes a line after each acknowledgement; strace lists its calls. Between two
//! lines there must be a sync of the segment, after the write that it covers.

use std::io::Write;
use std::process::Command;

use flow_history::{Author, Component, History};
use flow_history_tests::skip;

const DIR: &str = "FLOW_HISTORY_SYNCS_DIR";
const APPENDS: usize = 40;

#[test]
fn no_append_is_acknowledged_before_its_sync() {
    let has_strace =
        Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    if !has_strace {
        skip("syncs: there is no strace that works here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let calls = dir.path().join("calls");
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-e", "trace=write,pwrite64,fdatasync,fsync", "-o"])
        .arg(&calls)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "syncs::in_another_process", "--nocapture", "--test-threads=1"])
        .env(DIR, dir.path().join("history"))
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());

    let calls = std::fs::read_to_string(calls).unwrap();
    let (mut acknowledged, mut written, mut synced) = (0, false, false);
    for call in calls.lines() {
        let of_segment = call.contains("segment-");
        if call.contains("pwrite64(") && of_segment {
            (written, synced) = (true, false);
        } else if call.contains("fdatasync(") && of_segment && call.contains("= 0") {
            synced = written;
        } else if call.contains("acknowledged ") {
            assert!(synced, "line {acknowledged} was written before a sync:\n{calls}");
            acknowledged += 1;
            (written, synced) = (false, false);
        }
    }
    assert_eq!(acknowledged, APPENDS, "{calls}");
}

#[test]
fn in_another_process() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let history = History::open(dir).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump-1", "processor").field("rate", 0)).append().unwrap();
    // A file of its own: what a test prints is not written at once.
    let mut witness = tempfile::tempfile().unwrap();
    for rate in 0..APPENDS {
        history.change(&alice, "").set("pump-1", "rate", u64::try_from(rate).unwrap()).append().unwrap();
        witness.write_all(format!("acknowledged {rate}\n").as_bytes()).unwrap();
    }
}
