//! Reading a history's files: the state at any version.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flow_history_checkpoint::{Checkpoint, CheckpointError, ReadAt};
use flow_history_replay::{FileName, Log, LogError, Replay, Seq, Source, State, What, read_up_to};
use parking_lot::Mutex;

use crate::Error;
use crate::storage::Storage;
use crate::telemetry::{self, Phase};

/// How many states are kept for the next question, which is often about a version near the last one.
const STATES_KEPT: usize = 3;

/// The files of one history, to read.
pub(crate) struct Files {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) place: PathBuf,
    states: Mutex<VecDeque<Arc<State>>>,
    entries_read: std::sync::atomic::AtomicU64,
}

/// A file of the storage as the checkpoint crate reads it.
struct StoredFile {
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
}

/// Opens a checkpoint, with the earlier ones that it shares pages with.
pub(crate) fn open_checkpoint(
    storage: &Arc<dyn Storage>,
    seq: Seq,
) -> Result<Checkpoint<impl ReadAt>, CheckpointError> {
    let stored = |sequence| {
        let file = FileName::Checkpoint(sequence).to_string();
        StoredFile { storage: Arc::clone(storage), file }
    };
    Checkpoint::open_with(stored(seq.0), |earlier| Some(stored(earlier)))
}

impl Files {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        let place = storage.place();
        Self { storage, place, states: Mutex::default(), entries_read: std::sync::atomic::AtomicU64::new(0) }
    }

    /// How many entries were decoded so far to answer questions.
    pub(crate) fn entries_read(&self) -> u64 {
        self.entries_read.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn count(&self, replay: &Replay) {
        self.entries_read.fetch_add(replay.entries_decoded(), std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn log_error(&self, error: LogError) -> Error {
        Error::of_log(&self.place, error)
    }

    pub(crate) fn open_log(&self) -> Result<Log, LogError> {
        let source: Arc<dyn Source> = self.storage.clone();
        Log::open(source)
    }

    pub(crate) fn log(&self) -> Result<Log, Error> {
        self.open_log().map_err(|error| self.log_error(error))
    }

    /// The sequence numbers of the checkpoints there are, ascending.
    pub(crate) fn checkpoints(&self) -> io::Result<Vec<Seq>> {
        let names = self.storage.list()?;
        let mut seqs: Vec<Seq> = names
            .iter()
            .filter_map(|name| match FileName::parse(name) {
                Some(FileName::Checkpoint(seq)) => Some(Seq(seq)),
                _ => None,
            })
            .collect();
        seqs.sort_unstable();
        Ok(seqs)
    }

    /// The state that a checkpoint holds; `None` where it cannot be used, which costs time and nothing else.
    pub(crate) fn load_checkpoint(&self, log: &Log, seq: Seq) -> Option<State> {
        let checkpoint = open_checkpoint(&self.storage, seq).ok()?;
        let header = checkpoint.header();
        if header.history != log.history().0 || header.sequence != seq.0 {
            return None;
        }
        let chain = flow_history_replay::Chain(header.chain);
        // A copy that was restored and went on may have another version of this number.
        if log.chain_at(seq).is_ok_and(|of_log| of_log.is_some_and(|of_log| of_log != chain)) {
            return None;
        }
        let aside = checkpoint.attachment().ok()?;
        State::from_aside(log.history(), seq, chain, checkpoint.to_flow().ok()?, &aside).ok()
    }

    /// Whether there is a sound checkpoint of this history at a version that the log does not reach.
    pub(crate) fn is_ahead(&self, log: &Log, seq: Seq) -> bool {
        self.load_checkpoint(log, seq).is_some() && log.chain_at(seq).is_ok_and(|chain| chain.is_none())
    }

    /// The state at a version, from the nearest state at or before it. A checkpoint that turns out not to fit the log is
    /// passed over for an older one.
    pub(crate) fn state_at(&self, log: &Log, seq: Seq) -> Result<Arc<State>, LogError> {
        let near =
            self.states.lock().iter().filter(|state| state.seq <= seq).max_by_key(|state| state.seq).cloned();
        if let Some(near) = near.as_ref().filter(|near| near.seq == seq) {
            return Ok(Arc::clone(near));
        }
        let _entered = telemetry::enter(Phase::Reconstruct);
        let mut checkpoints = self.checkpoints().unwrap_or_default();
        checkpoints.retain(|other| *other <= seq);
        let mut failure = None;
        loop {
            let checkpoint = checkpoints.pop();
            let start = match (&near, checkpoint) {
                (Some(near), other) if failure.is_none() && other.is_none_or(|other| other <= near.seq) => {
                    Some(State::clone(near))
                }
                (_, Some(checkpoint)) => self.load_checkpoint(log, checkpoint),
                (_, None) => Some(State::start(log.history())),
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

    fn keep(&self, state: State) -> Arc<State> {
        let state = Arc::new(state);
        let mut states = self.states.lock();
        states.retain(|other| other.seq != state.seq);
        states.push_back(Arc::clone(&state));
        while states.len() > STATES_KEPT {
            states.pop_front();
        }
        state
    }

    /// The state at the end of the log, and how the log ends. A checkpoint ahead of the log means that the log lost
    /// entries.
    pub(crate) fn state_at_end(&self, log: &Log) -> Result<(State, flow_history_replay::Ending), LogError> {
        let mut checkpoints = self.checkpoints().unwrap_or_default();
        loop {
            let checkpoint = checkpoints.pop();
            let start = match checkpoint {
                Some(checkpoint) => self.load_checkpoint(log, checkpoint),
                None => Some(State::start(log.history())),
            };
            let Some(start) = start else { continue };
            let mut replay = Replay::from_state(log, start);
            let result = replay.run_to(Seq(u64::MAX));
            self.count(&replay);
            match result {
                Ok(()) => {
                    let Some(ending) = replay.ending() else { continue };
                    return Ok((replay.into_state(), ending));
                }
                // The file is whole and of this history, and the log does not reach it.
                Err(LogError::Damaged(damage)) if damage.what == What::LogIsShorter => {
                    return Err(LogError::Damaged(damage));
                }
                Err(LogError::Damaged(_)) if checkpoint.is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
