//! Goal: `Ok` means durable; an entry is there whole or not at all; whatever a power cut leaves, at whatever moment, the
//! history opens, and opening it again changes nothing.
//!
//! Method: a workload runs once on a simulated disk that keeps account of every step. Then the power is cut after every
//! step, several times each with other outcomes for what was pending, and the oracle looks at what is left: acknowledged
//! <= recovered <= attempted, every version equal to the model's under its own id, the chain whole; a second opening
//! changes no byte of the log; three more entries can be appended and survive; and no id of a lost version names
//! anything. Recovery is cut in the same way, after a power cut and after a kill that leaves what was pending pending.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    At, Author, Component, Error, Flow, FlowVersionId, History, Intent, Mark, MemoryStorage, Scope, Tuning,
};
use flow_history_tests::{
    Chance, Disk, Gene, Line, Model, SeededClock, SimDisk, Step, is_nightly, is_same_log, slots_of,
    thoroughness,
};

type Files = BTreeMap<String, Vec<u8>>;

fn tiny(checkpoints: bool) -> Tuning {
    let mut tuning = Tuning::hostile();
    tuning.vouch_after = Duration::from_secs(3_600);
    if !checkpoints {
        tuning.derive_from_bytes = u64::MAX;
    }
    tuning
}

fn open(disk: impl flow_history::Storage + 'static, tuning: &Tuning, seed: u64) -> Result<History, Error> {
    History::options().tuning(tuning.clone()).clock(SeededClock::new(seed)).open_storage(Arc::new(disk))
}

/// One thing that a workload does.
#[derive(Clone, Copy)]
enum Act {
    Change,
    Big,
    Mark,
    Undo,
    Reopen,
}

/// Does things on a disk, and says before and after each what may and what must survive.
struct Worker {
    disk: SimDisk,
    tuning: Tuning,
    seed: u64,
    chance: Chance,
    history: Option<History>,
    model: Model,
}

impl Worker {
    fn begin(disk: SimDisk, tuning: Tuning, seed: u64, model: Model) -> Self {
        Self { disk, tuning, seed, chance: Chance::new(seed), history: None, model }
    }

    fn open(&mut self) {
        self.seed += 1_000_003;
        self.history = Some(open(self.disk.clone(), &self.tuning, self.seed).unwrap());
    }

    /// The versions that the model knows and the log lost are forgotten.
    fn catch_up(&mut self) {
        let recovered = usize::try_from(self.history.as_ref().unwrap().version().seq().0).unwrap();
        self.model.flows.truncate(recovered + 1);
        self.model.lines.truncate(recovered);
    }

    fn act(&mut self, act: Act) {
        if let Act::Reopen = act {
            self.history.take().unwrap().close().unwrap();
            self.open();
            return;
        }
        let history = self.history.clone().unwrap();
        // The entry, and the mark that says that the history was opened after a crash.
        self.disk.note(Step::Attempting(self.model.seq() + 2));
        let alice = Author::user("alice");
        let (id, flow) = match act {
            Act::Mark => (history.mark(&alice, Mark::Deploy).unwrap(), self.model.flow().clone()),
            Act::Undo => {
                let Ok(applied) = history.undo(Scope::Flow, &alice) else { return };
                (applied.version, applied_to(self.model.flow(), &applied.operations))
            }
            _ => {
                let mut flow = self.model.flow().clone();
                let mut operations = Vec::new();
                while operations.is_empty() {
                    let operation = Gene::random(&mut self.chance).operation(&flow);
                    if flow.apply(&operation).is_ok() {
                        operations.push(operation);
                    }
                }
                if let Act::Big = act {
                    let id = format!("big-{}", self.model.seq());
                    let big = flow_history::Operation::add(
                        Component::new(id, "big").field("text", "long ".repeat(400)),
                    );
                    flow.apply(&big).unwrap();
                    operations.push(big);
                }
                (history.change(&alice, "").operations(operations).append().unwrap(), flow)
            }
        };
        while self.model.seq() + 1 < id.seq().0 {
            let opened = history.find(self.model.seq() + 1).unwrap();
            self.model.mark(Line { id: opened, author: "flow-history".to_owned(), intent: Intent::Mark });
        }
        self.model.flows.push(flow);
        self.model.lines.push(Line { id, author: "alice".to_owned(), intent: Intent::Edit });
        self.disk.note(Step::Acknowledged(id.seq().0));
    }
}

fn applied_to(flow: &Flow, operations: &[flow_history::Operation]) -> Flow {
    let mut flow = flow.clone();
    flow.apply_all(operations).unwrap();
    flow
}

/// What must and may be there.
#[derive(Clone)]
struct Truth {
    model: Model,
    /// Ids that were given out and lost before: they must never come back.
    lost: Vec<FlowVersionId>,
}

#[derive(Default)]
struct Tally {
    images: usize,
    distinct: HashSet<u64>,
    torn: usize,
    lost_entries: usize,
}

fn name_of(files: &Files) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

macro_rules! ensure {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

/// Looks at what a crash left. Returns the version that was recovered.
fn check_image(
    files: &Files,
    acked: u64,
    attempted: u64,
    truth: &Truth,
    tuning: &Tuning,
    seed: u64,
) -> Result<u64, String> {
    let storage = MemoryStorage::with_files(files.clone());
    // A reader may find nothing where nothing was acknowledged, and sees what a writer then recovers.
    let read = History::options().open_storage_read_only(Arc::new(storage.clone()));
    let read = match read {
        Ok(history) => Some(history.version()),
        Err(Error::NotAHistory { .. }) if acked == 0 => None,
        Err(error) => return Err(format!("a reader cannot open it: {error}")),
    };
    ensure!(storage.files() == *files, "a reader changed the files");

    let history =
        open(storage.clone(), tuning, seed ^ 0xaaaa).map_err(|error| format!("it does not open: {error}"))?;
    let recovered = history.version().seq().0;
    ensure!(read.is_none_or(|read| read == history.version()), "a reader saw {read:?}, a writer {recovered}");
    ensure!(recovered >= acked, "version {acked} was acknowledged and {recovered} recovered");
    ensure!(recovered <= attempted, "version {attempted} was attempted and {recovered} recovered");
    ensure!(recovered <= truth.model.seq(), "version {recovered} was never made");
    check_versions(&history, recovered, truth)?;
    let verified = history.verify().map_err(|error| format!("verify: {error}"))?;
    ensure!(verified.entries == recovered, "verify counts {} of {recovered}", verified.entries);
    drop(history);

    let opened = storage.files();
    if read.is_some() {
        ensure!(is_same_log(files, &opened), "opening and dropping changed the log");
    }
    let history = open(storage.clone(), tuning, seed ^ 0xbbbb)
        .map_err(|error| format!("again, it does not open: {error}"))?;
    ensure!(
        history.version().seq().0 == recovered,
        "the second opening recovers {}",
        history.version().seq()
    );
    ensure!(is_same_log(&opened, &storage.files()), "the second opening changed the log");

    let alice = Author::user("alice");
    let mut flow = truth.model.flows[usize::try_from(recovered).unwrap()].clone();
    let mut later = Vec::new();
    for at in 0..3 {
        let new = Component::new(format!("later-{at}"), "later").field("text", "x".repeat(500 * at));
        flow.apply(&flow_history::Operation::add(new.clone())).map_err(|misfit| misfit.to_string())?;
        let id =
            history.change(&alice, "").add(new).append().map_err(|error| format!("append {at}: {error}"))?;
        later.push((id, flow.clone()));
    }
    let check_later = |history: &History| {
        check_versions(history, recovered, truth)?;
        for (id, flow) in &later {
            let seen = history.at(*id).map_err(|error| format!("a later version: {error}"))?;
            ensure!(seen.to_flow().unwrap() == *flow, "a later version is another flow");
        }
        let known = truth.model.lines.get(usize::try_from(recovered).unwrap()..).unwrap_or_default();
        for lost in known.iter().map(|line| line.id).chain(truth.lost.iter().copied()) {
            match history.resolve(lost) {
                Err(Error::Foreign { .. } | Error::UnknownVersion { .. }) => {}
                other => return Err(format!("the id {lost} of a lost version gives {other:?}")),
            }
        }
        Ok(())
    };
    check_later(&history)?;
    // As another crash leaves it, where everything was synced; and after closing.
    let crashed =
        History::options().open_storage_read_only(Arc::new(MemoryStorage::with_files(storage.files())));
    check_later(&crashed.map_err(|error| format!("after three more and a crash: {error}"))?)?;
    history.close().map_err(|error| format!("close: {error}"))?;
    let history =
        open(storage, tuning, seed ^ 0xcccc).map_err(|error| format!("after three more: {error}"))?;
    check_later(&history)?;
    history.verify().map_err(|error| format!("verify after three more: {error}"))?;
    Ok(recovered)
}

fn check_versions(history: &History, recovered: u64, truth: &Truth) -> Result<(), String> {
    for seq in 0..=recovered {
        let at = usize::try_from(seq).unwrap();
        let view = history.at(seq).map_err(|error| format!("version {seq}: {error}"))?;
        ensure!(
            slots_of(&view.to_flow().unwrap()) == slots_of(&truth.model.flows[at]),
            "version {seq} is another flow"
        );
        if let Some(line) = at.checked_sub(1).map(|at| &truth.model.lines[at]) {
            ensure!(view.version() == line.id, "version {seq} has another id");
        }
    }
    let head = history.at(At::Head).map_err(|error| error.to_string())?;
    ensure!(head.seq().0 >= recovered, "the head is version {}", head.seq());
    Ok(())
}

/// Cuts the power after every step, and looks at what is left.
fn sweep(
    start: &Disk,
    steps: &[Step],
    base: u64,
    truth: &Truth,
    tuning: &Tuning,
    seeds: u64,
    tally: &mut Tally,
) {
    let mut disk = start.clone();
    let (mut acked, mut attempted) = (base, base);
    for (at, step) in std::iter::once(None).chain(steps.iter().map(Some)).enumerate() {
        if let Some(step) = step {
            disk.take(step).unwrap();
            match step {
                Step::Attempting(seq) => attempted = attempted.max(*seq),
                Step::Acknowledged(seq) => acked = *seq,
                _ => {}
            }
        }
        for outcome in 0..seeds {
            // The two plain outcomes everywhere, then others that differ from step to step.
            let seed = if outcome < 2 { outcome } else { 1_000 * at as u64 + outcome };
            let files = disk.lose_power(seed);
            tally.images += 1;
            if !tally.distinct.insert(name_of(&files) ^ acked.rotate_left(17)) {
                continue;
            }
            tally.torn += usize::from(outcome >= 2);
            let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                check_image(&files, acked, attempted, truth, tuning, seed)
            }));
            match verdict {
                Ok(Ok(recovered)) => tally.lost_entries += usize::from(recovered < truth.model.seq()),
                Ok(Err(why)) => panic!("{}", story(&why, start, steps, at, seed, acked, attempted, &files)),
                Err(_) => panic!("{}", story("a panic", start, steps, at, seed, acked, attempted, &files)),
            }
            if disk.pending() == 0 {
                break;
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "all of it tells the story")]
fn story(
    why: &str,
    start: &Disk,
    steps: &[Step],
    at: usize,
    seed: u64,
    acked: u64,
    attempted: u64,
    files: &Files,
) -> String {
    let short = |step: &Step| match step {
        Step::Write(file, offset, bytes) => format!("write {file} {offset}+{}", bytes.len()),
        other => format!("{other:?}"),
    };
    let from = at.saturating_sub(14);
    let last: Vec<String> = steps[from..at].iter().map(short).collect();
    let sizes =
        |files: &Files| files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect::<Vec<_>>();
    format!(
        "power cut after step {at} of {}, outcome {seed}; acknowledged {acked}, attempted {attempted}: {why}\nbefore: {:?}\nlast steps: {last:#?}\nleft: {:?}",
        steps.len(),
        sizes(&start.now()),
        sizes(files)
    )
}

fn work(acts: &[Act], tuning: &Tuning, seed: u64) -> (Vec<Step>, Truth) {
    let disk = SimDisk::new(Disk::default());
    let mut worker = Worker::begin(disk.clone(), tuning.clone(), seed, Model::default());
    worker.open();
    acts.iter().for_each(|act| worker.act(*act));
    worker.history.take().unwrap().close().unwrap();
    (disk.steps(), Truth { model: worker.model, lost: Vec::new() })
}

fn check(name: &str, acts: &[Act], tuning: &Tuning) {
    let mut tally = Tally::default();
    let seeds = if is_nightly() { 200 } else { 30 };
    for round in 0..thoroughness().min(4) as u64 {
        let (steps, truth) = work(acts, tuning, 77 + round);
        sweep(&Disk::default(), &steps, 0, &truth, tuning, seeds, &mut tally);
    }
    eprintln!(
        "{name}: {} images, {} distinct, {} of them torn, {} with entries missing",
        tally.images,
        tally.distinct.len(),
        tally.torn,
        tally.lost_entries
    );
    assert!(tally.distinct.len() > acts.len() * 3, "the crashes are blind");
    assert!(tally.lost_entries > 0, "no crash came in time to lose anything: the crashes are blind");
}

#[test]
fn in_a_small_history() {
    use Act::{Change, Mark, Undo};
    let mut tuning = tiny(false);
    tuning.segment_bytes_first = 16 << 10;
    tuning.segment_bytes_max = 16 << 10;
    check("small", &[Change, Change, Mark, Change, Undo, Change], &tuning);
}

#[test]
fn while_segments_are_switched() {
    use Act::{Big, Change, Undo};
    check(
        "segments",
        &[Big, Change, Big, Change, Big, Undo, Big, Change, Big, Big, Change, Change],
        &tiny(false),
    );
}

#[test]
fn while_the_history_is_closed_and_opened_again() {
    use Act::{Big, Change, Mark, Reopen};
    check(
        "reopening",
        &[Change, Reopen, Reopen, Change, Big, Reopen, Big, Mark, Reopen, Change],
        &tiny(false),
    );
}

#[test]
fn while_checkpoints_and_the_catalog_are_written() {
    let mut tuning = tiny(true);
    tuning.checkpoint_entries = 3;
    // redb writes a great deal for a little catalog: few acts make many steps.
    check(
        "checkpoints",
        &[Act::Change, Act::Change, Act::Change, Act::Change, Act::Reopen, Act::Change],
        &tuning,
    );
}

/// What a first crash left, and what must be in it.
struct Crashed {
    disk: Disk,
    truth: Truth,
    recovered: u64,
}

/// Opens what a crash left and goes on, with every step on record; then cuts the power again after each of them.
fn cut_recovery(crashed: &Crashed, tuning: &Tuning, seed: u64, seeds: u64, tally: &mut Tally) {
    let disk = SimDisk::new(crashed.disk.clone());
    let mut worker = Worker::begin(disk.clone(), tuning.clone(), seed, crashed.truth.model.clone());
    worker.open();
    let before = crashed.truth.model.lines.iter().map(|line| line.id);
    worker.catch_up();
    let lost = before.skip(worker.model.lines.len()).collect();
    assert_eq!(worker.model.seq(), crashed.recovered, "what is recovered follows from the files");
    [Act::Change, Act::Big, Act::Change].into_iter().for_each(|act| worker.act(act));
    worker.history.take().unwrap().close().unwrap();
    let truth = Truth { model: worker.model, lost };
    sweep(&crashed.disk, &disk.steps(), crashed.recovered, &truth, tuning, seeds, tally);
}

#[test]
fn in_the_middle_of_recovering_from_a_crash() {
    use Act::{Big, Change};
    let tuning = tiny(false);
    let (steps, truth) = work(&[Change, Big, Big], &tuning, 5);
    let mut tally = Tally::default();
    let seeds = if is_nightly() { 30 } else { 10 };
    let mut disk = Disk::default();
    let mut firsts = HashSet::new();
    for (at, step) in steps.iter().enumerate() {
        disk.take(step).unwrap();
        for outcome in 0..if is_nightly() { 6 } else { 2 } {
            let seed = if outcome == 0 { 1 } else { 9_000 + 10 * at as u64 + outcome };
            let files = disk.lose_power(seed);
            if !firsts.insert(name_of(&files)) {
                continue;
            }
            let storage = MemoryStorage::with_files(files.clone());
            let recovered = open(storage, &tuning, 1).unwrap().version().seq().0;
            let crashed = Crashed { disk: Disk::of(files), truth: truth.clone(), recovered };
            cut_recovery(&crashed, &tuning, seed, seeds, &mut tally);
        }
    }
    eprintln!(
        "recovery: {} first images, {} images, {} distinct",
        firsts.len(),
        tally.images,
        tally.distinct.len()
    );
    assert!(firsts.len() > 10 && tally.distinct.len() > 150, "the crashes are blind");
}

/// A process that is killed leaves what it wrote to the kernel, synced or not; then the power goes.
#[test]
fn after_a_kill_that_left_everything_written_and_nothing_synced() {
    use Act::{Big, Change, Reopen};
    let tuning = tiny(false);
    let (steps, truth) = work(&[Change, Big, Big, Reopen, Change], &tuning, 6);
    let mut tally = Tally::default();
    let mut disk = Disk::default();
    let seeds = if is_nightly() { 40 } else { 10 };
    for step in &steps {
        disk.take(step).unwrap();
        let recovered = open(MemoryStorage::with_files(disk.now()), &tuning, 1).unwrap().version().seq().0;
        let crashed = Crashed { disk: disk.clone(), truth: truth.clone(), recovered: 0 };
        cut_recovery_from(&crashed, recovered, &tuning, seeds, &mut tally);
    }
    eprintln!("kill, then power: {} images, {} distinct", tally.images, tally.distinct.len());
    assert!(tally.distinct.len() > 150, "the crashes are blind");
}

/// As [`cut_recovery`], where what the killed process had not synced may still be lost until the engine relies on it: at
/// least what was acknowledged by the new process must survive.
fn cut_recovery_from(crashed: &Crashed, recovered: u64, tuning: &Tuning, seeds: u64, tally: &mut Tally) {
    let disk = SimDisk::new(crashed.disk.clone());
    let mut worker = Worker::begin(disk.clone(), tuning.clone(), 31, crashed.truth.model.clone());
    worker.open();
    worker.catch_up();
    assert_eq!(worker.model.seq(), recovered);
    // The new process showed this version to its host.
    disk.note(Step::Acknowledged(recovered));
    [Act::Change, Act::Big, Act::Change].into_iter().for_each(|act| worker.act(act));
    worker.history.take().unwrap().close().unwrap();
    let truth = Truth { model: worker.model, lost: Vec::new() };
    let steps = disk.steps();
    // Before the new process says anything, only the sweep over the first process says what must be there.
    let said = steps.iter().position(|step| matches!(step, Step::Acknowledged(_))).unwrap();
    let mut disk = crashed.disk.clone();
    steps[..said].iter().for_each(|step| disk.take(step).unwrap());
    sweep(&disk, &steps[said + 1..], recovered, &truth, tuning, seeds, tally);
}
