//! Goal: at every version, by every route, the engine shows what a plain list of flows with plain undo and redo stacks
//! says; ids never repeat and always resolve; and what is refused leaves no trace.
//!
//! Method: seeded sessions of changes, invalid changes, undo, redo, restore, marks, labels, pins, closing, dropping and
//! crashing, under a tuning so small that segments and checkpoints come all the time, and under the default. The routes:
//! the live handle, a read-only handle that was opened at the start, one opened now, one on a copy without checkpoints
//! and catalog, and an offline replay.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    About, At, Author, Component, Error, Flow, FlowVersionId, History, Intent, Mark, MemoryStorage,
    Operation, Part, Scope, Seq, Tuning,
};
use flow_history_replay::{Log, MemorySource, Replay};
use flow_history_tests::{Chance, Gene, Line, Model, SeededClock, is_same_log, slots_of, thoroughness};

struct Session {
    seed: u64,
    chance: Chance,
    clock: Arc<SeededClock>,
    tuning: Tuning,
    storage: MemoryStorage,
    history: Option<History>,
    reader: Option<History>,
    model: Model,
    /// Every id that was ever given out, the lost ones too.
    ids: HashSet<FlowVersionId>,
    /// Whether anything was written since the last opening.
    dirty: bool,
    /// Whether the log ends as a crash leaves it.
    unclean: bool,
    system_changes: bool,
    counts: Counts,
}

#[derive(Default, Debug)]
struct Counts {
    entries: usize,
    refused: usize,
    undone: usize,
    crashes: usize,
    versions_checked: usize,
}

fn quiet(mut tuning: Tuning) -> Tuning {
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning
}

impl Session {
    fn begin(seed: u64, tuning: &Tuning) -> Self {
        let mut session = Self {
            seed,
            chance: Chance::new(seed),
            clock: SeededClock::new(seed),
            tuning: quiet(tuning.clone()),
            storage: MemoryStorage::new(),
            history: None,
            reader: None,
            model: Model::default(),
            ids: HashSet::new(),
            dirty: false,
            unclean: false,
            system_changes: false,
            counts: Counts::default(),
        };
        session.open();
        session
    }

    fn open(&mut self) {
        let options = History::options().tuning(self.tuning.clone()).clock(self.clock.clone());
        self.history = Some(options.open_storage(Arc::new(self.storage.clone())).unwrap());
        self.reader =
            Some(History::options().open_storage_read_only(Arc::new(self.storage.clone())).unwrap());
        self.dirty = false;
        assert_eq!(
            self.history().version().seq().0,
            self.model.seq(),
            "seed {}: opening changed the version",
            self.seed
        );
    }

    fn history(&self) -> &History {
        self.history.as_ref().unwrap()
    }

    fn author(&mut self) -> Author {
        let name = *self.chance.pick(&["alice", "bob", "carol"]);
        Author::user(name)
    }

    /// Adds the mark that says that the history was not closed, where the version says that there is one before it.
    fn opened_mark(&mut self, id: FlowVersionId) {
        let expected = self.model.seq() + 1 + u64::from(self.unclean);
        assert_eq!(
            id.seq().0,
            expected,
            "seed {}: an Opened mark stands exactly after an unclean end",
            self.seed
        );
        if self.unclean {
            let opened = self.history().find(self.model.seq() + 1).unwrap();
            self.model.mark(Line { id: opened, author: "flow-history".to_owned(), intent: Intent::Mark });
            assert!(self.ids.insert(opened));
        }
        self.unclean = false;
        self.dirty = true;
        self.counts.entries += 1;
        assert!(self.ids.insert(id), "seed {}: the id {id} came twice", self.seed);
        assert_eq!(self.history().version(), id);
    }

    fn operations(&mut self) -> Vec<Operation> {
        let mut flow = self.model.flow().clone();
        let count = 1 + self.chance.below(5);
        let mut operations = Vec::new();
        for _ in 0..count {
            let operation = Gene::random(&mut self.chance).operation(&flow);
            if flow.apply(&operation).is_ok() {
                operations.push(operation);
            }
        }
        operations
    }

    fn step(&mut self) {
        match self.chance.below(24) {
            0..=8 => self.change(),
            9 => self.invalid_change(),
            10..=12 => self.undo(),
            13..=14 => self.redo(),
            15 => self.restore(),
            16 => self.mark(),
            17 => self.label(),
            18 => self.pin(),
            19 => self.remove(),
            20 => self.system_change(),
            21 => self.close_and_reopen(),
            22 => self.drop_and_reopen(),
            _ => self.crash(),
        }
        let live = self.history().at(At::Head).unwrap();
        assert_eq!(slots_of(&live.to_flow().unwrap()), slots_of(self.model.flow()), "seed {}", self.seed);
        let read = self.reader.as_ref().unwrap().at(At::Head).unwrap();
        assert_eq!(
            read.version().unwrap(),
            live.version().unwrap(),
            "seed {}: a reader is behind",
            self.seed
        );
        assert_eq!(slots_of(&read.to_flow().unwrap()), slots_of(self.model.flow()), "seed {}", self.seed);
    }

    fn change(&mut self) {
        let (author, operations) = (self.author(), self.operations());
        if operations.is_empty() {
            return;
        }
        let id = self.history().change(&author, "change").operations(operations.clone()).append().unwrap();
        self.opened_mark(id);
        let line = Line { id, author: author.id.to_string(), intent: Intent::Edit };
        self.model.change(&operations, line).unwrap();
    }

    fn remove(&mut self) {
        let Some(first) = self.model.flow().in_order().first().map(|component| component.id.clone()) else {
            return;
        };
        let author = self.author();
        let operations = flow_history::removal_of(self.model.flow(), &first);
        let id = self.history().change(&author, "remove").remove(first).append().unwrap();
        self.opened_mark(id);
        let line = Line { id, author: author.id.to_string(), intent: Intent::Edit };
        self.model.change(&operations, line).unwrap();
    }

    fn system_change(&mut self) {
        let operations = self.operations();
        if operations.is_empty() {
            return;
        }
        let author = Author::system("host");
        let change = self.history().change(&author, "").intent(Intent::System);
        let id = change.operations(operations.clone()).append().unwrap();
        self.opened_mark(id);
        self.system_changes = true;
        let line = Line { id, author: "host".to_owned(), intent: Intent::System };
        self.model.system_change(&operations, line).unwrap();
    }

    fn invalid_change(&mut self) {
        let before = (self.history().version(), self.model.flows.len());
        let files = self.storage.files();
        let author = self.author();
        let good = self.operations();
        let bad = match self.chance.below(4) {
            0 => Operation::remove("nobody"),
            1 => Operation::set("nobody", "a", 1),
            2 => Operation::add(Component::new("", "k")),
            _ => Operation::add(Component::new("new", "k").inside("nobody")),
        };
        let count = good.len();
        let operations = good.into_iter().chain([bad]).collect();
        let result = self.history().change(&author, "invalid").operations(operations).append();
        match result {
            Err(Error::Misfit(misfit)) => assert_eq!(misfit.operation, count, "seed {}", self.seed),
            other => panic!("seed {}: {other:?} instead of a misfit", self.seed),
        }
        assert_eq!(self.history().log().count() as u64, self.model.seq());
        let after = (self.history().version(), self.model.flows.len());
        assert!(is_same_log(&files, &self.storage.files()), "a refused change changed the log");
        assert!(before == after, "seed {}: a change that was refused left a trace", self.seed);
        self.counts.refused += 1;
    }

    fn undo(&mut self) {
        let author = self.author();
        let result = self.history().undo(Scope::Flow, &author);
        match result {
            Ok(applied) => {
                self.opened_mark(applied.version);
                let line = Line { id: applied.version, author: author.id.to_string(), intent: Intent::Undo };
                if self.system_changes {
                    self.model.undo_as(applied.taken[0], &applied.operations, line).unwrap();
                } else {
                    self.model.undo(line).unwrap();
                }
                self.counts.undone += 1;
            }
            Err(Error::NothingToUndo) => {
                assert!(
                    self.system_changes || !self.model.can().0,
                    "seed {}: there is something to undo",
                    self.seed
                );
            }
            // Only what is on no stack can have come in between.
            Err(Error::Conflicts { .. }) if self.system_changes => {}
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    fn redo(&mut self) {
        let author = self.author();
        let result = self.history().redo(Scope::Flow, &author);
        match result {
            Ok(applied) => {
                self.opened_mark(applied.version);
                let line = Line { id: applied.version, author: author.id.to_string(), intent: Intent::Redo };
                if self.system_changes {
                    self.model.redo_as(applied.taken[0], &applied.operations, line).unwrap();
                } else {
                    self.model.redo(line).unwrap();
                }
            }
            Err(Error::NothingToRedo) => {
                assert!(
                    self.system_changes || !self.model.can().1,
                    "seed {}: there is something to redo",
                    self.seed
                );
            }
            Err(Error::Conflicts { .. }) if self.system_changes => {}
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    fn restore(&mut self) {
        let author = self.author();
        let to = self.chance.below(self.model.flows.len());
        let applied = self.history().restore(Part::Flow, to as u64, &author).unwrap();
        assert_eq!(applied.taken, [Seq(to as u64)]);
        if applied.operations.is_empty() {
            assert_eq!(
                self.model.flow(),
                &self.model.flows[to],
                "seed {}: there was something to restore",
                self.seed
            );
            return;
        }
        self.opened_mark(applied.version);
        let line = Line { id: applied.version, author: author.id.to_string(), intent: Intent::Restore };
        self.model.change(&applied.operations, line).unwrap();
        assert_eq!(self.model.flow(), &self.model.flows[to], "seed {}: restored something else", self.seed);
    }

    fn marked(&mut self, author: &Author, id: FlowVersionId) {
        self.opened_mark(id);
        self.model.mark(Line { id, author: author.id.to_string(), intent: Intent::Mark });
    }

    fn mark(&mut self) {
        let author = self.author();
        let mark = match self.chance.below(5) {
            0 => Mark::Deploy,
            1 => Mark::Restart,
            2 => Mark::Running { version: Seq(self.model.seq()) },
            3 => Mark::Custom { name: "host".into(), data: [1, 2, 3].as_slice().into() },
            _ => Mark::ImportNote { text: "seen".into() },
        };
        let id = self.history().mark_with(&author, mark, About::message("mark")).unwrap();
        self.marked(&author, id);
    }

    fn label(&mut self) {
        let author = self.author();
        let name = *self.chance.pick(&["released", "tested", "@odd name"]);
        if self.chance.once_in(4) {
            let result = self.history().unlabel(&author, name);
            match (result, self.model.labels.contains_key(name)) {
                (Ok(id), true) => {
                    self.marked(&author, id);
                    self.model.labels.remove(name);
                }
                (Err(Error::UnknownLabel { label, .. }), false) => assert_eq!(label, name),
                (other, known) => panic!("seed {}: {other:?} where known is {known}", self.seed),
            }
            return;
        }
        let version = self.chance.below(self.model.flows.len()) as u64;
        let id = self.history().label(&author, name, version).unwrap();
        self.marked(&author, id);
        self.model.labels.insert(name.to_owned(), Seq(version));
    }

    fn pin(&mut self) {
        let author = self.author();
        let version = self.chance.below(self.model.flows.len()) as u64;
        let pinned = self.chance.once_in(2);
        let history = self.history();
        let id =
            if pinned { history.pin(&author, version) } else { history.unpin(&author, version) }.unwrap();
        self.marked(&author, id);
        let _ =
            if pinned { self.model.pins.insert(Seq(version)) } else { self.model.pins.remove(&Seq(version)) };
    }

    fn close_and_reopen(&mut self) {
        self.history.take().unwrap().close().unwrap();
        // What is not written to stays as it is, an unclean end too.
        self.open();
        self.spot_check();
    }

    fn drop_and_reopen(&mut self) {
        drop(self.history.take());
        self.open();
        self.spot_check();
    }

    /// What was synced is what there is: every write in memory is.
    fn crash(&mut self) {
        let left = self.storage.files();
        self.unclean |= self.dirty && self.model.seq() > 0;
        self.counts.crashes += 1;
        drop(self.history.take());
        self.storage = MemoryStorage::with_files(left);
        self.open();
        self.spot_check();
    }

    fn spot_check(&mut self) {
        if self.chance.once_in(3) {
            let history = self.history.clone().unwrap();
            self.check(&history, "live, after opening");
        }
    }

    fn check(&mut self, history: &History, route: &str) {
        let what = format!("seed {}, {route}", self.seed);
        for (seq, flow) in self.model.flows.iter().enumerate() {
            let seq = seq as u64;
            let view = history.at(seq).unwrap_or_else(|error| panic!("{what}, version {seq}: {error}"));
            assert_eq!(slots_of(&view.to_flow().unwrap()), slots_of(flow), "{what}, version {seq}");
            assert_eq!(view.state_hash().unwrap(), flow.state_hash(), "{what}, version {seq}");
            let id = history.find(seq).unwrap();
            assert_eq!(view.version().unwrap(), id, "{what}");
            assert_eq!(history.resolve(id).unwrap(), Seq(seq), "{what}");
            if let Some(line) =
                seq.checked_sub(1).and_then(|at| self.model.lines.get(usize::try_from(at).unwrap()))
            {
                assert_eq!(id, line.id, "{what}, version {seq}: another id");
            }
        }
        self.counts.versions_checked += self.model.flows.len();
        self.check_log(history, &what);
        assert_eq!(history.labels().unwrap(), self.model.labels, "{what}");
        for (label, seq) in &self.model.labels {
            assert_eq!(history.find(At::Label(label.clone())).unwrap().seq(), *seq, "{what}");
        }
        let beyond = self.model.seq() + 1;
        match history.at(beyond) {
            Err(Error::UnknownVersion { asked, head }) => {
                assert_eq!((asked.0, head.0), (beyond, beyond - 1), "{what}");
            }
            other => panic!("{what}: {:?} beyond the head", other.map(|view| view.version().unwrap())),
        }
        let verified = history.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(verified.entries, self.model.seq(), "{what}");
        assert_eq!(verified.state_hash, self.model.flow().state_hash(), "{what}");
    }

    fn check_log(&self, history: &History, what: &str) {
        let mut last_time = 0;
        let mut count = 0;
        for (at, line) in history.log().enumerate() {
            let line = line.unwrap_or_else(|error| panic!("{what}, entry {}: {error}", at + 1));
            let (entry, expected) = (&line.entry, &self.model.lines[at]);
            assert_eq!(entry.seq.0, at as u64 + 1, "{what}");
            let said = Line {
                id: entry.id,
                author: entry.header.author.id.to_string(),
                intent: entry.header.intent,
            };
            assert_eq!(&said, expected, "{what}");
            assert!(entry.header.log_time >= last_time, "{what}: log time goes back at {}", entry.seq);
            assert!(
                entry.header.log_time >= entry.header.host_time.millis,
                "{what}: log time behind the host's"
            );
            last_time = entry.header.log_time;
            let (before, after) = (&self.model.flows[at], &self.model.flows[at + 1]);
            let difference = flow_history::Difference::between(before, after);
            assert_eq!(line.difference, difference, "{what}, entry {}", entry.seq);
            count += 1;
        }
        assert_eq!(count, self.model.seq(), "{what}: the log is not whole");
    }

    fn check_all_routes(&mut self) {
        let live = self.history.clone().unwrap();
        self.check(&live, "live");
        let reader = self.reader.clone().unwrap();
        self.check(&reader, "the reader from the start");
        let open =
            |storage: MemoryStorage| History::options().open_storage_read_only(Arc::new(storage)).unwrap();
        let now = open(self.storage.clone());
        self.check(&now, "a reader from now");
        let mut files = self.storage.files();
        let derived = files.len();
        files.retain(|name, _| !name.starts_with("checkpoint-") && !name.starts_with("catalog"));
        if self.tuning.derive_from_bytes == 0 && self.model.seq() > 60 {
            assert!(
                files.len() < derived,
                "seed {}: nothing was derived, so that this shows nothing",
                self.seed
            );
        }
        let bare = open(MemoryStorage::with_files(files.clone()));
        self.check(&bare, "without checkpoints and catalog");

        let log = Log::open(Arc::new(MemorySource(files))).unwrap();
        let mut replay = Replay::from_the_start(&log);
        let mut at = 0;
        while let Some(entry) = replay.next_entry().unwrap() {
            at += 1;
            assert_eq!(
                slots_of(&replay.state().flow),
                slots_of(&self.model.flows[at]),
                "seed {}, replay at {at}",
                self.seed
            );
            assert_eq!(entry.id, self.model.lines[at - 1].id);
        }
        assert_eq!(at as u64, self.model.seq());
    }
}

fn run(tuning: &Tuning, seeds: std::ops::Range<u64>, steps: usize) {
    let mut total = Counts::default();
    for seed in seeds {
        let mut session = Session::begin(seed, tuning);
        (0..steps).for_each(|_| session.step());
        session.check_all_routes();
        session.close_and_reopen();
        session.check_all_routes();
        total.entries += session.counts.entries;
        total.refused += session.counts.refused;
        total.undone += session.counts.undone;
        total.crashes += session.counts.crashes;
        total.versions_checked += session.counts.versions_checked;
    }
    eprintln!("{total:?}");
    assert!(total.refused > 0 && total.undone > 0 && total.crashes > 0, "a generator is blind: {total:?}");
}

#[test]
fn under_a_hostile_tuning_every_version_is_the_models() {
    run(&Tuning::hostile(), 0..12 * thoroughness() as u64, 90);
}

#[test]
fn under_the_default_tuning_every_version_is_the_models() {
    run(&Tuning::default(), 1_000..1_000 + 2 * thoroughness() as u64, 45);
}

#[test]
fn an_open_history_keeps_at_most_one_spare_file() {
    let storage = MemoryStorage::new();
    let history =
        History::options().tuning(quiet(Tuning::hostile())).open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    for rate in 0..400 {
        history.change(&alice, "").set("pump", "rate", rate).append().unwrap();
        let spare = storage.files().keys().filter(|name| name.starts_with("pool-")).count();
        assert!(spare <= 2, "{spare} spare files after {rate} changes: they pile up");
    }
    let count = |prefix: &str| storage.files().keys().filter(|name| name.starts_with(prefix)).count();
    assert!(count("segment-") > 4);
    history.close().unwrap();
    assert_eq!(count("pool-"), 0, "a closed history keeps none");
}

#[test]
fn spare_files_that_a_killed_writer_left_are_removed_and_stand_for_nothing() {
    let storage = two_entries();
    let spare = |number: u64| format!("pool-{number:010}.raw");
    let mut files = storage.files();
    for number in [1, 2, 7, u64::MAX >> 40] {
        files.insert(spare(number), vec![7; 5_000]);
    }
    let storage = MemoryStorage::with_files(files);
    let history =
        History::options().tuning(quiet(Tuning::hostile())).open_storage(Arc::new(storage.clone())).unwrap();
    for rate in 0..200 {
        history.change(&Author::user("alice"), "").set("pump", "rate", rate).append().unwrap();
    }
    let head = history.version();
    history.close().unwrap();
    let left: Vec<String> = storage.files().into_keys().filter(|name| name.starts_with("pool-")).collect();
    assert!(left.is_empty(), "{left:?}");
    let history = History::options().open_storage(Arc::new(storage)).unwrap();
    assert_eq!(history.version(), head);
    history.verify().unwrap();
}

fn two_entries() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let history = History::options().open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    history.change(&alice, "").set("pump", "rate", 8).append().unwrap();
    // As a crash leaves them: not closed.
    MemoryStorage::with_files(storage.files())
}

#[test]
fn a_change_that_expects_the_head_is_accepted_after_a_crash_too() {
    let history = History::options().open_storage(Arc::new(two_entries())).unwrap();
    let alice = Author::user("alice");
    let mut last = None;
    // A conflict may be answered once: the host looks at the head again, and then the change must fit.
    for _ in 0..3 {
        let head = history.version();
        match history.change(&alice, "").set("pump", "rate", 9).expecting(head).append() {
            Ok(id) => {
                assert_eq!(history.version(), id);
                return;
            }
            Err(error) => last = Some(error),
        }
    }
    panic!("a change that expects the head that it was told is refused for good: {}", last.unwrap());
}

#[test]
fn a_change_that_expects_another_version_is_refused_and_leaves_no_trace() {
    let storage = MemoryStorage::new();
    let history = History::options().open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    let first = history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    let second = history.change(&alice, "").set("pump", "rate", 8).expecting(first).append().unwrap();
    let before = storage.files();
    match history.change(&alice, "").set("pump", "rate", 9).expecting(first).append() {
        Err(Error::Conflict { expected, actual }) => assert_eq!((expected, actual), (first, second)),
        other => panic!("{other:?}"),
    }
    assert_eq!(history.version(), second);
    assert!(storage.files() == before);
}

#[test]
fn a_refused_first_change_after_a_crash_writes_nothing_even_when_the_history_is_closed() {
    let storage = two_entries();
    let before = storage.files();
    let history = History::options().open_storage(Arc::new(storage.clone())).unwrap();
    let refused = history.change(&Author::user("alice"), "").set("nobody", "rate", 9).append();
    assert!(refused.is_err());
    history.close().unwrap();
    let after = storage.files();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "a file came or went");
    assert!(is_same_log(&before, &after), "a change that was refused left a trace");
}

#[test]
fn version_0_is_the_empty_flow_and_has_a_name() {
    let history = History::options().open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let id = history.version();
    assert_eq!(id.seq(), Seq::ZERO);
    assert_eq!(history.at(id).unwrap().to_flow().unwrap(), Flow::new());
    assert_eq!(history.resolve(id).unwrap(), Seq::ZERO);
    let other = History::options().open_storage(Arc::new(MemoryStorage::new())).unwrap();
    match other.resolve(id) {
        Err(Error::Foreign { id: named }) => assert_eq!(named, id),
        other => panic!("{other:?}: two histories have the same version 0"),
    }
}
