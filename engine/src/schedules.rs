//! Goal: whatever order the threads of a host and the background threads go on in, nothing is acknowledged or shown before
//! it is durable, everyone who waits is woken, and a close is the end.
//!
//! Method: the locks, condition variables, atomics and threads of the engine are those of shuttle here (`sync.rs`), which
//! decides at each of them who goes on: by chance, and by few changes of who comes first, which finds what chance does not.
//! The seeds are fixed; `FLOW_HISTORY_SEED` takes others and `FLOW_HISTORY_NIGHTLY` tries many more. Shuttle gives every
//! atomic the strongest order, so that what a weaker one allows is left to `threads`, which runs on the machine.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use flow_history_replay::Source;
use parking_lot::Mutex;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::{Config, FailurePersistence, Runner, thread};

use crate::sync::process_id;
use crate::sync::scheduled::{fork, in_a_child};
use crate::{
    Author, Clock, Component, Durability, Error, FlowVersionId, History, Lock, LockError, MemoryStorage,
    Proposal, Scope, Storage, Timestamp, Tuning,
};

/// How many schedules of each scenario are tried, by each way to choose them.
fn schedules() -> usize {
    if std::env::var_os("FLOW_HISTORY_NIGHTLY").is_some() { 50_000 } else { 100 }
}

fn seed() -> u64 {
    std::env::var("FLOW_HISTORY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(6)
}

fn run(schedules: usize, persistence: FailurePersistence, scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.failure_persistence = persistence;
    config.silence_warnings = true;
    let chance = Arc::clone(&scenario);
    Runner::new(RandomScheduler::new_from_seed(seed(), schedules), config.clone()).run(move || chance());
    Runner::new(PctScheduler::new_from_seed(seed(), 3, schedules), config).run(move || scenario());
}

/// Runs a scenario in many orders.
pub(crate) fn try_schedules(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    run(schedules(), FailurePersistence::Print, scenario);
    eprintln!("{name}: {} schedules", 2 * schedules());
}

/// Whether a scenario fails in one of many orders.
pub(crate) fn is_caught(scenario: impl Fn() + Send + Sync + 'static) -> bool {
    let scenario = || run(300, FailurePersistence::None, scenario);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(scenario)).is_err()
}

/// Files in memory, with what of the log is durable: others may go on before and after each write and sync.
struct Disk {
    files: MemoryStorage,
    turn: AtomicBool,
    /// The newest entry that was written to each file and not synced yet.
    written: Mutex<BTreeMap<String, u64>>,
    durable: AtomicU64,
    frames: AtomicUsize,
    /// The first sync of a frame that fails, counted from 1; or the first write of one.
    failing_sync: usize,
    failing_write: usize,
    locked: Arc<std::sync::atomic::AtomicBool>,
    /// Whether anything was written while nobody held the lock.
    written_unlocked: std::sync::atomic::AtomicBool,
    /// Whether anything was written by a child of the process.
    written_by_child: std::sync::atomic::AtomicBool,
}

impl Disk {
    fn new() -> Self {
        Self {
            files: MemoryStorage::new(),
            turn: AtomicBool::new(false),
            written: Mutex::default(),
            durable: AtomicU64::new(0),
            frames: AtomicUsize::new(0),
            failing_sync: usize::MAX,
            failing_write: usize::MAX,
            locked: Arc::default(),
            written_unlocked: false.into(),
            written_by_child: false.into(),
        }
    }

    /// Here others may go on.
    fn point(&self) {
        self.turn.load(Ordering::SeqCst);
    }

    fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    fn frames(&self) -> usize {
        self.frames.load(Ordering::SeqCst)
    }

    fn note_change(&self) {
        if !self.locked.load(Ordering::SeqCst) {
            self.written_unlocked.store(true, Ordering::SeqCst);
        }
        if process_id() != std::process::id() {
            self.written_by_child.store(true, Ordering::SeqCst);
        }
    }
}

/// The newest entry of a frame of entries.
fn last_seq_of(frame: &[u8]) -> Option<u64> {
    let entries = frame.get(8..12).filter(|_| frame.starts_with(b"FhFr\x01"))?;
    let first = u64::from_le_bytes(frame.get(16..24)?.try_into().ok()?);
    Some(first + u64::from(u32::from_le_bytes(entries.try_into().ok()?)) - 1)
}

fn no_more() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Source for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.files.len(file)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.files.read_at(file, offset, buffer)
    }
}

impl Storage for Disk {
    fn place(&self) -> PathBuf {
        self.files.place()
    }

    fn create_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, file: &str) -> io::Result<()> {
        self.note_change();
        self.files.create(file)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.point();
        self.note_change();
        if let Some(seq) = last_seq_of(bytes) {
            if self.frames.fetch_add(1, Ordering::SeqCst) + 1 == self.failing_write {
                return Err(no_more());
            }
            self.written.lock().insert(file.to_owned(), seq);
        }
        self.files.write_at(file, offset, bytes)
    }

    fn set_len(&self, file: &str, length: u64) -> io::Result<()> {
        self.note_change();
        self.files.set_len(file, length)
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        self.point();
        let written = self.written.lock().remove(file);
        if written.is_some() && self.frames() >= self.failing_sync {
            return Err(no_more());
        }
        if let Some(seq) = written {
            self.durable.fetch_max(seq, Ordering::SeqCst);
        }
        self.point();
        self.files.sync(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.point();
        self.note_change();
        self.files.rename(from, to)
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.note_change();
        self.files.remove(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.point();
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        self.locked.store(true, Ordering::SeqCst);
        Ok(Box::new(Held(Arc::clone(&self.locked))))
    }
}

struct Held(Arc<std::sync::atomic::AtomicBool>);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Time that goes on by itself, and numbers that are never the same.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.0.fetch_add(1, Ordering::SeqCst)).unwrap();
        Timestamp { millis: 1_795_000_000_000 + millis, zone_minutes: 0 }
    }

    fn random(&self) -> [u8; 16] {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst)).to_le_bytes()
    }
}

fn open(disk: &Arc<Disk>, durability: Durability) -> History {
    open_with(disk, durability, true)
}

fn open_with(disk: &Arc<Disk>, durability: Durability, background: bool) -> History {
    let mut tuning = Tuning::hostile();
    tuning.background = background;
    tuning.derive_from_bytes = u64::MAX;
    tuning.vouch_after = Duration::from_secs(1);
    History::options()
        .tuning(tuning)
        .durability(durability)
        .clock(Arc::new(Ticking(AtomicU64::new(1))))
        .open_storage(Arc::clone(disk) as Arc<dyn Storage>)
        .unwrap()
}

fn part(name: impl std::fmt::Display) -> Component {
    Component::new(name.to_string(), "part")
}

fn append(history: &History, name: impl std::fmt::Display) -> Result<FlowVersionId, Error> {
    history.change(&Author::user("alice"), "").add(part(name)).append()
}

/// What is in the files opens, holds at least so many entries, and at most so many.
fn check_files(disk: &Disk, least: u64, most: u64) -> History {
    let copy = MemoryStorage::with_files(disk.files.files());
    let history = History::options().open_storage_read_only(Arc::new(copy)).unwrap();
    let recovered = history.version().seq().0;
    assert!((least..=most).contains(&recovered), "{recovered}, not {least} to {most}");
    history
}

/// Looks at the version again and again, as a host that stamps does.
fn watch(history: &History, disk: &Arc<Disk>) -> thread::JoinHandle<()> {
    let (stamper, disk) = (history.stamper(), Arc::clone(disk));
    thread::spawn(move || {
        let mut last = 0;
        for _ in 0..6 {
            let seen = stamper.current().seq().0;
            assert!(seen <= disk.durable(), "version {seen} was shown, {} are durable", disk.durable());
            assert!(seen >= last, "{last}, then {seen}");
            last = seen;
        }
    })
}

/// Threads of a host that do this at once, each with a number.
fn in_threads(
    count: usize,
    history: &History,
    disk: &Arc<Disk>,
    act: impl Fn(usize, &History, &Arc<Disk>) + Clone + Send + 'static,
) -> Vec<thread::JoinHandle<()>> {
    let threads = (0..count).map(|number| {
        let (history, disk, act) = (history.clone(), Arc::clone(disk), act.clone());
        thread::spawn(move || act(number, &history, &disk))
    });
    threads.collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn entries_of_many_threads_are_durable_before_anybody_hears_of_them() {
    try_schedules("group commit", || {
        let disk = Arc::new(Disk::new());
        let history = open(&disk, Durability::Immediate);
        let watching = watch(&history, &disk);
        let appending = in_threads(3, &history, &disk, move |thread, history, disk| {
            for at in 0..2 {
                let id = append(history, format_args!("{thread}-{at}")).unwrap();
                assert!(id.seq().0 <= disk.durable(), "{id} was acknowledged and is not durable");
                assert!(history.version().seq() >= id.seq(), "{id} was acknowledged and is not shown");
                assert_eq!(history.resolve(id).unwrap(), id.seq());
            }
        });
        join(appending);
        watching.join().unwrap();
        assert!(disk.frames() <= 6);
        history.close().unwrap();
        check_files(&disk, 6, 6);
    });
}

#[test]
fn whoever_hands_an_entry_over_hears_of_its_end_although_nobody_waits_for_it() {
    try_schedules("tickets", || {
        let disk = Arc::new(Disk::new());
        let history = open(&disk, Durability::Immediate);
        let called = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&called);
        let submitting = in_threads(2, &history, &disk, move |thread, history, disk| {
            let submit =
                |name: String| history.change(&Author::user("alice"), "").add(part(name)).submit().unwrap();
            let (beside, called) = (Arc::clone(disk), Arc::clone(&counting));
            submit(format!("{thread}-called")).on_durable(move |id| {
                // A panic here would be caught by the one who calls.
                let durable = id.is_ok_and(|id| id.seq().0 <= beside.durable());
                called.fetch_add(if durable { 1 } else { 1_000 }, Ordering::SeqCst);
            });
            let id = shuttle::future::block_on(submit(format!("{thread}-awaited"))).unwrap();
            assert!(id.seq().0 <= disk.durable());
        });
        join(submitting);
        history.close().unwrap();
        assert_eq!(called.load(Ordering::SeqCst), 2, "two were to be called back, with what is durable");
        check_files(&disk, 4, 4);
    });
}

#[test]
fn a_close_while_others_append_is_the_end_and_loses_nothing() {
    try_schedules("close while appending", || {
        let disk = Arc::new(Disk::new());
        let history = open(&disk, Durability::Immediate);
        let acknowledged = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&acknowledged);
        let appending = in_threads(2, &history, &disk, move |thread, history, _| {
            for at in 0..2 {
                match append(history, format_args!("{thread}-{at}")) {
                    Ok(id) => told.fetch_max(id.seq().0, Ordering::SeqCst),
                    Err(Error::Closed) => return,
                    Err(error) => panic!("{error}"),
                };
            }
        });
        let follower = {
            let mut entries = history.subscribe(0).unwrap();
            thread::spawn(move || {
                let mut seen = 0;
                while let Ok(Some(entry)) = entries.next_within(Duration::from_secs(3_600)) {
                    seen += 1;
                    assert_eq!(entry.seq.0, seen);
                }
                seen
            })
        };
        history.clone().close().unwrap();
        let at_close = disk.durable();
        assert!(!disk.locked.load(Ordering::SeqCst), "the lock was let go of");
        join(appending);
        assert!(matches!(append(&history, "late"), Err(Error::Closed)));
        assert_eq!(disk.durable(), at_close, "an entry came after the close");
        assert!(acknowledged.load(Ordering::SeqCst) <= at_close);
        assert_eq!(follower.join().unwrap(), at_close, "who follows sees all of it, and then the end");
        assert!(!disk.written_unlocked.load(Ordering::SeqCst), "something was written without the lock");
        check_files(&disk, at_close, at_close);
    });
}

#[test]
fn two_closes_at_once_both_return_when_all_is_durable() {
    try_schedules("two closes", || {
        let disk = Arc::new(Disk::new());
        let history = open(&disk, Durability::Buffered { max_delay: Duration::ZERO });
        append(&history, "one").unwrap();
        append(&history, "two").unwrap();
        let other = history.clone();
        let beside = Arc::clone(&disk);
        let closing = thread::spawn(move || {
            other.close().unwrap();
            assert_eq!(beside.durable(), 2);
        });
        history.close().unwrap();
        assert_eq!(disk.durable(), 2);
        closing.join().unwrap();
        check_files(&disk, 2, 2);
    });
}

#[test]
fn buffered_entries_are_durable_when_a_flush_returns_whoever_writes_them() {
    try_schedules("buffered", || {
        let disk = Arc::new(Disk::new());
        let history = open(&disk, Durability::Buffered { max_delay: Duration::ZERO });
        let appending = in_threads(2, &history, &disk, move |thread, history, disk| {
            for at in 0..2 {
                let id = append(history, format_args!("{thread}-{at}")).unwrap();
                assert!(history.version().seq() >= id.seq());
                if at == 1 {
                    history.flush().unwrap();
                    assert!(id.seq().0 <= disk.durable(), "{id} was flushed and is not durable");
                }
            }
        });
        join(appending);
        history.close().unwrap();
        check_files(&disk, 4, 4);
    });
}

#[test]
fn a_sync_that_fails_is_heard_by_everyone_who_waits_and_nothing_is_accepted_after_it() {
    try_schedules("a failed sync", || {
        let disk = Arc::new(Disk { failing_sync: 2, ..Disk::new() });
        let history = open(&disk, Durability::Immediate);
        let watching = watch(&history, &disk);
        let appending = in_threads(3, &history, &disk, move |thread, history, disk| {
            let mut poisoned = false;
            for at in 0..2 {
                match append(history, format_args!("{thread}-{at}")) {
                    Ok(id) => assert!(!poisoned && id.seq().0 <= disk.durable()),
                    Err(Error::Poisoned { .. }) => poisoned = true,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        join(appending);
        watching.join().unwrap();
        let durable = disk.durable();
        assert_eq!(history.version().seq().0, durable, "what is shown is what is durable");
        let closed = history.close();
        assert_eq!(closed.is_err(), disk.frames() >= 2);
        check_files(&disk, durable, 6);
    });
}

#[test]
fn a_write_that_fails_refuses_its_group_and_all_on_top_of_it_and_the_rest_goes_on() {
    try_schedules("a failed write", || {
        let disk = Arc::new(Disk { failing_write: 2, ..Disk::new() });
        let history = open(&disk, Durability::Immediate);
        let watching = watch(&history, &disk);
        let accepted = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&accepted);
        let appending = in_threads(3, &history, &disk, move |thread, history, disk| {
            for at in 0..2 {
                match append(history, format_args!("{thread}-{at}")) {
                    Ok(id) => {
                        assert!(id.seq().0 <= disk.durable());
                        counting.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(Error::Io { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        join(appending);
        watching.join().unwrap();
        append(&history, "after").unwrap();
        let accepted = accepted.load(Ordering::SeqCst) + 1;
        history.close().unwrap();
        check_files(&disk, accepted, accepted);
    });
}

/// What a real child does not share with its parent, the state in memory, these threads do: what is tried is that it is told
/// so on each way, and that it neither writes nor leads.
#[test]
fn in_a_child_of_the_process_every_way_to_write_is_refused() {
    try_schedules("a child of the process", || {
        let disk = Arc::new(Disk::new());
        let history = open(&disk, Durability::Immediate);
        let submit = |name| history.change(&Author::user("alice"), "").add(part(name)).submit().unwrap();
        let tickets = [submit("waited for"), submit("looked at"), submit("awaited")];
        let (of_child, beside) = (history.clone(), Arc::clone(&disk));
        let child = thread::spawn(move || {
            in_a_child(|| {
                let [waited, looked, awaited] = tickets;
                let is_settled = |result: Result<FlowVersionId, Error>| match result {
                    Ok(id) => assert!(id.seq().0 <= beside.durable()),
                    Err(error) => assert!(matches!(error, Error::Forked { .. }), "{error}"),
                };
                is_settled(looked.try_result().unwrap());
                is_settled(waited.wait());
                is_settled(shuttle::future::block_on(awaited));
                let change = || of_child.change(&Author::user("alice"), "").add(part("of a child"));
                assert!(matches!(change().append(), Err(Error::Forked { .. })));
                assert!(matches!(change().submit().map(drop), Err(Error::Forked { .. })));
                let alice = Author::user("alice");
                let removal = of_child.change(&alice, "").remove("waited for").append();
                assert!(matches!(removal, Err(Error::Forked { .. })));
                assert!(matches!(of_child.undo(Scope::Flow, &alice), Err(Error::Forked { .. })));
                let plan = of_child.plan(&alice, Proposal::undo(Scope::Flow));
                assert!(matches!(plan, Err(Error::Forked { .. })));
                assert!(matches!(of_child.flush(), Err(Error::Forked { .. })));
                assert!(matches!(of_child.close(), Err(Error::Forked { .. })));
            });
        });
        let appending = in_threads(1, &history, &disk, |thread, history, _| {
            append(history, format_args!("{thread}")).unwrap();
        });
        join(appending);
        child.join().unwrap();
        history.close().unwrap();
        assert!(!disk.written_by_child.load(Ordering::SeqCst), "a child wrote");
        check_files(&disk, 4, 4);
    });
}

/// Whoever leads a group calls the host when it is durable, and the host may fork there. The child goes on where its parent
/// was: about to lead what gathered meanwhile. Without the background, for its threads are not the child's.
#[test]
fn a_child_that_was_forked_in_a_callback_leads_nothing() {
    let led_on = Arc::new(AtomicUsize::new(0));
    let refused = Arc::clone(&led_on);
    try_schedules("a fork in a callback", move || {
        let disk = Arc::new(Disk::new());
        let history = open_with(&disk, Durability::Immediate, false);
        let submit =
            |history: &History, name| history.change(&Author::user("alice"), "").add(part(name)).submit();
        let leading = thread::spawn({
            let history = history.clone();
            move || drop(submit(&history, "first"))
        });
        // What is handed over while the first is led is led by the same thread, and so is what comes after that.
        if let Ok(ticket) = submit(&history, "second") {
            ticket.on_durable(|_| fork());
        }
        let third = submit(&history, "third");
        leading.join().unwrap();
        if let Ok(ticket) = third
            && matches!(ticket.try_result(), Some(Err(Error::Forked { .. })))
            && process_id() == std::process::id()
        {
            refused.fetch_add(1, Ordering::SeqCst);
        }
        let _ = history.close();
        assert!(!disk.written_by_child.load(Ordering::SeqCst), "a child wrote");
    });
    assert!(led_on.load(Ordering::SeqCst) > 0, "in no schedule was a child about to lead");
}
