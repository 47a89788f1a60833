//! Goal: a read-only handle writes nothing, ever, and sees what a writer does meanwhile, in this process or another; and
//! there is one writer, whose process is named to whoever comes second.
//!
//! Method: a storage that counts the calls that change something; real directories, compared before and after; and this
//! very binary as another process, in the role that the environment gives it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow_history::{At, Author, Component, Error, FileStorage, History, MemoryStorage, Scope, Tuning};
use flow_history_tests::{Call, Faulty, skip};

use crate::bad_input::listing;

const ROLE: &str = "FLOW_HISTORY_TEST_ROLE";
const DIRECTORY: &str = "FLOW_HISTORY_TEST_DIRECTORY";

fn fill(history: &History, entries: usize) {
    let alice = Author::user("alice");
    if history.at(At::Head).unwrap().is_empty().unwrap() {
        history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    }
    for rate in 0..entries {
        history.change(&alice, "").set("pump", "rate", rate as u64).append().unwrap();
    }
}

/// Everything that only asks.
fn ask_everything(history: &History) {
    let head = history.version();
    assert_eq!(history.resolve(head).unwrap(), head.seq());
    history.at(At::Head).unwrap().to_flow().unwrap();
    history.at(1).unwrap().state_hash().unwrap();
    history.diff(1, At::Head).unwrap();
    assert_eq!(history.log().count() as u64, head.seq().0);
    history.labels().unwrap();
    history.verify().unwrap();
    assert!(history.stats().read_only);
}

#[test]
fn no_call_that_changes_anything_is_ever_made() {
    let memory = MemoryStorage::new();
    let writer = History::options().tuning(Tuning::hostile()).open_storage(Arc::new(memory.clone())).unwrap();
    fill(&writer, 60);
    let check = |when: &str| {
        let counting = Faulty::new(Arc::new(memory.clone()));
        let reader = History::options().open_storage_read_only(Arc::new(counting.clone())).unwrap();
        ask_everything(&reader);
        let alice = Author::user("alice");
        assert!(matches!(reader.undo(Scope::Flow, &alice), Err(Error::ReadOnly)), "{when}");
        assert!(matches!(reader.label(&alice, "l", 1), Err(Error::ReadOnly)), "{when}");
        let change = reader.change(&alice, "").set("pump", "rate", 1).append();
        assert!(matches!(change, Err(Error::ReadOnly)), "{when}: {change:?}");
        reader.close().unwrap();
        assert_eq!((counting.changing(), counting.count(Call::Lock)), (0, 0), "{when}");
        assert!(counting.count(Call::Read) > 10, "{when}: the counting is blind");
    };
    check("while a writer is open");
    let crashed = memory.files();
    writer.close().unwrap();
    check("after it closed");
    let torn = MemoryStorage::with_files(crashed);
    let before = torn.files();
    ask_everything(&History::options().open_storage_read_only(Arc::new(torn.clone())).unwrap());
    assert!(torn.files() == before, "a torn end was repaired by a reader");
}

#[test]
fn nothing_is_created_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing"), dir.path().join("deep/er"), dir.path().to_owned()] {
        match History::open_read_only(&path) {
            Err(Error::NotAHistory { dir, .. }) => assert_eq!(dir, path),
            other => panic!("{}: {:?}", path.display(), other.map(|history| history.version())),
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_may_not_be_written_can_be_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let history = History::open(&path).unwrap();
    fill(&history, 5);
    history.close().unwrap();
    let before = listing(&path);
    ask_everything(&History::open_read_only(&path).unwrap());
    assert_eq!(listing(&path), before, "reading changed the directory");
    if std::fs::metadata("/proc/self").is_ok_and(|owner| owner.uid() == 0) {
        skip("a directory of mode 0500: root may write everything");
        return;
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o500)).unwrap();
    ask_everything(&History::open_read_only(&path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn files_are_the_owners_alone_unless_the_group_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let check = |group_read: bool, directory: u32, file: u32| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        let history = History::options().group_read(group_read).open(&path).unwrap();
        fill(&history, 3);
        history.close().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), directory);
        for entry in std::fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), file, "{}", path.display());
        }
    };
    check(false, 0o700, 0o600);
    check(true, 0o750, 0o640);
}

#[test]
fn a_reader_sees_what_a_writer_in_another_thread_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let writer = History::options().tuning(Tuning::hostile()).open(&path).unwrap();
    fill(&writer, 1);
    let reader = History::open_read_only(&path).unwrap();
    let done = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut last, mut looks) = (0, 0);
            while !done.load(Ordering::Acquire) {
                let view = reader.at(At::Head).unwrap_or_else(|error| panic!("after {looks} looks: {error}"));
                let seq = view.seq().0;
                assert!(seq >= last, "the head went back from {last} to {seq}");
                if seq > 2 {
                    // Version n sets the rate to n - 3 in the second filling.
                    let rate = view
                        .component("pump")
                        .unwrap()
                        .unwrap()
                        .get("rate")
                        .and_then(flow_history::Value::as_i64);
                    assert_eq!(rate, Some(i64::try_from(seq).unwrap() - 3));
                }
                last = seq;
                looks += 1;
            }
            looks
        });
        fill(&writer, 300);
        done.store(true, Ordering::Release);
        looking.join().unwrap()
    });
    assert!(looks > 2, "{looks}");
    assert_eq!(
        reader.at(At::Head).unwrap().version().unwrap(),
        writer.version(),
        "what was acknowledged is seen"
    );
    ask_everything(&reader);
}

// ---- Another process ----

fn spawn(role: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "read_only::in_another_process", "--nocapture"])
        .env(ROLE, role)
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The other process: does what its role says, and tells so on its output. Without a role it is nobody.
#[test]
fn in_another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = std::env::var_os(DIRECTORY).unwrap();
    let wait = || drop(std::io::stdin().lines().next());
    match role.as_str() {
        "writer" => {
            let history = History::options().tuning(Tuning::hostile()).open(directory).unwrap();
            fill(&history, 0);
            for rate in 0_u64.. {
                let id =
                    history.change(&Author::user("other"), "").set("pump", "rate", rate).append().unwrap();
                println!("\nacknowledged {id}");
            }
        }
        "holder" => {
            let history = History::open(directory).unwrap();
            fill(&history, 1);
            println!("\nholding {}", history.version());
            wait();
            history.close().unwrap();
            println!("\nclosed");
            wait();
        }
        other => panic!("no role {other}"),
    }
}

fn told(lines: &mut impl Iterator<Item = std::io::Result<String>>, what: &str) -> Option<String> {
    lines.map_while(Result::ok).find_map(|line| line.strip_prefix(what).map(|rest| rest.trim().to_owned()))
}

#[test]
fn a_reader_sees_what_a_writer_in_another_process_acknowledged_and_a_kill_loses_none_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    for round in 0..5 * flow_history_tests::thoroughness() {
        let mut child = spawn("writer", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = told(&mut lines, "acknowledged ").unwrap();
        let reader = History::open_read_only(&path).unwrap();
        for _ in 0..10 + round {
            last = told(&mut lines, "acknowledged ").unwrap();
            let id = last.parse().unwrap();
            assert_eq!(
                reader.at(At::Id(id)).unwrap().version().unwrap(),
                id,
                "an acknowledged version is not seen"
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        last = std::iter::from_fn(|| told(&mut lines, "acknowledged ")).last().unwrap_or(last);
        let id = last.parse().unwrap();
        assert_eq!(
            reader.at(At::Id(id)).unwrap().version().unwrap(),
            id,
            "a kill lost an acknowledged version"
        );
        reader.verify().unwrap();
        let history = History::open(&path).unwrap();
        assert!(history.version().seq() >= flow_history::FlowVersionId::seq(&id));
        assert_eq!(history.at(id).unwrap().version().unwrap(), id, "after the kill, writing");
        history.change(&Author::user("alice"), "").set("pump", "rate", 1).append().unwrap();
        history.close().unwrap();
    }
}

fn check_locked(path: &Path, holder: u32) {
    match History::open(path) {
        Err(Error::Locked { dir, holder: named }) => {
            assert_eq!((dir.as_path(), named), (path, Some(holder)));
        }
        other => panic!("a second writer got {:?}", other.map(|history| history.version())),
    }
}

#[test]
fn a_second_writer_is_told_who_is_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let mut child = spawn("holder", &path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    told(&mut lines, "holding ").unwrap();
    check_locked(&path, child.id());
    // By another name, it is the same directory.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    check_locked(&link, child.id());
    ask_everything(&History::open_read_only(&path).unwrap());
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
    told(&mut lines, "closed").unwrap();
    // Closed, and the process still runs: the lock is free.
    let history = History::open(&path).unwrap();
    check_locked(&path, std::process::id());
    drop(history);
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
    child.wait().unwrap();
    // After a kill too.
    let mut child = spawn("holder", &path);
    told(&mut BufReader::new(child.stdout.take().unwrap()).lines(), "holding ").unwrap();
    check_locked(&path, child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    History::open(&path).unwrap().close().unwrap();
}

#[test]
fn whoever_is_locked_out_changed_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history");
    let history = History::open(&path).unwrap();
    fill(&history, 3);
    let counting = Faulty::new(Arc::new(FileStorage::new(&path)));
    let before = listing(&path);
    let second = History::options().open_storage(Arc::new(counting.clone()));
    assert!(matches!(second, Err(Error::Locked { .. })));
    assert_eq!(listing(&path), before);
    assert_eq!(counting.changing(), 0);
}
