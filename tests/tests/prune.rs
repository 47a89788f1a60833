//! Goal: what is pruned is gone and says so; what is kept is what it was, by every route; nothing goes that something needs.
//!
//! Method: histories under a tuning of small segments, every version remembered before and compared after; the disk that
//! loses power, in the middle of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history::{
    Author, Body, Component, Error, History, Hold, LiveStamps, Mark, MemoryStorage, Mode, Options, Proposal,
    Scope, Seq, StateHash, Tuning,
};
use flow_history_tests::{Disk, SeededClock, SimDisk};

fn open(storage: &MemoryStorage) -> History {
    Options::new().tuning(Tuning::hostile()).open_storage(Arc::new(storage.clone())).unwrap()
}

fn alice() -> Author {
    Author::user("alice")
}

/// A history of some hundred versions in which components come, change and go.
fn story() -> (MemoryStorage, History) {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    for at in 0..150_u64 {
        let id = format!("pump-{}", at % 20);
        let change =
            history.change(&alice(), "a message that fills the segments sooner than it would otherwise");
        let exists = history.at(flow_history::At::Head).unwrap().component(&id).unwrap().is_some();
        let change = match at % 7 {
            0 if exists => change.remove(id.as_str()),
            _ if exists => change.set(id.as_str(), "rate", at),
            _ => change.add(Component::new(id.as_str(), "processor").field("rate", at).field("note", "new")),
        };
        change.append().unwrap();
    }
    (storage, history)
}

fn hashes(history: &History, from: u64) -> BTreeMap<u64, (flow_history::FlowVersionId, StateHash)> {
    let head = history.version().seq().0;
    (from..=head)
        .map(|seq| {
            let view = history.at(seq).unwrap();
            (seq, (view.version().unwrap(), view.state_hash().unwrap()))
        })
        .collect()
}

fn check_kept(
    history: &History,
    truth: &BTreeMap<u64, (flow_history::FlowVersionId, StateHash)>,
    oldest: Seq,
) {
    for (seq, (id, hash)) in truth {
        if Seq(*seq) < oldest {
            assert!(matches!(history.at(*seq), Err(Error::Pruned { oldest: of }) if of == oldest), "{seq}");
            assert!(
                matches!(history.resolve(*id), Err(Error::Pruned { oldest: of }) if of == oldest),
                "{seq}"
            );
        } else {
            let view = history.at(*seq).unwrap();
            assert_eq!((view.version().unwrap(), view.state_hash().unwrap()), (*id, *hash), "version {seq}");
            assert_eq!(history.resolve(*id).unwrap(), Seq(*seq));
            let flow = view.to_flow().unwrap();
            for number in 0..20 {
                let id = format!("pump-{number}");
                let alone = history.at(*seq).unwrap().component(&id).unwrap();
                assert_eq!(alone.as_ref(), flow.component(&id), "{id} at version {seq}");
            }
        }
    }
}

#[test]
fn what_is_kept_is_what_it_was_and_what_is_gone_says_so() {
    let (storage, history) = story();
    let truth = hashes(&history, 0);
    let (id, chain_of) = (truth[&120].0, history.verify().unwrap());
    let pruned = history.prune(&Author::operator("olga"), 100, &LiveStamps::Since(id)).unwrap();
    let oldest = pruned.oldest.seq();
    assert!(oldest > Seq::ZERO && oldest <= Seq(100), "{oldest}");
    assert_eq!(pruned.entries, oldest.0);
    check_kept(&history, &truth, oldest);

    let mark = history.entries().newest_first().next().unwrap().unwrap();
    assert_eq!(&*mark.header.author.id, "olga");
    assert!(matches!(mark.body, Body::Mark(Mark::Pruned { oldest: of, .. }) if of == oldest));
    let lines: Vec<Seq> = history.log().map(|line| line.unwrap().entry.seq).collect();
    assert_eq!(lines.first().copied(), oldest.next());
    assert_eq!(history.entries().count(), lines.len());
    assert!(matches!(history.log().from(Seq(2)).next(), Some(Err(Error::Pruned { .. }))));
    for number in 0..20 {
        let id = format!("pump-{number}");
        for entry in history.entries().component(&id) {
            assert!(entry.unwrap().seq > oldest);
        }
        history.blame(&id).unwrap();
        history.last_change(&id).unwrap();
    }

    // It goes on, and everything holds after a restart and for whoever only reads.
    history.change(&alice(), "").add(Component::new("after", "processor")).append().unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    let reader = Options::new().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    check_kept(&reader, &truth, oldest);
    history.close().unwrap();
    let history = open(&storage);
    check_kept(&history, &truth, oldest);
    let verified = history.verify().unwrap();
    assert_eq!(verified.entries, history.version().seq().0 - oldest.0);
    assert!(verified.log_bytes < chain_of.log_bytes + 4_096);

    // And once more.
    let again = history.prune(&Author::operator("olga"), 140, &LiveStamps::GiveUp).unwrap().oldest.seq();
    assert!(again > oldest);
    check_kept(&history, &truth, again);
    history.close().unwrap();
    check_kept(&open(&storage), &truth, again);
    let bases = storage.files().keys().filter(|name| name.starts_with("base-")).count();
    assert_eq!(bases, 1, "the older base went");
}

/// A view reads what it is asked for when it is asked for it, its name too: by then what it is of may be gone.
#[test]
fn a_view_from_before_the_pruning_tells_what_was_or_that_it_is_gone() {
    for is_forgotten in [true, false] {
        views_before_and_after_pruning(is_forgotten);
    }
}

fn views_before_and_after_pruning(is_forgotten: bool) {
    let (storage, history) = story();
    history.flush().unwrap();
    let reader = Options::new().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    let flows: Vec<_> = (0..=150_u64).map(|seq| history.at(seq).unwrap().to_flow().unwrap()).collect();
    let ids: Vec<_> = (0..=150_u64).map(|seq| history.find(seq).unwrap()).collect();
    flow_history::forget_cached();
    let views: Vec<_> = [&history, &reader]
        .into_iter()
        .flat_map(|handle| (1..150_u64).map(move |seq| handle.at(seq).unwrap()))
        .collect();
    history.prune(&Author::operator("olga"), 100, &LiveStamps::GiveUp).unwrap();
    if is_forgotten {
        flow_history::forget_cached();
    }
    // The reader looks around, and so knows the log as it is now.
    reader.at(149).unwrap().component("pump-1").unwrap();
    reader.entries().component("pump-1").for_each(|entry| drop(entry.unwrap()));
    let (mut told, mut gone) = (0, 0);
    let mut check = |view: &flow_history::View| {
        let at = usize::try_from(view.seq().0).unwrap();
        match view.component("pump-1") {
            Ok(component) => assert_eq!(component.as_ref(), flows[at].component("pump-1"), "version {at}"),
            Err(error) => assert!(matches!(error, Error::Pruned { .. }), "version {at}: {error}"),
        }
        match view.version() {
            Ok(id) => assert_eq!(id, ids[at]),
            Err(error) => assert!(matches!(error, Error::Pruned { .. }), "version {at}: {error}"),
        }
        match view.to_flow() {
            Ok(flow) => {
                assert_eq!(flow, flows[at], "version {at}");
                told += 1;
            }
            Err(error) => {
                assert!(matches!(error, Error::Pruned { .. }), "version {at}: {error}");
                gone += 1;
            }
        }
    };
    views.iter().for_each(&mut check);
    for handle in [&history, &reader] {
        for seq in 1..150_u64 {
            // Asked for once more, by a number that was asked for before.
            match handle.at(seq) {
                Ok(view) => check(&view),
                Err(error) => assert!(matches!(error, Error::Pruned { .. }), "version {seq}: {error}"),
            }
        }
    }
    assert!(told > 100 && gone > 50, "{told} told, {gone} gone");
}

#[test]
fn what_was_removed_before_and_brought_back_after_is_the_same_component() {
    let storage = MemoryStorage::new();
    let history = open(&storage);
    let note = |history: &History, at: u64| {
        let change =
            history.change(&alice(), "a message that fills the segments sooner than it would otherwise");
        change.set("filler", "n", at).append().unwrap()
    };
    history.change(&alice(), "").add(Component::new("filler", "f")).append().unwrap();
    history
        .change(&Author::user("bob"), "")
        .add(Component::new("x", "processor").field("a", 1))
        .append()
        .unwrap();
    let removed = history.change(&Author::user("bob"), "").remove("x").append().unwrap().seq();
    for at in 0..60 {
        note(&history, at);
    }
    let boundary = history.version();
    history.undo(Scope::Author("bob".into()), &Author::user("bob")).unwrap();
    history.change(&alice(), "").set("x", "a", 2).append().unwrap();
    for at in 60..120 {
        note(&history, at);
    }
    let truth = hashes(&history, 0);

    let oldest =
        history.prune(&Author::operator("olga"), boundary, &LiveStamps::GiveUp).unwrap().oldest.seq();
    assert!(oldest > removed);
    history.close().unwrap();
    let history = open(&storage);
    let head = history.version().seq();
    for seq in oldest.0..=head.0 {
        let view = history.at(seq).unwrap();
        let flow = view.to_flow().unwrap();
        assert_eq!(history.at(seq).unwrap().component("x").unwrap().as_ref(), flow.component("x"), "{seq}");
        if let Some((id, hash)) = truth.get(&seq) {
            assert_eq!((view.version().unwrap(), view.state_hash().unwrap()), (*id, *hash), "version {seq}");
        }
    }
    assert_eq!(history.entries().component("x").count(), 2, "the undo, and the change after it");
    assert_eq!(history.entries().count() as u64, head.0 - oldest.0);
}

#[test]
fn a_version_that_was_pruned_gets_no_mark_and_a_closed_history_is_not_pruned() {
    let (storage, history) = story();
    let oldest = history.prune(&Author::operator("olga"), 100, &LiveStamps::GiveUp).unwrap().oldest.seq();
    let mark = Mark::Label { name: "late".into(), version: Seq(3) };
    assert!(matches!(history.mark(&alice(), mark), Err(Error::Pruned { oldest: of }) if of == oldest));
    assert!(matches!(history.pin(&alice(), 3), Err(Error::Pruned { .. })));
    history.clone().close().unwrap();
    let files = storage.files();
    assert!(matches!(history.prune(&alice(), 140, &LiveStamps::GiveUp), Err(Error::Closed)));
    assert!(storage.files() == files, "a prune that is refused writes nothing");
}

#[test]
fn labels_pins_what_runs_and_stamps_hold_versions_back_and_are_named() {
    let (_, history) = story();
    let olga = Author::operator("olga");
    history.label(&alice(), "good", 30).unwrap();
    history.pin(&alice(), 40).unwrap();
    history.running(&alice(), 50).unwrap();
    let stamp = history.find(60).unwrap();
    let before = history.version();
    match history.prune(&olga, 100, &LiveStamps::Since(stamp)) {
        Err(Error::HeldBack { asked, by }) => {
            assert_eq!(asked, Seq(100));
            let label = Hold::Label { label: "good".to_owned(), version: Seq(30) };
            let (pin, stamp) = (Hold::Pin { version: Seq(40) }, Hold::Stamp { version: Seq(60) });
            assert_eq!(by, [label, pin, Hold::Running { version: Seq(50) }, stamp]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(history.version(), before, "a prune that is refused writes nothing");
    let pruned = history.prune(&olga, 30, &LiveStamps::Since(stamp)).unwrap();
    assert!(pruned.oldest.seq() <= Seq(30));
    history.unlabel(&alice(), "good").unwrap();
    history.unpin(&alice(), 40).unwrap();
    history.running(&alice(), history.version()).unwrap();
    let stamp = history.version();
    assert!(history.prune(&olga, 100, &LiveStamps::Since(stamp)).unwrap().oldest.seq() > pruned.oldest.seq());
}

#[test]
fn undo_stops_where_the_log_begins() {
    let (_, history) = story();
    history.prune(&Author::operator("olga"), 150, &LiveStamps::GiveUp).unwrap();
    let oldest = history.log().next().unwrap().unwrap().entry.seq.previous().unwrap();
    let error = loop {
        match history.undo(Scope::Flow, &alice()) {
            Ok(undone) => assert!(undone.taken.iter().all(|seq| *seq > oldest)),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Pruned { oldest: of } if of == oldest), "{error}");
    history.verify().unwrap();
}

#[test]
fn what_was_pruned_is_not_taken_back_from_memory_either() {
    let (_, history) = story();
    let carol = Author::user("carol");
    let seq = history.change(&carol, "").add(Component::new("carols", "p")).append().unwrap().seq();
    let busy = |count: usize| {
        for at in 0..count {
            history.change(&alice(), "").set("carols", "text", format!("{at:0>200}")).append().unwrap();
        }
    };
    busy(60);
    let scope = || Scope::Author("carol".to_owned());
    let at_hand = history.plan(&carol, Proposal::undo(scope()).mode(Mode::Force)).unwrap();
    assert_eq!(at_hand.taken(), [seq]);
    busy(60);
    let head = history.version();
    let pruned = history.prune(&Author::operator("olga"), head, &LiveStamps::GiveUp).unwrap();
    assert!(pruned.oldest.seq() > seq);
    assert!(matches!(history.undo(scope(), &carol), Err(Error::Pruned { .. })));
}

#[test]
fn a_backup_of_a_pruned_history_is_one() {
    let (_, history) = story();
    history.prune(&Author::operator("olga"), 100, &LiveStamps::GiveUp).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let backup = history.backup(dir.path().join("copy")).unwrap();
    let copy = History::open_read_only(dir.path().join("copy")).unwrap();
    assert_eq!(copy.version(), backup.version);
    let of_copy = copy.at(120).unwrap().state_hash().unwrap();
    assert_eq!(of_copy, history.at(120).unwrap().state_hash().unwrap());
    assert!(matches!(copy.at(1), Err(Error::Pruned { .. })));
}

#[test]
fn every_flipped_bit_of_a_base_is_found() {
    let (storage, history) = story();
    history.prune(&Author::operator("olga"), 100, &LiveStamps::GiveUp).unwrap();
    history.close().unwrap();
    let mut files = storage.files();
    files.retain(|name, _| !name.starts_with("checkpoint-") && !name.starts_with("catalog"));
    let name = files.keys().find(|name| name.starts_with("base-")).unwrap().clone();
    let whole = files[&name].clone();
    let step = if flow_history_tests::is_nightly() { 1 } else { 7 };
    for bit in (0..whole.len() * 8).step_by(step) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        files.insert(name.clone(), bytes);
        let storage = Arc::new(MemoryStorage::with_files(files.clone()));
        let error = Options::new().open_storage_read_only(storage).map(|history| history.verify());
        match error {
            Err(Error::Damaged { damage, .. }) | Ok(Err(Error::Damaged { damage, .. })) => {
                assert!(damage.file.starts_with("base-") || damage.file.starts_with("segment-"), "{damage}");
            }
            Err(Error::Unsupported { .. }) => assert!((64..80).contains(&bit), "bit {bit}"),
            other => panic!("bit {bit}: {other:?}"),
        }
    }
    for length in (0..whole.len()).step_by(step) {
        files.insert(name.clone(), whole[..length].to_vec());
        let storage = Arc::new(MemoryStorage::with_files(files.clone()));
        let error = Options::new().open_storage_read_only(storage).map(|history| history.verify());
        assert!(
            matches!(error, Err(Error::Damaged { .. }) | Ok(Err(Error::Damaged { .. }))),
            "cut at {length}"
        );
    }
}

#[test]
fn a_power_cut_in_the_middle_of_pruning_leaves_all_of_it_or_what_was_to_be_kept() {
    // A history on a disk that keeps every step, then pruned; the power goes after each of the steps of the pruning.
    let start = {
        let (storage, history) = story();
        history.close().unwrap();
        Disk::of(storage.files())
    };
    let disk = SimDisk::new(start.clone());
    let open_on = |storage: Arc<dyn flow_history::Storage>, seed: u64| {
        Options::new()
            .tuning(Tuning::hostile())
            .clock(SeededClock::new(seed))
            .open_storage(storage)
            .map_err(|error| error.to_string())
    };
    let history = open_on(Arc::new(disk.clone()), 5).unwrap();
    let truth = hashes(&history, 0);
    let oldest = history.prune(&Author::operator("olga"), 100, &LiveStamps::GiveUp).unwrap().oldest.seq();
    history.close().unwrap();

    let (mut image, mut images, mut pruned, mut whole) = (start, 0_u64, 0, 0);
    let seeds = if flow_history_tests::is_nightly() { 40 } else { 4 };
    for step in disk.steps() {
        image.take(&step).unwrap();
        for seed in 0..seeds {
            let files = image.lose_power(seed);
            let storage = MemoryStorage::with_files(files);
            let history = open_on(Arc::new(storage.clone()), 1_000 + images).unwrap();
            let begins = history.log().next().unwrap().unwrap().entry.seq.previous().unwrap();
            assert!(
                begins == Seq::ZERO || begins == oldest,
                "the log begins behind version {begins}, not {oldest}: {:?}",
                storage.files().keys()
            );
            for (seq, (id, hash)) in truth.iter().filter(|(seq, _)| Seq(**seq) >= begins).step_by(10) {
                let view = history.at(*seq).unwrap();
                assert_eq!(
                    (view.version().unwrap(), view.state_hash().unwrap()),
                    (*id, *hash),
                    "version {seq}"
                );
            }
            history.change(&alice(), "").add(Component::new("after", "processor")).append().unwrap();
            history.close().unwrap();
            open(&storage).verify().unwrap();
            let bases = storage.files().keys().filter(|name| name.starts_with("base-")).count();
            assert_eq!(bases, usize::from(begins != Seq::ZERO), "what is left over is removed");
            images += 1;
            *if begins == Seq::ZERO { &mut whole } else { &mut pruned } += 1;
            if !image.is_pending() {
                break;
            }
        }
    }
    eprintln!("prune: {images} images, {whole} whole, {pruned} pruned");
    assert!(whole > 0 && pruned > 0, "the crashes are blind");
}
