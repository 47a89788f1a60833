//! Production goes on where a history is damaged: a successor, in a directory of its own, that begins with the newest state
//! that can be trusted and says where the rest is.
//!
//! ```text
//! damaged: read, never touched -> newest state that can be trusted
//! new: base of that state -> an empty segment -> the identity -> a mark that names the predecessor
//! ```
//!
//! Until the identity is there the new directory holds no history.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flow_history_flow::{ComponentId, Slot};
use flow_history_replay::{
    Body, Chain, FileName, FlowVersionId, Header, HistoryId, Identity, Intent, Log, Mark, Replay,
    SegmentHeader, SegmentReason, Seq, Source, State, Whole,
};

use crate::active_segment::{SEGMENT_BYTES_MIN, fill_new};
use crate::files::Files;
use crate::options::Options;
use crate::prune::write_base;
use crate::storage::{Failed, Storage, replace_file, write_all};
use crate::vault::copy_secrets;
use crate::view::View;
use crate::writer::Draft;
use crate::{Author, Error, FileStorage, History};

/// The number of a successor's first segment: what lies before it is what the base says.
const FIRST_SEGMENT: u64 = 2;

impl History {
    /// Begins a history in a new directory that goes on where a damaged one can be trusted no further, and opens it to
    /// write. See [`Options::succeed`].
    ///
    /// # Errors
    /// As [`Options::succeed`].
    pub fn succeed(new_dir: impl AsRef<Path>, damaged_dir: impl AsRef<Path>) -> Result<Self, Error> {
        Options::new().succeed(new_dir, damaged_dir)
    }
}

impl Options {
    /// Begins a history in a new directory that goes on where a damaged one can be trusted no further, and opens it to
    /// write. Its first entries say that it did, and name the predecessor and the hash chain of the newest version that
    /// can be trusted; that version keeps its ID, and so does every one before, all of which are read from the predecessor
    /// where its files are sound. IDs of versions behind the damage are foreign to it.
    ///
    /// The newest version that can be trusted is the one that the log leads to from its beginning or from a checkpoint,
    /// with every check. Of the damaged directory nothing is changed, not even its lock.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] where the new directory holds something; [`Error::NotAHistory`] where nothing of the damaged
    /// one can be trusted; [`Error::Full`] and [`Error::Io`]. What a failed call leaves is no history.
    pub fn succeed(self, new_dir: impl AsRef<Path>, damaged_dir: impl AsRef<Path>) -> Result<History, Error> {
        let damaged = damaged_dir.as_ref();
        // Wherever the process is by the time the predecessor is asked.
        let damaged = std::path::absolute(damaged).unwrap_or_else(|_| damaged.to_owned());
        let new: Arc<dyn Storage> = Arc::new(self.file_storage(new_dir.as_ref()));
        self.succeed_storage(new, Arc::new(FileStorage::read_only(damaged)))
    }

    /// As [`Options::succeed`], in any storage.
    ///
    /// # Errors
    /// As [`Options::succeed`].
    pub fn succeed_storage(
        mut self,
        new: Arc<dyn Storage>,
        damaged: Arc<dyn Storage>,
    ) -> Result<History, Error> {
        match new.list() {
            Ok(names) if !names.is_empty() => return Err(Error::NotEmpty { dir: new.place() }),
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("list", new.place(), 0, source));
            }
            _ => {}
        }
        let predecessor = Predecessor::open(damaged)?;
        let (state, removed) = predecessor.newest_trusted()?;
        let (history, version, chain) = (predecessor.history(), state.seq, state.chain);
        let place = predecessor.files.place.display().to_string();
        self.begin(&new, state, (&removed, &predecessor.files))?;

        self.predecessor = Some(Arc::clone(&predecessor.files.storage));
        let clock = Arc::clone(&self.clock);
        let opened = self.open_storage(new)?;
        let mark = Mark::Succeeded { predecessor: history, place: place.into(), version, chain };
        let header = Header::new(Arc::new(Author::system("flow-history")), Intent::Mark, clock.now());
        let draft = Draft::of(header, Body::Mark(mark));
        opened.writer()?.append(draft)?;
        opened.flush()?;
        Ok(opened)
    }

    /// Makes a history of no entries that begins with a state.
    fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        mut state: State,
        (removed, damaged): (&BTreeMap<Slot, ComponentId>, &Files),
    ) -> Result<(), Error> {
        let place = storage.place();
        let failed = |failed| Error::of_storage(&place, failed);
        storage
            .create_directory()
            .map_err(|source| Error::io("create the directory", place.clone(), 0, source))?;
        let history = HistoryId(self.clock.random());
        state.history = history;
        let number = FIRST_SEGMENT;
        write_base(&Files::new(Arc::clone(storage)), (&state, removed), number, self.clock.random())?;
        let header = SegmentHeader {
            history,
            number,
            reason: SegmentReason::Recovered,
            first_seq: state.seq.next().unwrap_or(state.seq),
            chain: state.chain,
            salt: self.clock.random(),
            log_time: state.log_time,
        };
        let (pool, segment) = (FileName::PoolSegment(1), FileName::RawSegment(number).to_string());
        fill_new(&**storage, pool, SEGMENT_BYTES_MIN).map_err(failed)?;
        let pool = pool.to_string();
        write_all(&**storage, &pool, 0, &header.encode())
            .map_err(Failed::write("write", &pool, 0))
            .map_err(failed)?;
        // Whatever becomes of the damaged directory, the secrets that the flow names go on being readable.
        copy_secrets(damaged, &**storage, FileName::Secret).map_err(|error| match error {
            Ok(read) => damaged.log_error(read),
            Err(write) => failed(write),
        })?;
        // ORDER: base, segment, its name, then the identity: while there is no identity there is no history.
        storage.sync(&pool).map_err(Failed::sync(&pool)).map_err(failed)?;
        storage.rename(&pool, &segment).map_err(Failed::write("rename", &pool, 0)).map_err(failed)?;
        storage.sync_directory().map_err(Failed::sync("")).map_err(failed)?;
        let identity = Identity {
            history,
            first_segment: number,
            last_segment: number,
            created: self.clock.now().millis,
            reaches: state.seq,
        };
        replace_file(&**storage, &FileName::Identity.to_string(), &identity.encode()).map_err(failed)
    }
}

/// A history that is damaged, to read what is sound of it.
pub(crate) struct Predecessor {
    files: Files,
    /// Segments that continue one another, oldest first.
    runs: Vec<Log>,
    /// The one that it succeeded itself, where its log begins with that.
    earlier: Option<Box<Predecessor>>,
}

impl Predecessor {
    fn open(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        let files = Files::new(Arc::clone(&storage));
        let source: Arc<dyn Source> = storage;
        let runs = Log::salvage(&source).map_err(|error| files.log_error(error))?;
        let earlier = match runs.first().and_then(named_by) {
            // What that one succeeded may be gone; then its versions are too.
            Some(named) => Self::named(named).ok().map(Box::new),
            None => None,
        };
        Ok(Self { files, runs, earlier })
    }

    fn named(named: Named) -> Result<Self, Error> {
        Self::open_named(Arc::new(FileStorage::read_only(&*named.place)), &named)
    }

    /// Opens the one that a mark names.
    fn open_named(storage: Arc<dyn Storage>, named: &Named) -> Result<Self, Error> {
        let opened = Self::open(storage)?;
        if opened.history() != named.history {
            let dir = opened.files.place.clone();
            return Err(Error::NotAHistory { dir, found: "another history than the predecessor" });
        }
        Ok(opened)
    }

    fn history(&self) -> HistoryId {
        self.runs.first().map_or(HistoryId([0; 16]), Log::history)
    }

    /// The newest state that the log leads to with every check, from its beginning or from a checkpoint.
    fn newest_trusted(&self) -> Result<Whole, Error> {
        let failed = |error| self.files.log_error(error);
        let mut best: Option<Whole> = None;
        let mut failure = None;
        if let Some(first) = self.runs.first().filter(|first| first.has_start()) {
            match first.whole_start() {
                Ok((start, removed)) => {
                    let (reached, why) = first.fold_sound(start, removed).map_err(failed)?;
                    (best, failure) = (Some(reached), why);
                }
                Err(error) => failure = Some(error),
            }
        }
        let checkpoints = self.files.checkpoints().unwrap_or_default();
        for seq in checkpoints.into_iter().rev() {
            if best.as_ref().is_some_and(|(state, _)| state.seq >= seq) {
                break;
            }
            let Some(run) = self.run_of(seq) else { break };
            let Some(state) = self.files.load_checkpoint(run, seq) else { continue };
            let removed = best.as_ref().map(|(_, removed)| removed.clone()).unwrap_or_default();
            let (reached, _) = run.fold_sound(state, removed).map_err(failed)?;
            best = Some(reached);
            break;
        }
        match (best, failure) {
            (Some(best), _) => Ok(best),
            (None, Some(error)) => Err(failed(error)),
            (None, None) => {
                let dir = self.files.place.clone();
                Err(Error::NotAHistory { dir, found: "a log whose beginning is missing" })
            }
        }
    }

    /// The run that a version's entry is in, or would be.
    fn run_of(&self, seq: Seq) -> Option<&Log> {
        self.runs.iter().rev().find(|run| run.begins_after() <= seq)
    }

    fn chain_at(&self, seq: Seq) -> Result<Option<Chain>, Error> {
        match self.run_of(seq) {
            Some(run) if seq >= run.oldest() => {
                run.chain_at(seq).map_err(|error| self.files.log_error(error))
            }
            _ => self.earlier.as_ref().map_or(Ok(None), |earlier| earlier.chain_at(seq)),
        }
    }

    /// The ID of a version; `None` where it is not there, or was pruned.
    pub(crate) fn id_at(&self, seq: Seq) -> Result<Option<FlowVersionId>, Error> {
        Ok(self.chain_at(seq)?.map(|chain| FlowVersionId::new(seq, &chain)))
    }

    /// The newest version that is not later than this, in milliseconds since 1970; version 0 where there is none.
    pub(crate) fn seq_at_time(&self, millis: i64) -> Result<Seq, Error> {
        for run in self.runs.iter().rev() {
            let seq = run.seq_at_time(millis).map_err(|error| self.files.log_error(error))?;
            if seq > run.begins_after() {
                return Ok(seq);
            }
        }
        self.earlier.as_ref().map_or(Ok(Seq::ZERO), |earlier| earlier.seq_at_time(millis))
    }

    /// The flow at a version.
    pub(crate) fn view(&self, id: FlowVersionId) -> Result<View, Error> {
        match (self.run_of(id.seq()), &self.earlier) {
            (Some(run), _) if id.seq() >= run.oldest() => {
                let state =
                    self.files.state_at(run, id.seq()).map_err(|error| self.files.log_error(error))?;
                Ok(View::of(&state))
            }
            (_, Some(earlier)) => earlier.view(id),
            (_, None) => Err(Error::Foreign { id }),
        }
    }
}

/// What a mark says of the predecessor.
#[derive(Clone)]
pub(crate) struct Named {
    history: HistoryId,
    place: Arc<str>,
}

/// The predecessor that the first entries of a log name.
fn named_by(log: &Log) -> Option<Named> {
    log.base()?;
    let mut replay = Replay::from_the_start(log);
    // The mark that says that the history was opened, and the one that says what it succeeds.
    (0..2).find_map(|_| match replay.next_entry().ok()??.body {
        Body::Mark(Mark::Succeeded { predecessor, place, .. }) => Some(Named { history: predecessor, place }),
        _ => None,
    })
}

/// The predecessor of a history; `None` where it has none, or has pruned the mark that names it.
pub(crate) fn predecessor_of(
    files: &Files,
    given: Option<&Arc<dyn Storage>>,
) -> Result<Option<Predecessor>, Error> {
    let Some(named) = named_by(&*files.log()?) else { return Ok(None) };
    match given {
        Some(storage) => Predecessor::open_named(Arc::clone(storage), &named).map(Some),
        None => Predecessor::named(named).map(Some),
    }
}
