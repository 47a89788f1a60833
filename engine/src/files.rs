//! Reading a history's files: the state at any version.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_history_checkpoint::{Checkpoint, CheckpointError, Page, ReadAt, Turns, will_open};
use flow_history_flow::{Component, Difference, Flow, Slot, mistake};
use flow_history_replay::{
    Chain, End, Ending, Entry, FileName, Folded, IDENTITY_BYTES, Log, LogError, LogIndex, Loose, Pushed,
    Replay, Seq, Source, State, What, read_up_to,
};

use crate::Error;
use crate::cache::{self, Key, Kind, Pieces};
use crate::past::Place;
use crate::storage::Storage;
use crate::sync::Mutex;
use crate::telemetry::{self, Phase};

/// How many states, and how many flows, are kept for the next question, which is often about a version near the last one.
const VERSIONS_KEPT: u64 = 4;
/// About what a component of a state takes in memory.
const COMPONENT_BYTES: usize = 1 << 10;
/// From so many entries on, components are taken apart and put together again rather than changed in their flow.
const MANY_ENTRIES: u64 = 1 << 12;
/// How often files are read again because somebody sealed or pruned them under the reader.
const TRIES_MAX: u32 = 16;

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The files of one history, to read.
pub(crate) struct Files {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) place: PathBuf,
    /// By which the cache knows it.
    number: u64,
    /// The log as it was listed last, and the bytes of the identity that it was listed with.
    log: Mutex<Option<(Vec<u8>, Arc<Log>)>>,
    index: Mutex<Option<Arc<LogIndex>>>,
    checkpoints: Mutex<Option<Arc<Checkpoints>>>,
    /// Which states, and which flows, the cache was given, the newest last.
    states: Mutex<Vec<(Seq, u64)>>,
    flows: Mutex<Vec<(Seq, u64)>>,
    /// Checkpoints that were compared with the log, and the chain that both have there.
    agreeing: Mutex<BTreeSet<(Seq, Chain)>>,
    entries_read: AtomicU64,
}

impl Drop for Files {
    fn drop(&mut self) {
        cache::forget(self.number);
    }
}

/// Something of a version that is kept for the next question.
trait OfVersion: Send + Sync + 'static {
    const KIND: Kind;
    fn seq(&self) -> Seq;
    fn flow(&self) -> &Flow;
    /// Which the cache was given.
    fn given(files: &Files) -> &Mutex<Vec<(Seq, u64)>>;
}

impl OfVersion for State {
    const KIND: Kind = Kind::State;
    fn seq(&self) -> Seq {
        self.seq
    }
    fn flow(&self) -> &Flow {
        &self.flow
    }
    fn given(files: &Files) -> &Mutex<Vec<(Seq, u64)>> {
        &files.states
    }
}

impl OfVersion for Folded {
    const KIND: Kind = Kind::Flow;
    fn seq(&self) -> Seq {
        Folded::seq(self)
    }
    fn flow(&self) -> &Flow {
        Folded::flow(self)
    }
    fn given(files: &Files) -> &Mutex<Vec<(Seq, u64)>> {
        &files.flows
    }
}

/// The checkpoints that there are, ascending, as they were listed once.
#[derive(Default)]
pub(crate) struct Checkpoints {
    pub(crate) seqs: Vec<Seq>,
    /// The newest version of the log at the time.
    reaches: Seq,
}

/// A file of the storage as the checkpoint crate reads it.
pub(crate) struct StoredFile {
    storage: Arc<dyn Storage>,
    file: String,
}

impl ReadAt for StoredFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match read_up_to(&*self.storage, &self.file, offset, buffer)? {
            count if count == buffer.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.storage.len(&self.file)
    }

    fn will_read(&self, offset: u64, length: u64) {
        self.storage.will_read(&self.file, offset, length);
    }
}

/// Opens a checkpoint, with the earlier ones that it shares pages with.
pub(crate) fn open_checkpoint(
    storage: &Arc<dyn Storage>,
    seq: Seq,
) -> Result<Checkpoint<StoredFile>, CheckpointError> {
    Checkpoint::open_with(stored(storage, seq.0), |earlier| Some(stored(storage, earlier)))
}

/// The sequence numbers of the checkpoints of these names, ascending.
pub(crate) fn checkpoints_among(names: &[String]) -> Vec<Seq> {
    let mut seqs: Vec<Seq> = names
        .iter()
        .filter_map(|name| match FileName::parse(name) {
            Some(FileName::Checkpoint(seq)) => Some(Seq(seq)),
            _ => None,
        })
        .collect();
    seqs.sort_unstable();
    seqs
}

fn stored(storage: &Arc<dyn Storage>, sequence: u64) -> StoredFile {
    let file = FileName::Checkpoint(sequence).to_string();
    StoredFile { storage: Arc::clone(storage), file }
}

impl Files {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        let place = storage.place();
        Self {
            storage,
            place,
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            log: Mutex::default(),
            index: Mutex::default(),
            checkpoints: Mutex::default(),
            states: Mutex::default(),
            flows: Mutex::default(),
            agreeing: Mutex::default(),
            entries_read: AtomicU64::new(0),
        }
    }

    /// How many entries were decoded so far to answer questions.
    pub(crate) fn entries_read(&self) -> u64 {
        self.entries_read.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, replay: &Replay) {
        self.entries_read.fetch_add(replay.entries_decoded(), Ordering::Relaxed);
    }

    pub(crate) fn log_error(&self, error: LogError) -> Error {
        Error::of_log(&self.place, error)
    }

    /// The log as its files stand now. The identity, which changes with every segment that is begun or pruned, says
    /// whether it has to be listed again; whoever seals says so by [`Files::forget_log`].
    pub(crate) fn open_log(&self) -> Result<Arc<Log>, LogError> {
        let mut identity = vec![0; IDENTITY_BYTES];
        let file = FileName::Identity.to_string();
        let read = read_up_to(&*self.storage, &file, 0, &mut identity).unwrap_or_default();
        identity.truncate(read);
        if let Some((of, log)) = &*self.log.lock()
            && *of == identity
        {
            return Ok(Arc::clone(log));
        }
        let source: Arc<dyn Source> = self.storage.clone();
        let log = Arc::new(Log::open_with(source, Arc::new(Pieces(self.number)))?);
        // Listed while somebody began a segment, it would pass for one that holds it.
        let same = log.identity().encode() == identity;
        *self.log.lock() = same.then(|| (identity, Arc::clone(&log)));
        Ok(log)
    }

    /// Has the log listed again when it is asked for next.
    pub(crate) fn forget_log(&self) {
        self.storage.look_again();
        *self.log.lock() = None;
    }

    /// Reads something from the log. Where a file is not what was listed, it is listed and read again: a writer may seal,
    /// or prune, what is being read. What is still wrong when nothing changed any more is damage.
    pub(crate) fn reading<T>(&self, read: impl Fn(&Arc<Log>) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut log = self.open_log();
        for _ in 0..TRIES_MAX {
            let before = match &log {
                Ok(log) => Some(Arc::clone(log)),
                Err(_) => None,
            };
            let result = log.and_then(|log| read(&log));
            let Err(LogError::Damaged(_) | LogError::Io { .. }) = &result else { return result };
            self.forget_log();
            log = self.open_log();
            let now = log.as_ref().ok();
            let changed = match (&before, now) {
                (Some(before), Some(now)) => {
                    before.segments() != now.segments() || before.identity() != now.identity()
                }
                (None, Some(_)) => true,
                _ => false,
            };
            if !changed {
                return result;
            }
        }
        log.and_then(|log| read(&log))
    }

    /// The next entry of a replay, which goes on in the files that took the place of others meanwhile.
    pub(crate) fn next_entry(&self, replay: &mut Replay) -> Result<Option<Entry>, Error> {
        Ok(self.next_step(replay)?.map(|(entry, _)| entry))
    }

    /// The next entry of a replay, with what takes it back.
    pub(crate) fn next_step(&self, replay: &mut Replay) -> Result<Option<(Entry, Pushed)>, Error> {
        for _ in 0..TRIES_MAX {
            let error = match replay.step() {
                Err(error @ (LogError::Damaged(_) | LogError::Io { .. })) => error,
                other => return other.map_err(|error| self.log_error(error)),
            };
            self.forget_log();
            match self.open_log() {
                // What was to be read next was pruned: going on behind it would leave entries out in silence.
                Ok(log) if log.oldest() > replay.state().seq && replay.state().seq > Seq::ZERO => {
                    return Err(Error::Pruned { oldest: log.oldest() });
                }
                Ok(log) if log.segments() != replay.log().segments() => {
                    *replay = Replay::from_state(&log, replay.state().clone());
                }
                _ => return Err(self.log_error(error)),
            }
        }
        replay.step().map_err(|error| self.log_error(error))
    }

    /// [`Files::reading`], with the history's place in the error.
    pub(crate) fn read<T>(&self, read: impl Fn(&Arc<Log>) -> Result<T, LogError>) -> Result<T, Error> {
        self.reading(read).map_err(|error| self.log_error(error))
    }

    /// A replay that gives the entries after a version.
    pub(crate) fn replay_from(&self, seq: Seq) -> Result<Replay, Error> {
        self.read(|log| self.state_at(log, seq).map(|state| Replay::from_state(log, (*state).clone())))
    }

    pub(crate) fn log(&self) -> Result<Arc<Log>, Error> {
        self.read(|log| Ok(Arc::clone(log)))
    }

    pub(crate) fn key(&self, kind: Kind, of: u64, part: u64) -> Key {
        Key { files: self.number, kind, of, part }
    }

    /// The sequence numbers of the checkpoints there are, ascending.
    pub(crate) fn checkpoints(&self) -> io::Result<Vec<Seq>> {
        self.storage.list().map(|names| checkpoints_among(&names))
    }

    /// The same as they were listed last, where that was for a version not before this; otherwise they are listed again. One
    /// that came since costs time to those who do not know it, and one that went is found out when it is opened.
    pub(crate) fn checkpoints_reaching(&self, seq: Seq, newest: Seq) -> Arc<Checkpoints> {
        if let Some(kept) = self.checkpoints.lock().as_ref().filter(|kept| kept.reaches >= seq) {
            return Arc::clone(kept);
        }
        let Ok(seqs) = self.checkpoints() else { return Arc::default() };
        let listed = Arc::new(Checkpoints { seqs, reaches: newest });
        *self.checkpoints.lock() = Some(Arc::clone(&listed));
        listed
    }

    /// Has the checkpoints listed again when they are asked for next: one was written, or removed, or is missing.
    pub(crate) fn forget_checkpoints(&self) {
        *self.checkpoints.lock() = None;
    }

    /// The place of a version that was asked for before.
    pub(crate) fn place_at_hand(&self, seq: Seq) -> Option<Arc<Place>> {
        cache::get(self.key(Kind::Place, seq.0, 0))
    }

    pub(crate) fn keep_place(&self, seq: Seq, place: &Arc<Place>) {
        cache::put(self.key(Kind::Place, seq.0, 0), place, size_of::<Place>());
    }

    /// Forgets all that was read of the files.
    pub(crate) fn forget_all(&self) {
        self.forget_index();
        self.forget_checkpoints();
        cache::forget(self.number);
    }

    /// The state that a checkpoint holds; `None` where it cannot be used, which costs time and nothing else.
    pub(crate) fn load_checkpoint(&self, log: &Log, seq: Seq) -> Option<State> {
        // A copy that was restored and went on may have another version of this number.
        self.load_checkpoint_where(log, seq, |chain| {
            !log.chain_at(seq).is_ok_and(|of_log| of_log.is_some_and(|of_log| of_log != chain))
        })
    }

    fn load_checkpoint_where(&self, log: &Log, seq: Seq, agrees: impl Fn(Chain) -> bool) -> Option<State> {
        let (checkpoint, chain) = self.open_where(log, seq, agrees)?;
        let aside = checkpoint.attachment().ok()?;
        State::from_aside(log.history(), seq, chain, checkpoint.to_flow().ok()?, &aside).ok()
    }

    /// A checkpoint of this history, with the chain that it states, where the log agrees.
    fn open_where(
        &self,
        log: &Log,
        seq: Seq,
        agrees: impl Fn(Chain) -> bool,
    ) -> Option<(Checkpoint<StoredFile>, Chain)> {
        let checkpoint = open_checkpoint(&self.storage, seq).ok()?;
        let header = checkpoint.header();
        if header.history != log.history().0 || header.sequence != seq.0 {
            return None;
        }
        let chain = Chain(header.chain);
        let believed =
            agrees(chain) || mistake::is_made("a checkpoint of another line of the history is believed");
        believed.then_some((checkpoint, chain))
    }

    /// The components of a version from a checkpoint before it: on two threads, one of which reads the entries between while
    /// the other reads the pages. `None` where the checkpoint cannot be used; an older one may do. Where the entries are what
    /// cannot be folded, none will.
    fn loose_from_checkpoint(&self, log: &Log, from: Seq, to: Seq) -> Result<Option<Loose>, LogError> {
        // Without the chain nothing later would notice that a checkpoint is of another line of the history.
        let agrees = |chain| self.agrees(from, chain, || log.chain_at(from).ok()?);
        let opened = self.open_where(log, from, agrees).and_then(|(checkpoint, _)| {
            let names = State::names_of_aside(&checkpoint.attachment().ok()?).ok()?;
            Some((checkpoint, names))
        });
        let Some((checkpoint, names)) = opened else { return Ok(None) };
        let turns = Turns::default();
        let header = checkpoint.header();
        let start = (from, header.next_slot, names, header.components);
        let loose = Loose::starting(log, start, to, |end| match end {
            End::First => checkpoint.components(&turns),
            End::Last => checkpoint.components_from_the_last(&turns),
        })?;
        Ok(loose.ok())
    }

    /// Has the system fetch what a checkpoint is opened with, where it is not kept.
    pub(crate) fn will_open_checkpoint(&self, seq: Seq) {
        if cache::get::<Checkpoint<StoredFile>>(self.key(Kind::Checkpoint, seq.0, 0)).is_none() {
            will_open(&stored(&self.storage, seq.0));
        }
    }

    /// A checkpoint of this history that agrees with the log, to be asked for single components.
    pub(crate) fn checkpoint_of(
        &self,
        index: &LogIndex,
        seq: Seq,
    ) -> Result<Arc<Checkpoint<StoredFile>>, CheckpointError> {
        let key = self.key(Kind::Checkpoint, seq.0, 0);
        if let Some(kept) = cache::get(key) {
            return Ok(kept);
        }
        let opened = Arc::new(open_checkpoint(&self.storage, seq)?);
        let header = opened.header();
        let chain = Chain(header.chain);
        if index.history().is_none_or(|history| header.history != history.0) || header.sequence != seq.0 {
            return Err(CheckpointError::NotACheckpoint);
        }
        if !self.agrees(seq, chain, || Some(index.place(seq).ok()??.0)) {
            return Err(CheckpointError::NotACheckpoint);
        }
        cache::put(key, &opened, 64 * opened.component_pages() as usize);
        Ok(opened)
    }

    /// Whether a checkpoint of this version is of the line of the history that the log tells. Looking takes a block of the log;
    /// what the log says of a version does not change.
    fn agrees(&self, seq: Seq, chain: Chain, of_log: impl FnOnce() -> Option<Chain>) -> bool {
        let agrees = (seq, chain);
        if self.agreeing.lock().contains(&agrees) {
            return true;
        }
        let is_of_log = of_log() == Some(chain);
        if is_of_log {
            self.agreeing.lock().insert(agrees);
        }
        is_of_log
    }

    /// Has the system fetch the page of a slot, where it is not kept.
    pub(crate) fn will_read_slot(&self, checkpoint: &Checkpoint<StoredFile>, slot: Slot) {
        if let Some(number) = checkpoint.page_of(slot)
            && cache::get::<Page>(self.page_key(checkpoint, number)).is_none()
        {
            checkpoint.will_read_page(number);
        }
    }

    fn page_key(&self, checkpoint: &Checkpoint<StoredFile>, number: u32) -> Key {
        self.key(Kind::Page, checkpoint.header().sequence, number.into())
    }

    /// The component in a slot at a checkpoint. Reads a page, where it is not kept.
    pub(crate) fn component_in(
        &self,
        checkpoint: &Checkpoint<StoredFile>,
        slot: Slot,
    ) -> Result<Option<Arc<Component>>, CheckpointError> {
        let Some(number) = checkpoint.page_of(slot) else { return Ok(None) };
        let key = self.page_key(checkpoint, number);
        let page: Arc<Page> = match cache::get(key) {
            Some(kept) => kept,
            None => {
                let page = Arc::new(checkpoint.page(number)?);
                cache::put(key, &page, page.bytes());
                page
            }
        };
        Ok(page.component_in(slot)?.map(Arc::new))
    }

    /// Forgets the indexes: a file that they speak of is not what it was.
    pub(crate) fn forget_index(&self) {
        *self.index.lock() = None;
        self.agreeing.lock().clear();
        self.forget_log();
    }

    /// The state at a version, where it is kept.
    pub(crate) fn state_at_hand(&self, seq: Seq) -> Option<Arc<State>> {
        self.kept(seq).filter(|state: &Arc<State>| state.seq == seq)
    }

    /// The indexes of the log, as far as this entry at least. Those of sealed segments are read when they are needed; that
    /// of a raw one is made anew when it has to reach further than it did.
    pub(crate) fn index_reaching(&self, seq: Seq) -> Result<Arc<LogIndex>, Error> {
        let mut held = self.index.lock();
        if let Some(index) = held.as_ref().filter(|index| index.last_seq() >= seq) {
            return Ok(Arc::clone(index));
        }
        let before = held.take();
        let made = self.read(|log| match &before {
            Some(before) => before.renewed(log),
            // What happened long ago is told without a walk along the raw segment.
            None => match LogIndex::of_sealed(log)? {
                sealed if sealed.last_seq() >= seq => Ok(sealed),
                sealed => sealed.renewed(log),
            },
        })?;
        let made = Arc::new(made);
        *held = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The indexes as they are held, if they reach so far.
    pub(crate) fn index_at_hand(&self, seq: Seq) -> Option<Arc<LogIndex>> {
        self.index.lock().as_ref().filter(|index| index.last_seq() >= seq).cloned()
    }

    /// Whether there is a sound checkpoint of this history at a version that the log does not reach.
    pub(crate) fn is_ahead(&self, log: &Log, seq: Seq) -> bool {
        self.load_checkpoint(log, seq).is_some() && log.chain_at(seq).is_ok_and(|chain| chain.is_none())
    }

    /// The state at a version, from the nearest state at or before it. A checkpoint that turns out not to fit the log is
    /// passed over for an older one.
    pub(crate) fn state_at(&self, log: &Log, seq: Seq) -> Result<Arc<State>, LogError> {
        if seq < log.oldest() {
            return Err(LogError::Pruned { oldest: log.oldest() });
        }
        let near: Option<Arc<State>> = self.kept(seq);
        if let Some(near) = near.as_ref().filter(|near| near.seq == seq) {
            return Ok(Arc::clone(near));
        }
        let _entered = telemetry::enter(Phase::Reconstruct);
        let mut checkpoints = self.checkpoints().unwrap_or_default();
        // One from before what was pruned may still be there, because later ones share its pages.
        checkpoints.retain(|other| *other <= seq && *other >= log.oldest());
        let mut failure = None;
        loop {
            let checkpoint = checkpoints.pop();
            let start = match (&near, checkpoint) {
                (Some(near), other) if failure.is_none() && other.is_none_or(|other| other <= near.seq) => {
                    Some(State::clone(near))
                }
                (_, Some(checkpoint)) => self.load_checkpoint(log, checkpoint),
                (_, None) => Some(log.start()?),
            };
            let Some(start) = start else { continue };
            match self.run(log, start, seq) {
                Ok(state) => return Ok(self.keep(state)),
                // Where the log itself is damaged, replaying all of it says so too.
                Err(error @ LogError::Damaged(_)) if checkpoint.is_some() => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
    }

    fn run(&self, log: &Log, start: State, seq: Seq) -> Result<State, LogError> {
        let mut replay = Replay::from_state(log, start);
        let result = replay.run_to(seq);
        self.count(&replay);
        result?;
        Ok(replay.into_state())
    }

    /// The flow of a version, for who wants nothing else of it. Entries are folded without the chain and without their
    /// headers; where anything is not as it should be, the long way says what is wrong.
    pub(crate) fn flow_at(&self, log: &Log, seq: Seq) -> Result<Flow, LogError> {
        let _entered = telemetry::enter(Phase::Reconstruct);
        match self.fold_to(log, seq) {
            Some(folded) => Ok(self.keep(folded).flow().clone()),
            None => self.state_at(log, seq).map(|state| state.flow.clone()),
        }
    }

    fn fold_to(&self, log: &Log, seq: Seq) -> Option<Folded> {
        if seq < log.oldest() {
            return None;
        }
        if let Some(loose) = self.loose_at_hand(seq) {
            return Loose::clone(&loose).into_folded().ok();
        }
        let near_state: Option<Arc<State>> = self.kept(seq);
        let near_flow: Option<Arc<Folded>> = self.kept(seq);
        let newest =
            near_state.as_ref().map(|state| state.seq).max(near_flow.as_ref().map(|flow| flow.seq()));
        for from in self.checkpoints_nearer(seq, newest)?.into_iter().rev() {
            let loose = self.loose_from_checkpoint(log, from, seq).ok()?;
            if let Some(folded) = loose.and_then(|loose| loose.into_folded().ok()) {
                self.entries_read.fetch_add(folded.entries_folded(), Ordering::Relaxed);
                return Some(folded);
            }
        }
        let mut folded = match (near_flow, near_state) {
            (Some(flow), _) if Some(flow.seq()) == newest => Folded::clone(&flow),
            (_, Some(state)) => Folded::from(&*state),
            _ => Folded::from(&log.start().ok()?),
        };
        let mut before = folded.entries_folded();
        let many = seq.0 - folded.seq().0 >= MANY_ENTRIES;
        // Of an empty flow there is nothing to take apart, and the first entry after it may add all there is.
        if many || folded.flow().is_empty() {
            let mut loose = Loose::of(&folded);
            drop(folded);
            if many {
                loose.run_on_both(log, seq).ok()?;
            } else {
                loose.run_to(log, seq).ok()?;
            }
            (folded, before) = (loose.into_folded().ok()?, 0);
        } else {
            folded.run_to(log, seq).ok()?;
        }
        self.entries_read.fetch_add(folded.entries_folded().saturating_sub(before), Ordering::Relaxed);
        Some(folded)
    }

    /// What changed from one version to another, told by their components, of which no flows are made. `None` where these do
    /// not tell all of it, or where no checkpoint is nearer than a flow that is kept: then the flows say it.
    pub(crate) fn difference_of_loose(&self, log: &Log, before: Seq, after: Seq) -> Option<Difference> {
        let _entered = telemetry::enter(Phase::Reconstruct);
        let older = self.loose_at(log, before.min(after), None)?;
        let newer = self.loose_at(log, before.max(after), Some(&older))?;
        if before <= after { older.difference(&newer) } else { newer.difference(&older) }
    }

    /// The checkpoints not later than a version that are nearer to it than what is kept of one before, oldest first.
    fn checkpoints_nearer(&self, seq: Seq, kept: Option<Seq>) -> Option<Vec<Seq>> {
        let mut checkpoints = if kept == Some(seq) { Vec::new() } else { self.checkpoints().ok()? };
        checkpoints.retain(|other| *other <= seq && kept.is_none_or(|kept| *other > kept));
        Some(checkpoints)
    }

    fn loose_at_hand(&self, seq: Seq) -> Option<Arc<Loose>> {
        cache::get(self.key(Kind::Loose, seq.0, 0))
    }

    /// The components of a version, given those of an earlier one, which are gone on from where no checkpoint lies between.
    fn loose_at(&self, log: &Log, seq: Seq, earlier: Option<&Arc<Loose>>) -> Option<Arc<Loose>> {
        if seq < log.oldest() {
            return None;
        }
        if let Some(kept) = self.loose_at_hand(seq) {
            return Some(kept);
        }
        let near_flow: Option<Arc<Folded>> = self.kept(seq);
        let near_state: Option<Arc<State>> = self.kept(seq);
        let newest = near_flow.map(|flow| flow.seq()).max(near_state.map(|state| state.seq));
        let checkpoints = self.checkpoints_nearer(seq, newest)?;
        let go_on = |earlier: &Arc<Loose>| {
            let mut loose = Loose::clone(earlier);
            loose.run_on_both(log, seq).ok()?;
            Some(loose)
        };
        let earlier = earlier.filter(|earlier| checkpoints.last().is_none_or(|from| *from <= earlier.seq()));
        let loose = match earlier {
            Some(earlier) => go_on(earlier)?,
            None => {
                let usable = |from| self.loose_from_checkpoint(log, from, seq).transpose();
                checkpoints.into_iter().rev().find_map(usable)?.ok()?
            }
        };
        let before = earlier.map_or(0, |earlier| earlier.entries_read());
        self.entries_read.fetch_add(loose.entries_read().saturating_sub(before), Ordering::Relaxed);
        let loose = Arc::new(loose);
        let bytes = loose.components().len() * COMPONENT_BYTES;
        cache::put(self.key(Kind::Loose, seq.0, 0), &loose, bytes);
        Some(loose)
    }

    /// What is kept of the newest version not later than this.
    fn kept<T: OfVersion>(&self, seq: Seq) -> Option<Arc<T>> {
        let given = T::given(self).lock();
        let near = given.iter().filter(|(of, _)| *of <= seq).max_by_key(|(of, _)| *of)?;
        let kept: Arc<T> = cache::get(self.key(T::KIND, near.1 % VERSIONS_KEPT, 0))?;
        (kept.seq() == near.0).then_some(kept)
    }

    /// Keeps something of a version for the next question, which is often about a version near the last one.
    fn keep<T: OfVersion>(&self, found: T) -> Arc<T> {
        let (seq, found) = (found.seq(), Arc::new(found));
        let mut given = T::given(self).lock();
        let number = given.last().map_or(0, |(_, number)| number + 1);
        given.retain(|(of, other)| *of != seq && other + VERSIONS_KEPT > number);
        given.push((seq, number));
        let bytes = found.flow().len() * COMPONENT_BYTES;
        cache::put(self.key(T::KIND, number % VERSIONS_KEPT, 0), &found, bytes);
        found
    }

    /// Whether nothing was written behind the end of a log since.
    pub(crate) fn ends_at(&self, log: &Arc<Log>, ending: &Ending) -> bool {
        if !self.open_log().is_ok_and(|now| Arc::ptr_eq(&now, log)) {
            return false;
        }
        let Some(last) = log.segments().last() else { return false };
        // Behind what is sealed nothing is ever written.
        if last.sealed.is_some() {
            return true;
        }
        // A frame begins with its magic. Where none is, none was written since.
        let mut begin = [0; 4];
        let read = read_up_to(&*self.storage, &last.file().to_string(), ending.offset, &mut begin);
        read.is_ok_and(|_| begin == [0; 4])
    }

    /// The state at the end of the log, from one before it.
    pub(crate) fn state_at_end_from(&self, log: &Log, start: State) -> Result<(State, Ending), LogError> {
        let mut replay = Replay::from_state(log, start);
        let result = replay.run_to(Seq(u64::MAX));
        self.count(&replay);
        result?;
        match replay.ending() {
            Some(ending) => Ok((replay.into_state(), ending)),
            None => self.state_at_end(log),
        }
    }

    /// The state at the end of the log, and how the log ends. A checkpoint ahead of the log means that the log lost
    /// entries.
    pub(crate) fn state_at_end(&self, log: &Log) -> Result<(State, flow_history_replay::Ending), LogError> {
        let mut checkpoints = self.checkpoints().unwrap_or_default();
        checkpoints.retain(|other| *other >= log.oldest());
        loop {
            let checkpoint = checkpoints.pop();
            let start = match checkpoint {
                // Whether the log agrees shows where its frames are walked in any case.
                Some(checkpoint) => self.load_checkpoint_where(log, checkpoint, |_| true),
                None => Some(log.start()?),
            };
            let Some(start) = start else { continue };
            let mut replay = Replay::from_state(log, start);
            let result = replay.run_to(Seq(u64::MAX));
            self.count(&replay);
            match result {
                Ok(()) => {
                    let Some(ending) = replay.ending() else { continue };
                    // After the last entry no frame follows whose chain would tell.
                    if checkpoint.is_some() && ending.chain != replay.state().chain {
                        continue;
                    }
                    return Ok((replay.into_state(), ending));
                }
                // The file is whole and of this history, and the log does not reach it.
                Err(LogError::Damaged(damage))
                    if damage.what == What::LogIsShorter
                        && !mistake::is_made("a checkpoint that is ahead of the log is passed over") =>
                {
                    return Err(LogError::Damaged(damage));
                }
                Err(LogError::Damaged(_)) if checkpoint.is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
