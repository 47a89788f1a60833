//! Goal: a failed write refuses its entry and nothing else, and the same handle goes on; a failed sync poisons the handle
//! for good, reads go on, and opening again works; short and interrupted calls are no failures at all.
//!
//! Method: a workload of small and large entries, with segments that switch every few of them, runs once to count the
//! calls of each kind; then once for each call of each kind, failing that one. What the engine said is compared with what
//! is there afterwards, live and after reopening, and after a crash at the end.

use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    Advice, At, Author, Component, Error, Flow, FlowVersionId, History, MemoryStorage, Operation, Storage,
    Tuning,
};
use flow_history_tests::{Call, Fault, Faulty, SeededClock, Trickle};

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;
/// Those that say that there is no room.
const FULL: [i32; 3] = [ENOSPC, EDQUOT, EFBIG];

fn tiny() -> Tuning {
    let mut tuning = Tuning::hostile();
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning.derive_from_bytes = u64::MAX;
    tuning
}

fn open(storage: impl Storage + 'static, seed: u64) -> Result<History, Error> {
    History::options().tuning(tiny()).clock(SeededClock::new(seed)).open_storage(Arc::new(storage))
}

fn part(at: usize) -> Component {
    // Large ones do not fit what is left of a segment where small ones still do.
    let size = [40, 1_500, 10, 2_500, 20, 60, 900, 30][at % 8];
    Component::new(format!("part-{at}"), "part").field("text", "x".repeat(size))
}

/// What a run was told.
#[derive(Default)]
struct Told {
    flows: Vec<(FlowVersionId, Flow)>,
    refused: Vec<(usize, Error)>,
    poisoned: bool,
}

impl Told {
    fn flow(&self) -> Flow {
        self.flows.last().map(|(_, flow)| flow.clone()).unwrap_or_default()
    }

    fn append(&mut self, history: &History, at: usize) {
        let (before, component) = (history.version(), part(at));
        match history.change(&Author::user("alice"), "").add(component.clone()).append() {
            Ok(id) => {
                assert!(!self.poisoned, "an append was accepted after a failed sync");
                assert_eq!(id.seq().0, before.seq().0 + 1, "a version was skipped");
                let mut flow = self.flow();
                flow.apply(&Operation::add(component)).unwrap();
                self.flows.push((id, flow));
                assert_eq!(history.version(), id);
            }
            Err(error) => {
                assert_eq!(history.version(), before, "the version moved by {error}");
                if let Error::Poisoned { .. } = &error {
                    assert_eq!(error.advice(), Advice::Reopen);
                    self.poisoned = true;
                } else {
                    assert!(!self.poisoned, "{error} where the handle was poisoned");
                }
                self.refused.push((at, error));
            }
        }
        self.check(history, "while it goes on");
    }

    /// As [`Told::append`], where what is there may not be readable.
    fn append_unseen(&mut self, history: &History, at: usize) {
        let component = part(at);
        match history.change(&Author::user("alice"), "").add(component.clone()).append() {
            Ok(id) => {
                let mut flow = self.flow();
                flow.apply(&Operation::add(component)).unwrap();
                self.flows.push((id, flow));
            }
            Err(error) => self.refused.push((at, error)),
        }
    }

    fn check(&self, history: &History, when: &str) {
        for (id, flow) in &self.flows {
            let view =
                history.at(*id).unwrap_or_else(|error| panic!("{when}: version {}: {error}", id.seq()));
            assert_eq!(&view.to_flow().unwrap(), flow, "{when}: version {}", id.seq());
        }
    }
}

const ENTRIES: usize = 14;

/// Opens, appends, closes; a history that does not open is opened again.
fn work(faulty: &Faulty, told: &mut Told) -> Result<(), Error> {
    let history = match open(faulty.clone(), 1) {
        Ok(history) => history,
        Err(error) => {
            assert!(!faulty.struck().is_empty(), "it did not open and nothing failed: {error}");
            open(faulty.clone(), 2)?
        }
    };
    for at in 0..ENTRIES {
        told.append(&history, at);
    }
    history.close()
}

fn check_afterwards(files: MemoryStorage, told: &Told, when: &str) {
    let at_end = |history: &History, when: &str| {
        told.check(history, when);
        let head = history.at(At::Head).unwrap();
        if told.poisoned {
            // What a failed sync covered may be there or not.
            assert!(head.seq().0 >= told.flows.len() as u64, "{when}");
        } else {
            assert_eq!(head.to_flow().unwrap(), told.flow(), "{when}: a refused entry is there");
            assert_eq!(head.seq().0, told.flows.len() as u64, "{when}");
        }
        history.verify().unwrap_or_else(|error| panic!("{when}: {error}"));
    };
    let read = History::options().open_storage_read_only(Arc::new(files.clone()));
    at_end(&read.unwrap_or_else(|error| panic!("{when}: {error}")), when);
    let history = open(files.clone(), 3).unwrap_or_else(|error| panic!("{when}: {error}"));
    at_end(&history, when);
    let mut flow = history.at(At::Head).unwrap().to_flow().unwrap();
    let id = history.change(&Author::user("bob"), "").add(part(99)).append().unwrap();
    flow.apply(&Operation::add(part(99))).unwrap();
    history.close().unwrap();
    let history = open(files, 4).unwrap();
    told.check(&history, when);
    assert_eq!(history.at(id).unwrap().to_flow().unwrap(), flow, "{when}: the entry after");
}

fn check(call: Call, errno: i32, half: bool) {
    let counting = Faulty::new(Arc::new(MemoryStorage::new()));
    work(&counting, &mut Told::default()).unwrap();
    // The background thread may make ready more or fewer files: some numbers beyond are tried too.
    let calls = counting.count(call) + 3;
    let (mut struck, mut refused, mut poisoned) = (0, 0, 0);
    for number in 1..=calls {
        let memory = MemoryStorage::new();
        let faulty = Faulty::new(Arc::new(memory.clone()));
        faulty.plan(Some(Fault { call, number, errno, half, forever: false }));
        let mut told = Told::default();
        let when = format!("{call:?} {number} of {calls} fails with {errno}");
        let closed = work(&faulty, &mut told);
        let on = faulty.struck();
        let when = format!("{when} on {on:?}");
        struck += usize::from(!on.is_empty());
        refused += told.refused.len();
        poisoned += usize::from(told.poisoned);
        if !call.is_sync() {
            assert!(!told.poisoned, "{when}: a failed write poisoned the handle");
            assert!(told.refused.len() <= 1, "{when}: one fault refused {:?}", told.refused);
            assert!(told.flows.len() + 1 >= ENTRIES, "{when}");
            for (_, error) in &told.refused {
                let expected = if FULL.contains(&errno) { Advice::FreeSpace } else { Advice::SeeTheSystem };
                assert_eq!(error.advice(), expected, "{when}: {error}");
            }
        }
        if on.is_empty() {
            assert!(closed.is_ok() && told.refused.is_empty(), "{when}: {closed:?} {:?}", told.refused);
        }
        check_afterwards(MemoryStorage::with_files(memory.files()), &told, &when);
    }
    eprintln!(
        "{call:?} {errno} half={half}: {struck} faults struck, {refused} entries refused, {poisoned} handles poisoned"
    );
    assert!(struck > 0, "no fault struck: the test is blind");
}

#[test]
fn a_failed_write_refuses_one_entry_and_the_handle_goes_on() {
    for errno in [EIO, ENOSPC, EDQUOT, EFBIG, EROFS, EMFILE] {
        check(Call::Write, errno, false);
    }
    check(Call::Write, ENOSPC, true);
    check(Call::Write, EIO, true);
}

#[test]
fn a_failed_creation_rename_or_removal_refuses_one_entry_and_the_handle_goes_on() {
    for call in [Call::Create, Call::Rename, Call::Remove, Call::SetLength] {
        for errno in [EIO, ENOSPC, EDQUOT, EROFS, EMFILE] {
            check(call, errno, false);
        }
    }
}

#[test]
fn a_failed_sync_poisons_for_good() {
    const EINTR: i32 = 4;
    for call in [Call::Sync, Call::SyncDirectory] {
        // Whatever the system says: a sync that was interrupted is one of which nothing is known.
        for errno in [EIO, ENOSPC, EDQUOT, EINTR, EROFS] {
            check(call, errno, false);
        }
    }
}

/// From some call on, every call of a kind fails: nothing that was acknowledged is lost, nothing else is there, and once
/// the system works again so does the history.
#[test]
fn what_fails_from_some_moment_on_loses_nothing_that_was_acknowledged() {
    let calls = Call::CHANGING.into_iter().chain([Call::Read]);
    for call in calls.filter(|call| *call != Call::CreateDirectory) {
        let counting = Faulty::new(Arc::new(MemoryStorage::new()));
        work(&counting, &mut Told::default()).unwrap();
        let (most, mut struck, mut refused) = (counting.count(call), 0, 0);
        let step = if call == Call::Read { 7 } else { 1 };
        for number in (1..=most).step_by(step) {
            for errno in [EIO, ENOSPC] {
                let memory = MemoryStorage::new();
                let faulty = Faulty::new(Arc::new(memory.clone()));
                faulty.plan(Some(Fault { call, number, errno, half: false, forever: true }));
                let mut told = Told::default();
                let when = format!("{call:?} fails with {errno} from {number} of {most} on");
                let mut history = None;
                for at in 0..ENTRIES {
                    history = history.or_else(|| open(faulty.clone(), 1).ok());
                    match &history {
                        // What cannot be read cannot be looked at either.
                        Some(history) if call != Call::Read => told.append(history, at),
                        Some(history) => told.append_unseen(history, at),
                        None => break,
                    }
                }
                refused += told.refused.len();
                if let Some(history) = history {
                    let _ = history.close();
                }
                struck += usize::from(!faulty.struck().is_empty());
                faulty.plan(None);
                let files = memory.files();
                if told.flows.is_empty() && !files.contains_key("history") {
                    // It was never made; now it can be.
                    open(MemoryStorage::with_files(files), 9)
                        .unwrap_or_else(|error| panic!("{when}: {error}"));
                    continue;
                }
                check_afterwards(MemoryStorage::with_files(files), &told, &when);
            }
        }
        eprintln!("{call:?} from some call on: {struck} struck, {refused} entries refused");
        assert!(struck > 0, "{call:?}: no fault struck: the test is blind");
    }
}

#[test]
fn after_a_failed_sync_everything_but_appending_works() {
    let memory = MemoryStorage::new();
    let faulty = Faulty::new(Arc::new(memory.clone()));
    let history = open(faulty.clone(), 1).unwrap();
    let mut told = Told::default();
    told.append(&history, 0);
    faulty.plan(Some(Fault { call: Call::Sync, number: 1, errno: EIO, half: false, forever: false }));
    (1..10).for_each(|at| told.append(&history, at));
    assert!(told.poisoned);
    assert_eq!(told.refused.len(), 9, "everything after the failed sync is refused");
    assert!(history.stats().poisoned);
    assert!(history.close().is_err(), "closing says that not everything is durable");
    check_afterwards(MemoryStorage::with_files(memory.files()), &told, "after a failed sync");
}

#[test]
fn a_disk_that_is_full_for_long_can_be_emptied() {
    let memory = MemoryStorage::new();
    let faulty = Faulty::new(Arc::new(memory.clone()));
    let history = open(faulty.clone(), 1).unwrap();
    let mut told = Told::default();
    (0..5).for_each(|at| told.append(&history, at));
    faulty.plan(Some(Fault { call: Call::Write, number: 1, errno: ENOSPC, half: true, forever: true }));
    (5..12).for_each(|at| told.append(&history, at));
    assert_eq!((told.flows.len(), told.refused.len()), (5, 7));
    faulty.plan(None);
    (12..20).for_each(|at| told.append(&history, at));
    assert_eq!((told.flows.len(), told.refused.len()), (13, 7));
    // First as a crash leaves it, then closed.
    check_afterwards(MemoryStorage::with_files(memory.files()), &told, "after a crash");
    history.close().unwrap();
    check_afterwards(MemoryStorage::with_files(memory.files()), &told, "after closing");
}

#[test]
fn short_and_interrupted_calls_are_no_failures() {
    for most in [1, 7, 4_096] {
        let memory = MemoryStorage::new();
        let mut told = Told::default();
        for session in 0..2 {
            let history = open(Trickle::new(memory.clone(), most), 5 + session).unwrap();
            (0..8).for_each(|at| told.append(&history, at + 8 * usize::try_from(session).unwrap()));
            history.close().unwrap();
        }
        assert!(told.refused.is_empty(), "{:?}", told.refused);
        let read =
            History::options().open_storage_read_only(Arc::new(Trickle::new(memory.clone(), most))).unwrap();
        told.check(&read, "read bit by bit");
        read.verify().unwrap();
        check_afterwards(MemoryStorage::with_files(memory.files()), &told, "written bit by bit");
    }
}

/// Everything that writes and reads, one byte a call and every second call interrupted.
#[test]
fn everything_works_at_one_byte_a_call() {
    let mut tuning = Tuning::hostile();
    tuning.background = false;
    tuning.checkpoint_entries = 40;
    let open = |memory: &MemoryStorage, seed: u64| {
        let options = History::options().tuning(tuning.clone()).clock(SeededClock::new(seed));
        options.open_storage(Arc::new(Trickle::new(memory.clone(), 1))).unwrap()
    };
    let (memory, alice, mut told) = (MemoryStorage::new(), Author::user("alice"), Told::default());
    let history = open(&memory, 1);
    (0..60).for_each(|at| told.append(&history, at % 3 + 8 * at));
    let undone = history.undo(flow_history::Scope::Flow, &alice).unwrap();
    history.redo(flow_history::Scope::Flow, &alice).unwrap();
    assert!(memory.files().keys().any(|name| name.ends_with(".sealed")));
    assert!(memory.files().keys().any(|name| name.starts_with("checkpoint-")));
    let pruned = history.prune(&alice, 20, &flow_history::LiveStamps::GiveUp).unwrap();
    assert!(pruned.entries > 0);
    told.flows.retain(|(id, _)| id.seq() >= pruned.oldest.seq());
    let copy = MemoryStorage::new();
    let to: Arc<dyn Storage> = Arc::new(Trickle::new(copy.clone(), 1));
    let backup = history.backup_to(&to).unwrap();
    assert!(backup.version.seq() > undone.version.seq());
    history.close().unwrap();
    for memory in [memory, copy] {
        let read =
            History::options().open_storage_read_only(Arc::new(Trickle::new(memory.clone(), 1))).unwrap();
        told.check(&read, "read byte by byte");
        read.verify().unwrap();
        let history = open(&memory, 2);
        history.change(&alice, "").add(part(999)).append().unwrap();
        history.close().unwrap();
    }
}
