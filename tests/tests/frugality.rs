//! Goal: hosts open thousands of histories: an idle one costs a descriptor, no thread and little memory, and nothing is
//! left when it is closed.
//!
//! Method: a process of its own, so that its descriptors, threads and memory are its own, reports what the system says of
//! it with 1,000 histories open and after 10,000 openings and closings.

use std::process::Command;

use flow_history::{Author, Component, History};
use flow_history_tests::{is_nightly, skip};

const ROLE: &str = "FLOW_HISTORY_FRUGALITY_ROLE";

/// What the system says of this process: descriptors, threads, resident bytes.
fn usage() -> (usize, usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let number = |name: &str| -> usize {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (descriptors, number("Threads:"), number("VmRSS:") * 1_024)
}

fn in_a_process_of_its_own(role: &str) {
    if !std::path::Path::new("/proc/self/status").exists() {
        skip("frugality: there is no /proc here");
        return;
    }
    let this = std::env::current_exe().unwrap();
    // Under the usual limit of 1,024 descriptors, whatever this machine allows.
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 1024 && exec \"$0\" \"$@\""])
        .arg(this)
        .args(["--exact", "frugality::in_another_process", "--nocapture"])
        .env(ROLE, role)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told.lines().filter(|line| line.contains("frugality:")).for_each(|line| eprintln!("{line}"));
}

#[test]
fn a_thousand_open_histories_fit_the_usual_limit_of_descriptors() {
    in_a_process_of_its_own("thousand");
}

#[test]
fn opening_and_closing_ten_thousand_times_ends_where_it_began() {
    in_a_process_of_its_own("again");
}

#[test]
fn in_another_process() {
    match std::env::var(ROLE).as_deref() {
        Ok("thousand") => a_thousand(),
        Ok("again") => again(),
        _ => {}
    }
}

fn a_thousand() {
    let dir = tempfile::tempdir().unwrap();
    let (descriptors_before, threads_before, bytes_before) = usage();
    let alice = Author::user("alice");
    let histories: Vec<History> = (0..1_000)
        .map(|n| {
            let history = History::open(dir.path().join(n.to_string())).unwrap();
            let pump = Component::new("pump-1", "processor").field("rate", n);
            history.change(&alice, "").add(pump).append().unwrap();
            history
        })
        .collect();
    let (descriptors, threads, bytes) = usage();
    println!(
        "frugality: 1,000 open histories take {} descriptors, {} threads and {} kB of memory more",
        descriptors - descriptors_before,
        threads - threads_before,
        (bytes - bytes_before) / 1_024,
    );
    // One for the lock of each, and what the limit leaves of the pool that all of them share.
    assert!(descriptors <= 1_024);
    assert!(threads - threads_before <= 2, "no thread belongs to a history");
    assert!(bytes - bytes_before <= 1_000 * (64 << 10), "an idle history takes at most 64 KiB");

    for (n, history) in histories.iter().enumerate().step_by(97) {
        let n = u64::try_from(n).unwrap();
        assert_eq!(history.at(1).unwrap().component("pump-1").unwrap().unwrap().get("rate"), Some(&n.into()));
    }
}

fn again() {
    let dir = tempfile::tempdir().unwrap();
    let once = || History::open(dir.path()).unwrap().close().unwrap();
    (0..20).for_each(|_| once());
    let (descriptors_before, threads_before, bytes_before) = usage();
    let rounds = if is_nightly() { 100_000 } else { 10_000 };
    (0..rounds).for_each(|_| once());
    let (mut descriptors, mut threads, mut bytes) = usage();
    // A thread that has nothing more to do ends when it is given a processor.
    for _ in 0..100 {
        if threads <= threads_before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        (descriptors, threads, bytes) = usage();
    }
    assert_eq!(descriptors, descriptors_before);
    assert!(threads <= threads_before);
    assert!(bytes <= bytes_before + (1 << 20), "{} bytes more", bytes - bytes_before);
    let files: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
}
