//! What must be true of whatever a crash leaves.

use std::sync::Arc;

use flow_history::{At, Author, Component, Durability, Error, History, MemoryStorage, Operation};
use flow_history_replay::{Log, Replay, Seq};

use crate::disk::Files;
use crate::secrets::{check_secrets, check_shredded};
use crate::workload::{Settings, Truth};
use crate::{is_same_log, slots_of};

/// What was said before the crash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Said {
    /// The newest version that was acknowledged.
    pub acknowledged: u64,
    /// The newest version that was attempted.
    pub attempted: u64,
    /// The oldest version that is kept, as far as was said.
    pub pruned: u64,
    /// The newest version that may be the oldest that is kept.
    pub pruning: u64,
}

impl Said {
    /// Everything up to here.
    #[must_use]
    pub fn all(seq: u64) -> Self {
        Self { acknowledged: seq, attempted: seq, pruned: 0, pruning: 0 }
    }
}

macro_rules! ensure {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

/// What happens after the crash need not be as hostile as what was before it.
fn calm(settings: &Settings) -> Settings {
    settings.clone().tuned(|tuning| {
        tuning.seal = false;
        tuning.derive_from_bytes = u64::MAX;
        tuning.segment_bytes_first = 16 << 10;
        tuning.segment_bytes_max = 16 << 10;
    })
}

/// Looks at what a crash left: it opens; acknowledged <= recovered <= attempted; every version is the model's, by id and
/// flow; a second opening changes no byte; three more entries can be appended and survive a crash and a close; no id of a
/// lost version names anything. `whole` asks for every version by every route too, with what was before the crash going
/// on: sealing, checkpoints. Returns the version that was recovered.
///
/// # Errors
/// What is not true.
pub fn check_crash(
    files: &Files,
    said: Said,
    truth: &Truth,
    settings: &Settings,
    seed: u64,
    whole: bool,
) -> Result<u64, String> {
    check_shredded(files, said, truth)?;
    let storage = MemoryStorage::with_files(files.clone());
    let mut read = None;
    if whole {
        // A reader may find nothing where nothing was acknowledged, and sees what a writer then recovers.
        match History::options().open_storage_read_only(Arc::new(storage.clone())) {
            Ok(history) => read = Some(history.version()),
            Err(Error::NotAHistory { .. }) if said.acknowledged == 0 => {}
            Err(error) => return Err(format!("a reader cannot open it: {error}")),
        }
        ensure!(storage.files() == *files, "a reader changed the files");
    }
    let mut settings = if whole { settings.clone() } else { calm(settings) };
    settings.durability = Durability::Immediate;
    let history = settings
        .open(storage.clone(), seed ^ 0xaaaa)
        .map_err(|error| format!("it does not open: {error}"))?;
    let recovered = history.version().seq().0;
    ensure!(read.is_none_or(|read| read == history.version()), "a reader saw {read:?}, a writer {recovered}");
    let Said { acknowledged, attempted, .. } = said;
    ensure!(recovered >= acknowledged, "version {acknowledged} was acknowledged and {recovered} recovered");
    ensure!(recovered <= attempted, "version {attempted} was attempted and {recovered} recovered");
    ensure!(recovered <= truth.seq(), "version {recovered} was never made");
    ensure!(
        !truth.inside.contains(&recovered),
        "only a part of what was appended together is there: {recovered}"
    );
    let oldest = check_log(&storage, recovered, truth)?;
    ensure!(
        oldest == 0 && said.pruned == 0 || (said.pruned..=said.pruning).contains(&oldest),
        "the log begins behind version {oldest}; {} was kept, {} asked",
        said.pruned,
        said.pruning
    );
    let at = usize::try_from(recovered).unwrap();
    let head = history.at(At::Head).and_then(|view| view.to_flow()).map_err(|error| error.to_string())?;
    ensure!(slots_of(&head) == slots_of(&truth.flows[at]), "the newest flow is another");
    if settings.keys {
        check_secrets(&history, &storage, (oldest, recovered), said, truth)?;
    }
    if whole {
        check_versions(&history, oldest, recovered, truth)?;
        history.verify().map_err(|error| format!("verify: {error}"))?;
    }
    drop(history);

    let opened = storage.files();
    if files.contains_key("history") {
        ensure!(is_same_log(files, &opened), "opening and dropping changed the log");
    }
    let history = settings
        .open(storage.clone(), seed ^ 0xbbbb)
        .map_err(|error| format!("again, it does not open: {error}"))?;
    ensure!(
        history.version().seq().0 == recovered,
        "the second opening recovers {}",
        history.version().seq()
    );
    // redb notes in the catalog that it was open.
    let but_catalog = |mut files: Files| {
        files.remove("catalog.redb");
        files
    };
    ensure!(but_catalog(storage.files()) == but_catalog(opened), "the second opening wrote something");
    check_going_on(&storage, history, recovered, truth, &settings, seed, whole)?;
    Ok(recovered)
}

fn check_going_on(
    storage: &MemoryStorage,
    history: History,
    recovered: u64,
    truth: &Truth,
    settings: &Settings,
    seed: u64,
    whole: bool,
) -> Result<(), String> {
    let mut after = truth.clone();
    after.lost.clear();
    after.lose_after(recovered);
    let lost: Vec<_> = after.lost.drain(..).chain(truth.lost.iter().copied()).collect();
    let alice = Author::user("alice");
    for at in 0..3 {
        let new = Component::new(format!("later-{at}"), "later").field("text", "x".repeat(500 * at));
        let mut flow = after.flow().clone();
        flow.apply(&Operation::add(new.clone())).map_err(|misfit| misfit.to_string())?;
        let change = history.change(&alice, "").add(new).append();
        let id = change.map_err(|error| format!("append {at}: {error}"))?;
        while after.seq() + 1 < id.seq().0 {
            // The mark that says that there was a crash.
            after.ids.push(history.find(after.seq() + 1).map_err(|error| error.to_string())?);
            after.flows.push(after.flow().clone());
        }
        after.ids.push(id);
        after.flows.push(flow);
    }
    let newest = after.seq();
    for id in lost.iter().rev().take(if whole { usize::MAX } else { 2 }) {
        match history.resolve(*id) {
            Err(Error::Foreign { .. } | Error::UnknownVersion { .. } | Error::Pruned { .. }) => {}
            other => return Err(format!("the id {id} of a lost version gives {other:?}")),
        }
    }
    // As another crash leaves it, where everything was synced; and after closing.
    check_log(&MemoryStorage::with_files(storage.files()), newest, &after)
        .map_err(|error| format!("after three more and a crash: {error}"))?;
    history.close().map_err(|error| format!("close: {error}"))?;
    check_log(storage, newest, &after).map_err(|error| format!("after three more: {error}"))?;
    if whole {
        let history = settings
            .open(storage.clone(), seed ^ 0xcccc)
            .map_err(|error| format!("after three more: {error}"))?;
        let oldest = oldest_of(storage)?;
        check_versions(&history, oldest, newest, &after)?;
        history.verify().map_err(|error| format!("verify after three more: {error}"))?;
    }
    Ok(())
}

fn oldest_of(storage: &MemoryStorage) -> Result<u64, String> {
    Ok(Log::open(Arc::new(storage.clone())).map_err(|error| error.to_string())?.oldest().0)
}

/// Folds the whole log, with every check, and compares id and flow of each version; says where the log begins.
///
/// # Errors
/// What is not true.
pub fn check_log(storage: &MemoryStorage, newest: u64, truth: &Truth) -> Result<u64, String> {
    let log = Log::open(Arc::new(storage.clone())).map_err(|error| error.to_string())?;
    let oldest = log.oldest().0;
    let mut replay = Replay::from_the_start(&log);
    loop {
        let next = replay.next_entry().map_err(|error| error.to_string())?;
        let state = replay.state();
        let at = usize::try_from(state.seq.0).unwrap();
        if let Some(id) = at.checked_sub(1).and_then(|at| truth.ids.get(at)) {
            ensure!(state.version() == *id, "version {at} has another id");
        }
        // The id says what was recorded; that the flow follows from it is looked at here and there.
        if (at + 1).is_multiple_of(4) || next.is_none() {
            ensure!(truth.flows.get(at) == Some(&state.flow), "version {at} is another flow");
        }
        if next.is_none() {
            ensure!(state.seq == Seq(newest), "the log ends at {} and not at {newest}", state.seq);
            return Ok(oldest);
        }
    }
}

fn check_versions(history: &History, oldest: u64, newest: u64, truth: &Truth) -> Result<(), String> {
    for seq in oldest..=newest {
        let at = usize::try_from(seq).unwrap();
        let view = history.at(seq).map_err(|error| format!("version {seq}: {error}"))?;
        let flow = view.to_flow().map_err(|error| format!("version {seq}: {error}"))?;
        ensure!(slots_of(&flow) == slots_of(&truth.flows[at]), "version {seq} is another flow");
        if let Some(id) = at.checked_sub(1).map(|at| truth.ids[at]) {
            let told = view.version().map_err(|error| format!("version {seq}: {error}"))?;
            ensure!(told == id, "version {seq} has another id");
        }
    }
    if oldest > 0 {
        let before = history.at(oldest - 1).map(|view| view.seq());
        ensure!(matches!(before, Err(Error::Pruned { .. })), "what was pruned gives {before:?}");
    }
    let head = history.at(At::Head).map_err(|error| error.to_string())?;
    ensure!(head.seq().0 >= newest, "the head is version {}", head.seq());
    Ok(())
}
