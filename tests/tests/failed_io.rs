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

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

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
                let expected = if errno == ENOSPC { Advice::FreeSpace } else { Advice::SeeTheSystem };
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
    for (errno, half) in [(ENOSPC, false), (EIO, false), (ENOSPC, true), (EIO, true)] {
        check(Call::Write, errno, half);
    }
}

#[test]
fn a_failed_creation_rename_or_removal_refuses_one_entry_and_the_handle_goes_on() {
    for call in [Call::Create, Call::Rename, Call::Remove, Call::SetLength] {
        check(call, ENOSPC, false);
        check(call, EIO, false);
    }
}

#[test]
fn a_failed_sync_poisons_for_good() {
    for call in [Call::Sync, Call::SyncDirectory] {
        check(call, EIO, false);
        check(call, ENOSPC, false);
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
