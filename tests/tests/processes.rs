//! Goal: what holds inside of one process holds between processes and on real disks: a kill at any moment loses nothing
//! that was acknowledged; one writer, in whatever way a second one comes; files are the owner's alone whatever the mask; a
//! disk that is full is survived.
//!
//! Method: this very binary as another process, in the role that the environment gives it, killed at random or, with
//! strace, at a chosen call of the system. What cannot be tried where it runs is skipped and says so.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flow_history::{
    At, Author, Body, Component, Durability, Error, History, LiveStamps, Operation, Options, Tuning, Value,
};
use flow_history_tests::{Chance, is_nightly, skip};

const ROLE: &str = "FLOW_HISTORY_PROCESS_ROLE";
const DIRECTORY: &str = "FLOW_HISTORY_PROCESS_DIRECTORY";
const ROUNDS: &str = "FLOW_HISTORY_PROCESS_ROUNDS";

fn options(setting: u64) -> Options {
    let tuning = if setting.is_multiple_of(2) { Tuning::hostile() } else { Tuning::default() };
    let options = History::options().tuning(tuning);
    match setting % 3 {
        2 => options.durability(Durability::Buffered { max_delay: Duration::from_millis(1) }),
        _ => options,
    }
}

/// What version `n` sets the rate to.
fn rate_of(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn arguments(command: &mut Command) -> &mut Command {
    command.args(["--exact", "processes::in_another_process", "--nocapture", "--test-threads=1"])
}

fn in_role(command: &mut Command, role: &str, directory: &Path) -> Child {
    command
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn spawn(role: &str, directory: &Path) -> Child {
    in_role(arguments(&mut Command::new(std::env::current_exe().unwrap())), role, directory)
}

/// The other process. Without a role it is nobody.
#[test]
fn in_another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = std::env::var_os(DIRECTORY).unwrap();
    let (role, setting) = role.split_once(' ').unwrap_or((&role, "1"));
    let setting: u64 = setting.parse().unwrap();
    match role {
        "writer" => write_for_ever(&options(setting).open(directory).unwrap(), setting),
        "holder" => {
            let history = History::open(directory).unwrap();
            println!("\nholding {}", std::process::id());
            drop(std::io::stdin().lines().next());
            drop(history);
        }
        "filler" => fill_until_full(Path::new(&directory)),
        "reader" => read_for_ever(Path::new(&directory)),
        "creator" => {
            let history = History::open(directory).unwrap();
            history.change(&Author::user("a"), "").add(Component::new("p", "p")).append().unwrap();
            history.close().unwrap();
        }
        other => panic!("no role {other}"),
    }
}

/// Says what is attempted before, and what is durable after.
fn write_for_ever(history: &History, setting: u64) {
    let alice = Author::user("alice");
    let pause = Duration::from_micros(if setting.is_multiple_of(5) { 200 } else { 0 });
    if history.at(At::Head).unwrap().component("pump").unwrap().is_none() {
        history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    }
    // Under strace nobody ends it from outside: what it has said would not be all.
    let rounds = std::env::var(ROUNDS).map_or(u64::MAX, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let next = history.version().seq().0 + 2;
        println!("\nattempting {next}");
        let current = history.version().seq().0 + 1;
        match history.change(&alice, "").set("pump", "rate", rate_of(current)).append() {
            Ok(id) if id.seq().0 != current => {
                // The mark that says that there was a crash came before it.
                println!("\nmoved {} {}", id.seq().0, current);
            }
            Ok(_) => {}
            Err(error) => {
                println!("\nrefused {error}");
                return;
            }
        }
        if setting % 3 != 2 || round % 16 == 0 {
            match history.flush() {
                Ok(()) => println!("\nacknowledged {}", history.version().seq().0),
                Err(error) => {
                    println!("\nrefused {error}");
                    return;
                }
            }
        }
        std::thread::sleep(pause);
    }
}

pub(crate) fn numbers<'l>(told: &'l str, what: &'l str) -> impl Iterator<Item = u64> + 'l {
    told.lines().filter_map(move |line| line.strip_prefix(what)?.split(' ').next()?.parse().ok())
}

/// Opens what a killed writer left, and compares it with what the writer said.
pub(crate) fn check_witness(directory: &Path, told: &str, before: u64, what: &str) -> u64 {
    let acknowledged = numbers(told, "acknowledged ").max().unwrap_or(before);
    let attempted = numbers(told, "attempting ").max().unwrap_or(before) + 2;
    let history = match options(1).must_exist(true).open(directory) {
        Err(Error::NotAHistory { .. }) if acknowledged == 0 => return 0,
        opened => opened.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    let recovered = history.version().seq().0;
    assert!(
        (acknowledged..=attempted.max(before)).contains(&recovered),
        "{what}: {acknowledged} acknowledged, {attempted} attempted, {recovered} recovered"
    );
    for line in history.log() {
        let entry = line.unwrap_or_else(|error| panic!("{what}: {error}")).entry;
        if let Body::Change(operations) = &entry.body
            && let [Operation::Set { edit: flow_history::Edit::Put(Value::Number(rate)), .. }] =
                &operations[..]
        {
            // What stands behind the mark of a crash was meant for the version that the mark took.
            let rate = rate.as_i64().unwrap().cast_unsigned();
            let seq = entry.seq.0;
            assert!(rate == rate_of(seq) || rate == rate_of(seq - 1), "{what}: version {seq} sets {rate}");
        }
    }
    history.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    History::open_read_only(directory).unwrap().version().seq().0
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let kills = if is_nightly() { 10_000 } else { 500 };
    let mut chance = Chance::new(1);
    let (mut dir, mut before, mut acknowledged) = (tempfile::tempdir().unwrap(), 0, 0);
    for kill in 0..kills {
        if kill % 25 == 0 {
            (dir, before) = (tempfile::tempdir().unwrap(), 0);
        }
        let path = dir.path().join("history");
        let mut child = spawn(&format!("writer {kill}"), &path);
        let output = BufReader::new(child.stdout.take().unwrap());
        let (began, begun) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let mut told = String::new();
            for line in output.lines().map_while(Result::ok) {
                if line.starts_with("attempting ") {
                    let _ = began.send(());
                }
                told.push_str(&line);
                told.push('\n');
            }
            told
        });
        // One in four comes while the history is opened, the others after some entries: how long those take depends on
        // what else the machine does.
        let entries = if kill % 4 == 0 { 0 } else { 1 + chance.below(12) };
        for _ in 0..entries {
            let _ = begun.recv_timeout(Duration::from_secs(20));
        }
        std::thread::sleep(Duration::from_micros(chance.below(12_000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let told = reading.join().unwrap();
        acknowledged += numbers(&told, "acknowledged ").count();
        before = check_witness(&path, &told, before, &format!("kill {kill}"));
    }
    eprintln!("kills: {kills}, {acknowledged} acknowledgements");
    assert!(acknowledged > kills, "the kills came before anything happened");
}

fn has_strace() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    if !works {
        skip("processes: there is no strace that works here");
    }
    works
}

/// A writer under strace, which does something to one call of the system; what it said.
fn strace(inject: &str, directory: &Path) -> String {
    let mut command = Command::new("strace");
    let call = inject.trim_start_matches("inject=").split(':').next().unwrap();
    let trace = format!("trace={call}");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", inject]).env(ROUNDS, "50");
    command.arg(std::env::current_exe().unwrap());
    let mut child = in_role(arguments(&mut command), "writer 4", directory);
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    child.wait().unwrap();
    told
}

#[test]
fn a_kill_at_a_chosen_call_of_the_system_loses_nothing_that_was_acknowledged() {
    if !has_strace() {
        return;
    }
    let (mut tried, mut early) = (0, 0);
    for call in ["pwrite64", "fdatasync", "fsync", "rename", "unlink", "openat", "ftruncate"] {
        let step = if is_nightly() { 1 } else { 9 };
        for number in (1..60).step_by(step) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("history");
            let inject = format!("inject={call}:signal=KILL:when={number}");
            let told = strace(&inject, &path);
            early += usize::from(numbers(&told, "acknowledged ").count() < 50);
            check_after_strace(&path, &told, &inject);
            tried += 1;
        }
    }
    eprintln!("chosen calls: {tried} tried, {early} killed before the end");
    assert!(early > tried / 3, "{early} of {tried} were killed: the test is blind");
}

fn check_after_strace(path: &Path, told: &str, inject: &str) {
    // Whoever was traced may take a moment to be gone.
    let began = Instant::now();
    while matches!(options(1).must_exist(true).open(path), Err(Error::Locked { .. })) {
        assert!(began.elapsed() < Duration::from_secs(10), "{inject}: still locked");
        std::thread::sleep(Duration::from_millis(20));
    }
    check_witness(path, told, 0, inject);
}

#[test]
fn an_error_of_a_chosen_call_of_the_system_loses_nothing_that_was_acknowledged() {
    if !has_strace() {
        return;
    }
    let (mut tried, mut refused) = (0, 0);
    for (call, errno) in [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO"), ("fsync", "EIO")]
    {
        for number in (1..50).step_by(if is_nightly() { 1 } else { 11 }) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("history");
            let inject = format!("inject={call}:error={errno}:when={number}");
            let told = strace(&inject, &path);
            if let Some(error) = told.lines().find_map(|line| line.strip_prefix("refused ")) {
                refused += 1;
                let after = told.split("refused ").nth(1).unwrap_or_default();
                assert!(!after.contains("acknowledged "), "{inject}: {error}, and then it went on");
            }
            check_after_strace(&path, &told, &inject);
            tried += 1;
        }
    }
    eprintln!("chosen errors: {tried} tried, {refused} said so");
    assert!(refused > 5, "{refused} of {tried} were told: the test is blind");
}

// ---- One writer ----

fn check_locked(path: &Path, how: &str) {
    let began = Instant::now();
    match History::open(path) {
        Err(Error::Locked { .. }) => {}
        other => panic!("{how}: {:?}", other.map(|history| history.version())),
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{how}: {:?}", began.elapsed());
}

fn holder(path: &Path) -> Child {
    let mut child = spawn("holder", path);
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    while !lines.next().unwrap().unwrap().starts_with("holding") {}
    child
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_second_writer_is_refused_in_whatever_way_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let mut child = holder(&path);
    check_locked(&path, "another process");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    check_locked(&link, "a link to the directory");
    check_locked(&path.join("../history"), "another way to the directory");
    let linked = dir.path().join("linked");
    std::fs::create_dir(&linked).unwrap();
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        std::fs::hard_link(entry.path(), linked.join(entry.file_name())).unwrap();
    }
    check_locked(&linked, "hard links of every file");
    let bound = dir.path().join("bound");
    std::fs::create_dir(&bound).unwrap();
    if is_mounted(Command::new("mount").arg("--bind").arg(&path).arg(&bound)) {
        check_locked(&bound, "another mount");
        assert!(Command::new("umount").arg(&bound).status().unwrap().success());
    } else {
        skip("processes: a lock through another mount: mounting is not allowed here");
    }
    History::open_read_only(&path).unwrap().verify().unwrap();
    signal(&child, "STOP");
    check_locked(&path, "an owner that is stopped");
    signal(&child, "CONT");
    child.kill().unwrap();
    child.wait().unwrap();
    // Killed: free at once. And the other way round.
    let reader = History::open_read_only(&path).unwrap();
    let history = History::open(&path).unwrap();
    check_locked(&path, "the same process");
    assert_eq!(reader.version(), history.version());
    let clone = history.clone();
    drop(history);
    check_locked(&path, "a clone of the handle");
    drop(clone);
    History::open(&path).unwrap().close().unwrap();
}

/// A second lock file is a second writer: the first one must find out before it writes again.
#[test]
fn a_writer_whose_lock_file_was_deleted_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let alice = Author::user("alice");
    let first = History::open(&path).unwrap();
    first.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    std::fs::remove_file(path.join("lock")).unwrap();
    let second = History::open(&path).unwrap();
    let by_second = second.change(&alice, "").set("pump", "rate", 2).append().unwrap();
    match first.change(&alice, "").set("pump", "rate", 1).append() {
        Err(Error::Poisoned { cause }) => assert!(cause.contains("lock"), "{cause}"),
        other => panic!("{other:?}"),
    }
    assert!(first.close().is_err());
    assert_eq!(second.version(), by_second);
    second.close().unwrap();
    let history = History::open_read_only(&path).unwrap();
    assert_eq!(history.version(), by_second);
    history.verify().unwrap();
}

#[test]
fn however_soon_after_an_append_a_lock_file_is_deleted_the_next_one_is_refused() {
    let alice = Author::user("alice");
    for at in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let history = History::open(dir.path().join("history")).unwrap();
        history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
        let set = |rate: u64| history.change(&alice, "").set("pump", "rate", rate).append();
        // The path was walked a moment ago.
        std::thread::sleep(Duration::from_millis(2));
        set(1).unwrap();
        std::fs::remove_file(dir.path().join("history/lock")).unwrap();
        assert!(matches!(set(2), Err(Error::Poisoned { .. })), "round {at}");
    }
}

/// What the lock file itself does not show: the directory that the path leads to is another one.
#[test]
fn a_writer_whose_directory_was_exchanged_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("history"), dir.path().join("aside"));
    let alice = Author::user("alice");
    let first = History::open(&path).unwrap();
    let known = first.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();
    for entry in std::fs::read_dir(&aside).unwrap() {
        let from = entry.unwrap();
        std::fs::copy(from.path(), path.join(from.file_name())).unwrap();
    }
    // It is noticed within a millisecond.
    std::thread::sleep(Duration::from_millis(2));
    match first.change(&alice, "").set("pump", "rate", 1).append() {
        Err(Error::Poisoned { cause }) => assert!(cause.contains("lock"), "{cause}"),
        other => panic!("{other:?}"),
    }
    assert!(first.close().is_err());
    for left in [path, aside] {
        assert_eq!(History::open_read_only(&left).unwrap().version(), known);
    }
}

// ---- The file system ----

fn is_mounted(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn files_are_the_owners_alone_whatever_the_mask() {
    for mask in ["000", "077", "777"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        let exe = std::env::current_exe().unwrap();
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(exe);
        let mut child = in_role(arguments(&mut command), "creator", &path);
        assert!(child.wait().unwrap().success(), "mask {mask}");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700, "mask {mask}");
        for entry in std::fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "mask {mask}: {}", path.display());
        }
    }
}

#[test]
fn a_pipe_in_place_of_any_file_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let history = History::open(&path).unwrap();
    history.change(&Author::user("a"), "").add(Component::new("p", "p")).append().unwrap();
    history.close().unwrap();
    let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    for name in names {
        let aside = dir.path().join("aside");
        std::fs::rename(&name, &aside).unwrap();
        assert!(Command::new("mkfifo").arg(&name).status().unwrap().success());
        let began = Instant::now();
        let is_lock = name.ends_with("lock");
        let read = History::open_read_only(&path).map(|history| history.version());
        assert_eq!(read.is_err(), !is_lock, "{}: {read:?}", name.display());
        let written = History::open(&path).map(|history| history.version());
        assert!(matches!(written, Err(Error::Io { .. })), "{}: {written:?}", name.display());
        assert!(began.elapsed() < Duration::from_secs(1), "{}: {:?}", name.display(), began.elapsed());
        std::fs::remove_file(&name).unwrap();
        std::fs::rename(&aside, &name).unwrap();
    }
    History::open(&path).unwrap().verify().unwrap();
}

/// Appends until there is no room, says so, and goes on once there is.
fn fill_until_full(directory: &Path) {
    let room = directory.parent().unwrap().join("room");
    let history = History::options().tuning(Tuning::hostile()).open(directory).unwrap();
    let alice = Author::user("alice");
    let mut refused = 0;
    for at in 0..4_000 {
        let part = Component::new(format!("part-{at}"), "part").field("text", "x".repeat(at % 900));
        match history.change(&alice, "").add(part).append() {
            Ok(id) => println!("\nacknowledged {}", id.seq().0),
            Err(error @ (Error::Full { .. } | Error::Io { .. })) => {
                println!("\nfull {error}");
                refused += 1;
                history.at(At::Head).unwrap().to_flow().unwrap();
                if refused > 20 || !room.exists() {
                    return;
                }
                if refused == 20 {
                    std::fs::remove_file(&room).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
        if refused >= 20 {
            let after = Component::new(format!("after-{at}"), "part");
            let id = history.change(&alice, "").add(after).append().unwrap();
            println!("\nacknowledged {}\nwent on", id.seq().0);
            return;
        }
    }
}

fn check_filled(path: &Path, told: &str, what: &str) {
    let acknowledged = numbers(told, "acknowledged ").max().unwrap();
    assert!(told.contains("\nfull "), "{what}: it was never full: {acknowledged} entries");
    let read = History::open_read_only(path).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read.version().seq().0, acknowledged, "{what}");
    read.verify().unwrap();
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    for blocks in [1, 3, 7] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        // The signal is ignored, so that writes are short and then fail.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", blocks * 8 + 9);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(std::env::current_exe().unwrap());
        let mut child = in_role(arguments(&mut command), "filler", &path);
        let mut told = String::new();
        child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        child.wait().unwrap();
        if !told.contains("\nfull ") {
            // Small segments never get so large; what does is a catalog, which nothing waits for.
            continue;
        }
        check_filled(&path, &told, &format!("{blocks} blocks"));
    }
}

#[test]
fn a_small_disk_that_fills_can_be_emptied_and_the_same_handle_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for kib in [160, 300] {
        let disk = dir.path().join(format!("disk-{kib}"));
        std::fs::create_dir(&disk).unwrap();
        let size = format!("size={kib}k");
        if !is_mounted(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&disk)) {
            skip("processes: a disk that fills: mounting is not allowed here");
            return;
        }
        std::fs::write(disk.join("room"), vec![7; 64 << 10]).unwrap();
        let path = disk.join("history");
        let mut child = spawn("filler", &path);
        let mut told = String::new();
        child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        let ended = child.wait().unwrap();
        let checked = std::panic::catch_unwind(|| {
            assert!(ended.success(), "{told}");
            check_filled(&path, &told, &size);
            assert!(told.contains("went on"), "{size}: it did not go on");
        });
        // A second, read-only look at the same files, where nothing may be written.
        let read_only = is_mounted(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk));
        let read = read_only.then(|| {
            let reader = History::open_read_only(&path).map(|history| history.version().seq().0);
            let writer = History::open(&path).map(|history| history.version());
            (reader, writer.map_err(|error| error.to_string()))
        });
        assert!(Command::new("umount").arg("-l").arg(&disk).status().unwrap().success());
        checked.unwrap();
        if let Some((reader, writer)) = read {
            assert_eq!(reader.unwrap(), numbers(&told, "acknowledged ").max().unwrap(), "read-only mount");
            assert!(writer.is_err(), "a writer on a read-only mount: {writer:?}");
        }
    }
}

// ---- Readers beside a writer ----

fn read_for_ever(directory: &Path) {
    let (mut last, mut reader) = (0, History::open_read_only(directory).unwrap());
    println!("\nreading");
    for round in 0_u64.. {
        let head = reader.at(At::Head).unwrap();
        assert!(head.seq().0 >= last, "the head went back from {last} to {}", head.seq());
        last = head.seq().0;
        head.to_flow().unwrap();
        let before = last.saturating_sub(round % 40);
        match reader.at(before).and_then(|view| view.to_flow()) {
            Ok(_) | Err(Error::Pruned { .. }) => {}
            Err(error) => panic!("version {before} of {last}: {error}"),
        }
        if round % 8 == 0 {
            reader = History::open_read_only(directory).unwrap();
        }
        println!("\nread {last}");
    }
}

#[test]
fn a_reader_in_another_process_is_never_in_the_way_of_sealing_and_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let history = History::options().tuning(Tuning::hostile()).open(&path).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    let mut child = spawn("reader", &path);
    let output = child.stdout.take().unwrap();
    let (said, heard) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = said.send(());
            *counts.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        counts.get("read").copied().unwrap_or_default()
    });
    heard.recv_timeout(Duration::from_secs(20)).unwrap();
    for rate in 0..1_500_u64 {
        history.change(&alice, "a message of some length").set("pump", "rate", rate).append().unwrap();
        if rate % 300 == 299 {
            let oldest = At::Back(100);
            history.prune(&Author::operator("olga"), oldest, &LiveStamps::GiveUp).unwrap();
        }
    }
    let ended = child.try_wait().unwrap();
    assert!(ended.is_none(), "the reader failed: {ended:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let reads = reading.join().unwrap();
    eprintln!("a reader beside a writer: {reads} rounds");
    assert!(reads > 10, "{reads}");
    history.close().unwrap();
}
