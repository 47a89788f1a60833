//! Goal: what a host asks twice happens once, what it asks together happens together, and whoever follows misses nothing.
//!
//! Method: histories in memory and small stories; subscribers in threads of their own.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flow_history::{
    Author, Component, Error, FlowVersionId, History, Mark, MemoryStorage, Operation, Options, Scope, Seq,
};

fn open(storage: &MemoryStorage) -> History {
    Options::new().open_storage(Arc::new(storage.clone())).unwrap()
}

fn pump() -> Component {
    Component::new("pump-1", "processor").field("rate", 0)
}

fn with_pump() -> (MemoryStorage, History, Author) {
    let storage = MemoryStorage::new();
    let (history, alice) = (open(&storage), Author::user("alice"));
    history.change(&alice, "").add(pump()).append().unwrap();
    (storage, history, alice)
}

#[test]
fn a_repeated_request_gets_its_first_answer_and_a_reused_key_an_error() {
    let (storage, history, alice) = with_pump();
    let ask = |history: &History, rate: u64| {
        history.change(&alice, "").set("pump-1", "rate", rate).idempotency_key("key-1").append()
    };
    let first = ask(&history, 8).unwrap();
    assert_eq!(ask(&history, 8).unwrap(), first);
    history.change(&alice, "").set("pump-1", "rate", 9).append().unwrap();
    assert_eq!(ask(&history, 8).unwrap(), first);
    assert!(matches!(ask(&history, 7), Err(Error::KeyReused { first: of, .. }) if of == first));
    assert_eq!(history.version().seq(), Seq(3));

    // Over a close, and over a crash.
    history.close().unwrap();
    let history = open(&storage);
    assert_eq!(ask(&history, 8).unwrap(), first);
    let crashed = open(&MemoryStorage::with_files(storage.files()));
    assert_eq!(ask(&crashed, 8).unwrap(), first);
    assert_eq!(crashed.version().seq(), Seq(3));
}

#[test]
fn a_repeated_removal_is_known_again_although_there_is_nothing_left_to_remove() {
    let (_, history, alice) = with_pump();
    let ask = || history.change(&alice, "").remove("pump-1").idempotency_key("key-1").append();
    let first = ask().unwrap();
    assert_eq!(ask().unwrap(), first);
    assert_eq!(history.version(), first);
}

#[test]
fn changes_appended_together_are_accepted_together_by_one_sync() {
    let (_, history, alice) = with_pump();
    let set = |rate: u64| history.change(&alice, "").set("pump-1", "rate", rate);
    let syncs = history.stats().syncs;
    let ids: Vec<FlowVersionId> = history.append_all((1..=50).map(set).collect()).unwrap();
    assert_eq!(history.stats().syncs, syncs + 1);
    assert_eq!(ids.last().copied(), Some(history.version()));
    for (id, rate) in ids.iter().zip(1_u64..) {
        assert_eq!(
            history.at(*id).unwrap().component("pump-1").unwrap().unwrap().get("rate"),
            Some(&rate.into())
        );
    }

    let before = history.version();
    let misfit = history.change(&alice, "").operations(vec![Operation::remove("nobody")]);
    assert!(matches!(history.append_all(vec![set(1), set(2), misfit]), Err(Error::Misfit(_))));
    assert_eq!(history.version(), before);
    assert_eq!(history.append_all(Vec::new()).unwrap(), []);
}

#[test]
fn a_subscriber_gets_every_entry_once_whether_past_or_live_and_ends_with_the_history() {
    let (_, history, alice) = with_pump();
    (0..500_u64)
        .for_each(|rate| _ = history.change(&alice, "").set("pump-1", "rate", rate).append().unwrap());
    let subscribers: Vec<_> = [0_u64, 1, 250, 501]
        .into_iter()
        .map(|after| {
            let subscription = history.subscribe(after).unwrap();
            thread::spawn(move || {
                let seen: Vec<u64> = subscription
                    .map(|entry| {
                        let entry = entry.unwrap();
                        if entry.seq.0 % 100 == 0 {
                            // Slower than the writer: what was missed is read from the log.
                            thread::sleep(Duration::from_millis(2));
                        }
                        entry.seq.0
                    })
                    .collect();
                (after, seen)
            })
        })
        .collect();
    (500..1_000_u64)
        .for_each(|rate| _ = history.change(&alice, "").set("pump-1", "rate", rate).append().unwrap());
    history.mark(&alice, Mark::Deploy).unwrap();
    history.close().unwrap();
    for subscriber in subscribers {
        let (after, seen) = subscriber.join().unwrap();
        assert_eq!(seen, (after + 1..=1_002).collect::<Vec<_>>());
    }
}

#[test]
fn a_subscriber_that_waits_is_told_when_nothing_comes() {
    let (_, history, _) = with_pump();
    let mut subscription = history.subscribe(0_u64).unwrap();
    assert_eq!(subscription.try_next().unwrap().unwrap().seq, Seq(1));
    assert_eq!(subscription.try_next().unwrap(), None);
    assert_eq!(subscription.next_within(Duration::from_millis(5)).unwrap(), None);
    history.close().unwrap();
    assert!(subscription.next().is_none());
}

#[test]
fn what_runs_is_what_the_host_said_and_otherwise_the_newest() {
    let (storage, history, alice) = with_pump();
    let stamper = history.stamper();
    let first = history.version();
    assert_eq!((stamper.current(), stamper.head()), (first, first));

    let second = history.change(&alice, "").set("pump-1", "rate", 8).append().unwrap();
    assert_eq!((stamper.current(), stamper.head()), (second, second));
    let mark = history.running(&alice, first).unwrap();
    assert_eq!((stamper.current(), stamper.head()), (first, mark));
    history.change(&alice, "").set("pump-1", "rate", 9).append().unwrap();
    assert_eq!(stamper.current(), first);
    history.close().unwrap();

    let history = open(&storage);
    assert_eq!(history.stamper().current(), first);
    assert!(matches!(history.running(&alice, 99_u64), Err(Error::UnknownVersion { .. })));
    assert_eq!(history.stamper().current(), first);
}

#[test]
fn undo_does_not_go_past_a_freeze() {
    let (_, history, alice) = with_pump();
    history.change(&alice, "").set("pump-1", "rate", 8).append().unwrap();
    let freeze = history.mark(&alice, Mark::Freeze).unwrap();
    history.change(&alice, "").set("pump-1", "rate", 9).append().unwrap();
    history.undo(Scope::Flow, &alice).unwrap();
    let before = history.version();
    assert!(matches!(history.undo(Scope::Flow, &alice), Err(Error::Frozen { at }) if at == freeze.seq()));
    assert_eq!(history.version(), before);
    history.redo(Scope::Flow, &alice).unwrap();
    assert_eq!(
        history.at(history.version()).unwrap().component("pump-1").unwrap().unwrap().get("rate"),
        Some(&9.into())
    );
}

#[test]
fn closing_ends_however_soon_the_background_has_something_to_say() {
    for round in 0..40 {
        let storage = MemoryStorage::new();
        let mut tuning = flow_history::Tuning::hostile();
        tuning.vouch_after = Duration::from_millis(round % 4);
        let history = Options::new().tuning(tuning).open_storage(Arc::new(storage)).unwrap();
        let alice = Author::user("alice");
        history.change(&alice, "").add(pump()).append().unwrap();
        (0..20_u64)
            .for_each(|rate| drop(history.change(&alice, "").set("pump-1", "rate", rate).submit().unwrap()));
        thread::sleep(Duration::from_millis(round % 5));
        history.close().unwrap();
    }
}
