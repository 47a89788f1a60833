//! Goal: many threads, one order. What each thread was told is there once, in its own order; a ticket tells the truth
//! however one waits for it; closing lets every append end as done or as refused; and the version that is read without
//! locks never goes back and never names what is not durable.
//!
//! Method: threads that append to one history in memory and in a real directory, and the log afterwards.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use flow_history::{
    At, Author, ChangeBuilder, Component, Durability, Error, FlowVersionId, History, MemoryStorage, Options,
    Scope, Seq, Tuning,
};
use flow_history_tests::{Call, Fault, Faulty, thoroughness};

const THREADS: usize = 8;

fn change(history: &History, thread: usize, at: usize) -> ChangeBuilder {
    let id = format!("{thread}-{at}");
    history
        .change(&Author::user(&format!("author-{thread}")), "")
        .add(Component::new(id, "part").field("at", at as u64))
}

#[test]
fn a_history_may_be_shared_by_threads() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<History>();
    fn check_ticket<T: Send + 'static + Future<Output = Result<FlowVersionId, Error>>>() {}
    check_ticket::<flow_history::Ticket>();
}

/// Every acknowledged entry is in the log once, under its id, and each thread's in its own order.
fn check_log(history: &History, told: &[Vec<(usize, FlowVersionId)>]) {
    let head = history.version().seq().0;
    let ids: Vec<FlowVersionId> = told.iter().flatten().map(|(_, id)| *id).collect();
    let distinct: HashSet<FlowVersionId> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "two appends were given one version");
    for (thread, told) in told.iter().enumerate() {
        assert!(
            told.windows(2).all(|pair| pair[0].1.seq() < pair[1].1.seq()),
            "thread {thread} is out of order"
        );
    }
    let mut next = [0; THREADS];
    let mut flow = flow_history::Flow::new();
    for (at, line) in history.log().enumerate() {
        let entry = line.unwrap().entry;
        assert_eq!(entry.seq.0, at as u64 + 1);
        let flow_history::Body::Change(operations) = &entry.body else { continue };
        flow.apply_all(operations).unwrap();
        let id = operations[0].id().to_string();
        let (thread, number) = id.split_once('-').unwrap();
        let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
        assert!(number >= next[thread], "{id} comes behind {}", next[thread]);
        next[thread] = number + 1;
        if let Some((_, told)) = told[thread].iter().find(|(other, _)| *other == number) {
            assert_eq!(entry.id, *told);
        }
    }
    let known: HashSet<FlowVersionId> = history.log().map(|line| line.unwrap().entry.id).collect();
    assert!(distinct.is_subset(&known), "an acknowledged entry is not in the log");
    assert_eq!(known.len() as u64, head, "versions are dense");
    assert_eq!(history.at(At::Head).unwrap().to_flow().unwrap(), flow);
}

fn append_from_many(history: &History, count: usize) -> Vec<Vec<(usize, FlowVersionId)>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let history = history.clone();
                scope.spawn(move || {
                    let append = |at| (at, change(&history, thread, at).append().unwrap());
                    (0..count).map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn entries_of_many_threads_are_dense_and_each_threads_in_order() {
    let check = |options: Options, open: &dyn Fn(Options) -> History, count: usize| {
        let history = open(options.clone());
        let told = append_from_many(&history, count);
        assert_eq!(history.version().seq().0, (THREADS * count) as u64);
        check_log(&history, &told);
        history.close().unwrap();
        let history = open(options);
        check_log(&history, &told);
        history.verify().unwrap();
    };
    let memory = MemoryStorage::new();
    let in_memory = |options: Options| options.open_storage(Arc::new(memory.clone())).unwrap();
    check(History::options().tuning(Tuning::hostile()), &in_memory, 60 * thoroughness());
    let dir = tempfile::tempdir().unwrap();
    let in_directory = |options: Options| options.open(dir.path().join("h")).unwrap();
    check(History::options(), &in_directory, 25 * thoroughness());
    let other = tempfile::tempdir().unwrap();
    let hostile = |options: Options| options.open(other.path().join("h")).unwrap();
    check(History::options().tuning(Tuning::hostile()), &hostile, 25 * thoroughness());
}

#[test]
fn the_version_without_locks_never_goes_back_and_always_resolves() {
    let history = History::options().open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let stamper = history.stamper();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut last, mut seen) = (Seq::ZERO, Vec::new());
                    while !done.load(Ordering::Acquire) {
                        let id = stamper.head();
                        assert!(id.seq() >= last, "from {last} back to {}", id.seq());
                        if id.seq() > last {
                            seen.push(id);
                        }
                        last = id.seq();
                    }
                    seen
                })
            })
            .collect();
        append_from_many(&history, 40);
        done.store(true, Ordering::Release);
        for reader in readers {
            for id in reader.join().unwrap() {
                assert_eq!(history.resolve(id).unwrap(), id.seq(), "a version was shown that is none");
            }
        }
    });
}

/// Waits for a future with nothing but the standard library.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }
    let bell = Arc::new(Bell(Mutex::new(false), Condvar::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let rung = bell.0.lock().unwrap();
        let (mut rung, timeout) =
            bell.1.wait_timeout_while(rung, Duration::from_secs(30), |rung| !*rung).unwrap();
        assert!(!timeout.timed_out(), "nobody woke the future");
        *rung = false;
    }
}

#[test]
fn a_ticket_tells_the_truth_however_one_waits() {
    let history =
        History::options().tuning(Tuning::hostile()).open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let (tell, told) = channel();
    for at in 0..40 {
        let waited = change(&history, 0, at).submit().unwrap();
        let polled = change(&history, 1, at).submit().unwrap();
        let called = change(&history, 2, at).submit().unwrap();
        let looked_at = change(&history, 3, at).submit().unwrap();
        // Given up: the claim, not the entry.
        drop(change(&history, 4, at).submit().unwrap());
        let promised = [waited.promised_version(), polled.promised_version(), called.promised_version()];
        let tell = tell.clone();
        called.on_durable(move |result| tell.send(result.map_err(|error| error.to_string())).unwrap());
        assert_eq!(block_on(polled).unwrap(), promised[1]);
        assert_eq!(waited.wait().unwrap(), promised[0]);
        assert_eq!(told.recv_timeout(Duration::from_secs(30)).unwrap(), Ok(promised[2]));
        history.flush().unwrap();
        let seen = looked_at.try_result().expect("flushed, and no result").unwrap();
        assert_eq!(seen, looked_at.promised_version());
        assert!(history.version() >= seen);
        // One that is done calls back at once.
        let (tell, told) = channel();
        looked_at.on_durable(move |result| tell.send(result.unwrap()).unwrap());
        assert_eq!(told.try_recv().expect("called at once"), seen);
    }
    assert_eq!(history.version().seq().0, 200);
    assert_eq!(history.log().count(), 200);
}

#[test]
fn a_ticket_of_a_failed_sync_says_so_to_everyone_who_waits() {
    let faulty = Faulty::new(Arc::new(MemoryStorage::new()));
    let history = History::options().open_storage(Arc::new(faulty.clone())).unwrap();
    change(&history, 0, 0).append().unwrap();
    faulty.plan(Some(Fault { call: Call::Sync, number: 1, errno: 5, half: false, forever: false }));
    let (tell, told) = channel();
    let tickets: Vec<_> = (1..10).filter_map(|at| change(&history, 0, at).submit().ok()).collect();
    let count = tickets.len();
    assert!(count > 0);
    for (at, ticket) in tickets.into_iter().enumerate() {
        let tell = tell.clone();
        match at % 3 {
            0 => ticket
                .on_durable(move |result| tell.send(result.map_err(|error| format!("{error:?}"))).unwrap()),
            1 => tell.send(block_on(ticket).map_err(|error| format!("{error:?}"))).unwrap(),
            _ => tell.send(ticket.wait().map_err(|error| format!("{error:?}"))).unwrap(),
        }
    }
    for _ in 0..count {
        let result = told.recv_timeout(Duration::from_secs(30)).expect("somebody was told nothing");
        assert!(result.as_ref().is_err_and(|why| why.starts_with("Poisoned")), "{result:?}");
    }
    assert_eq!(history.version().seq(), Seq(1));
}

#[test]
fn while_it_is_closed_every_append_is_done_or_refused() {
    for round in 0..12 * thoroughness() {
        let memory = MemoryStorage::new();
        let open =
            || History::options().tuning(Tuning::hostile()).open_storage(Arc::new(memory.clone())).unwrap();
        let history = open();
        let (told, refused) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let history = history.clone();
                    scope.spawn(move || {
                        let mut told = Vec::new();
                        for at in 0.. {
                            let result = if thread % 2 == 0 {
                                change(&history, thread, at).append()
                            } else {
                                change(&history, thread, at).submit().and_then(flow_history::Ticket::wait)
                            };
                            match result {
                                Ok(id) => told.push((at, id)),
                                Err(Error::Closed) => break,
                                Err(error) => panic!("neither done nor closed: {error}"),
                            }
                        }
                        told
                    })
                })
                .collect();
            while history.version().seq().0 < 20 + round as u64 {
                std::thread::yield_now();
            }
            history.clone().close().unwrap();
            let told: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            (told, THREADS)
        });
        assert_eq!(refused, THREADS);
        // The clone that is left still reads, and appends nothing.
        check_log(&history, &told);
        let late = change(&history, 0, 1_000_000).append();
        assert!(matches!(late, Err(Error::Closed)), "{late:?}");
        let reopened = open();
        check_log(&reopened, &told);
        let acknowledged: usize = told.iter().map(Vec::len).sum();
        assert_eq!(reopened.version().seq().0, acknowledged as u64, "an append that was refused is there");
    }
}

#[test]
fn undo_and_redo_of_many_threads_never_lose_an_entry() {
    let history =
        History::options().tuning(Tuning::hostile()).open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let history = history.clone();
                scope.spawn(move || {
                    let author = Author::user(&format!("author-{thread}"));
                    let mut done = 0;
                    for at in 0..20 {
                        let result = match (thread + at) % 4 {
                            0 => history.undo(Scope::Flow, &author).map(|applied| applied.version),
                            1 => history.redo(Scope::Flow, &author).map(|applied| applied.version),
                            _ => change(&history, thread, at).append(),
                        };
                        match result {
                            Ok(_) => done += 1,
                            Err(Error::NothingToUndo | Error::NothingToRedo) => {}
                            Err(error) => panic!("thread {thread}: {error}"),
                        }
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(history.version().seq().0, done);
    history.verify().unwrap();
}

#[test]
fn buffered_entries_are_seen_at_once_and_durable_after_a_flush() {
    let memory = MemoryStorage::new();
    let durability = Durability::Buffered { max_delay: Duration::from_secs(3_600) };
    let history = History::options().durability(durability).open_storage(Arc::new(memory.clone())).unwrap();
    let told = append_from_many(&history, 30);
    assert_eq!(history.version().seq().0, 240);
    assert_eq!(history.at(At::Head).unwrap().len().unwrap(), 240, "what was accepted is seen");
    history.flush().unwrap();
    let crashed =
        History::options().open_storage(Arc::new(MemoryStorage::with_files(memory.files()))).unwrap();
    assert_eq!(crashed.version(), history.version(), "a flush makes it durable");
    check_log(&crashed, &told);
    drop(history);
    let reopened = History::options().open_storage(Arc::new(memory)).unwrap();
    check_log(&reopened, &told);
}

/// Nothing is kept of a buffered entry; in builds with assertions the engine itself looks after each group that fills.
#[test]
fn buffered_groups_that_fill_hold_whatever_way_their_entries_came() {
    let memory = MemoryStorage::new();
    let durability = Durability::Buffered { max_delay: Duration::from_secs(3_600) };
    let history = History::options().durability(durability).open_storage(Arc::new(memory.clone())).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump", "kind")).append().unwrap();
    // So long and so different that an edit of the one before is no shorter.
    let text = |round: usize| {
        (0..40_000)
            .map(|at: usize| format!("{:x}", (at + 1) * (round + 7) * 2_654_435_761))
            .collect::<String>()
    };
    let set = |round| history.change(&alice, "").set("pump", "note", text(round));
    let mut expected = 1;
    for round in (0..36).step_by(4) {
        match round % 3 {
            0 => drop(set(round).append().unwrap()),
            1 => drop(set(round).submit().unwrap().promised_version()),
            _ => drop(history.append_all((round..round + 4).map(set).collect()).unwrap()),
        }
        expected += if round % 3 == 2 { 4 } else { 1 };
    }
    assert_eq!(history.version().seq(), Seq(expected));
    history.flush().unwrap();
    let crashed =
        History::options().open_storage(Arc::new(MemoryStorage::with_files(memory.files()))).unwrap();
    assert_eq!(crashed.version(), history.version());
    assert_eq!(
        crashed.at(At::Head).unwrap().state_hash().unwrap(),
        history.at(At::Head).unwrap().state_hash().unwrap()
    );
    crashed.verify().unwrap();
    history.undo(Scope::Flow, &alice).unwrap();
    history.close().unwrap();
}

#[test]
fn many_histories_open_and_close_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let memory = MemoryStorage::new();
                for round in 0..15 {
                    let options = History::options().tuning(Tuning::hostile());
                    let history = options.open_storage(Arc::new(memory.clone())).unwrap();
                    for at in 0..5 {
                        change(&history, thread, round * 5 + at).append().unwrap();
                    }
                    if round % 2 == 0 {
                        history.close().unwrap();
                    }
                }
                let history = History::options().open_storage_read_only(Arc::new(memory)).unwrap();
                assert_eq!(history.version().seq(), Seq(75));
            });
        }
    });
}

#[test]
fn vouching_never_comes_between_groups() {
    let mut tuning = Tuning::default();
    tuning.vouch_after = Duration::ZERO;
    let memory = MemoryStorage::new();
    let open = || History::options().tuning(tuning.clone()).open_storage(Arc::new(memory.clone())).unwrap();
    let history = open();
    let text = "x".repeat(600 << 10);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (history, text) = (history.clone(), text.as_str());
            scope.spawn(move || {
                for at in 0..6 {
                    let large = history.change(&Author::user("alice"), "");
                    let id = format!("{thread}-{at}");
                    let ticket = large.add(Component::new(id, "part").field("text", text)).submit().unwrap();
                    if at % 3 == 2 {
                        ticket.wait().unwrap();
                    }
                }
            });
        }
    });
    history.flush().unwrap();
    assert_eq!(history.verify().unwrap().entries, 24);
    drop(history);
    assert_eq!(open().verify().unwrap().entries, 24);
}
