//! Creating a history, and opening one that is there.

use std::io;
use std::sync::Arc;

use flow_history_flow::mistake;
use flow_history_replay::{
    Chain, Ending, FileName, HistoryId, Identity, Log, LogError, SEGMENT_HEADER_BYTES, SegmentHeader,
    SegmentReason, SegmentSummary, Seq, State, Tail, What, both,
};

use crate::active_segment::{ActiveSegment, fill_new};
use crate::catalog::Watermark;
use crate::files::{Files, checkpoints_among};
use crate::storage::{Failed, LockError, Storage, replace_file, write_all};
use crate::tuning::Tuning;
use crate::writer::Start;
use crate::{Clock, Error};

/// Opens a history to write: creates it where nothing is, takes the lock, and finds where the log goes on.
pub(crate) fn open_to_write(
    files: &Files,
    clock: &Arc<dyn Clock>,
    tuning: &Tuning,
    may_create: bool,
) -> Result<Start, Error> {
    let storage = &files.storage;
    let (found, _) = look(files)?;
    if matches!(found, Found::Nothing | Found::Unfinished) && !may_create {
        return Err(Error::NotAHistory { dir: files.place.clone(), found: "nothing" });
    }
    let broken = |failed| Error::of_storage(&files.place, failed);
    if matches!(found, Found::Nothing | Found::Unfinished) {
        storage
            .create_directory()
            .map_err(|source| Error::io("create the directory", files.place.clone(), 0, source))?;
    }
    let lock = storage.lock().map_err(|error| match error {
        LockError::Held { holder } => Error::Locked { dir: files.place.clone(), holder },
        LockError::Io(source) => Error::io("lock", files.place.join(FileName::Lock.to_string()), 0, source),
    })?;
    // Somebody may have created it, or gone on, between the look and the lock.
    let (found, names) = look(files)?;
    if matches!(found, Found::Nothing | Found::Unfinished) {
        create(storage, clock, tuning).map_err(broken)?;
    }
    let leftovers = remove_leftovers(storage, &names);

    let (log, watermark) = log_and_watermark(files, &names);
    let log = log?;
    let last = log.segments().last().map(|segment| segment.header.clone());
    // ORDER: a name that a process that was killed had given, but not synced, is made durable before anything is built on
    // it; so is what it had written.
    storage.sync_directory().map_err(Failed::sync("")).map_err(broken)?;
    if let Some(last) = &last {
        // ORDER: what a process that was killed had written but not synced is made durable before it is believed.
        let file = log.segments().last().map_or(FileName::RawSegment(last.number), SegmentSummary::file);
        let file = file.to_string();
        if !mistake::is_made("what a killed process wrote is believed without a sync") {
            storage.sync(&file).map_err(Failed::sync(&file)).map_err(broken)?;
        }
    }
    let (state, ending) = files.state_at_end(&log).map_err(|error| files.log_error(error))?;
    if let Some(seq) = watermark.of(state.history.0)
        && seq > state.seq
    {
        let file = FileName::Catalog.to_string();
        return Err(files.log_error(LogError::damaged(&file, 0, Some(seq), What::LogIsShorter)));
    }

    let checkpoint = checkpoints_among(&names).pop().unwrap_or_default();
    let checkpoint_bytes = storage.len(&FileName::Checkpoint(checkpoint.0).to_string()).unwrap_or_default();
    let bytes_before = log.segments().iter().rev().skip(1).map(|segment| segment.bytes).sum();
    let next_pool = leftovers.iter().map(|(_, number)| number + 1).max().unwrap_or(1);
    let active = |next_number, bytes_before| {
        ActiveSegment::after(
            Arc::clone(storage),
            Arc::clone(clock),
            tuning.clone(),
            log.identity().clone(),
            (next_number, next_pool),
            bytes_before,
        )
    };
    for leftover in log.leftovers() {
        // A crash in the middle of sealing left both. The log chose by header and footer; before the other goes, all of
        // the one that stays is checked. What lies before the log begins was pruned.
        let covering = match leftover {
            FileName::RawSegment(number) => log
                .segments()
                .iter()
                .find(|segment| (segment.first_number()..=segment.header.number).contains(number)),
            _ => None,
        };
        let sound =
            covering.and_then(|segment| segment.sealed.as_ref()).is_none_or(|sealed| sealed.verify().is_ok());
        if sound {
            let _ = storage.remove(&leftover.to_string());
        }
    }
    for name in &names {
        // A crash in the middle of pruning left a base that nothing names, or not any more.
        if matches!(FileName::parse(name), Some(FileName::Base(number)) if number != log.identity().first_segment)
        {
            let _ = storage.remove(name);
        }
    }
    let next_number = ending.segment + 1;
    let is_sealed = log.segments().last().is_some_and(|segment| segment.sealed.is_some());
    let (segment, reason, needs_opened) = match (ending.tail, last) {
        // What is sealed is never written again.
        (Tail::Closed, Some(_)) if is_sealed => {
            let bytes = log.segments().last().map_or(0, |segment| segment.bytes);
            (active(next_number, bytes_before + bytes), SegmentReason::Full, false)
        }
        (Tail::Closed, Some(header)) => {
            let bytes = log.segments().last().map_or(0, |segment| segment.bytes);
            (
                active(next_number, bytes_before).resume(header, ending.offset, bytes),
                SegmentReason::Full,
                false,
            )
        }
        // A history without an entry has no version that could be lost.
        (Tail::Open, Some(header)) if ending.seq == Seq::ZERO && header.number == 1 => {
            let bytes = log.segments().last().map_or(0, |segment| segment.bytes);
            (
                active(next_number, bytes_before).resume(header, ending.offset, bytes),
                SegmentReason::Full,
                false,
            )
        }
        // Nothing is cut: what was torn stays where it is, and the next entry begins a segment that says where this one
        // ends.
        _ => (active(next_number, bytes_before + ending.offset), SegmentReason::Recovered, true),
    };
    let last_checkpoint = (checkpoint, checkpoint_bytes);
    let leftovers = leftovers.into_iter().map(|(name, _)| name).collect();
    Ok(Start { state, segment, reason, needs_opened, last_checkpoint, leftovers, lock })
}

/// No writer gives as many numbers to files that it prepares.
const POOL_NUMBERS: u64 = 1 << 48;

enum Found {
    /// No directory, or an empty one.
    Nothing,
    /// What a crash in the middle of creating a history leaves.
    Unfinished,
    History,
}

/// What is there, and the names of its files.
fn look(files: &Files) -> Result<(Found, Vec<String>), Error> {
    let not_a_history = |found| Error::NotAHistory { dir: files.place.clone(), found };
    let names = match files.storage.list() {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Found::Nothing, Vec::new())),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(not_a_history("a file")),
        Err(source) => return Err(Error::io("list", files.place.clone(), 0, source)),
    };
    let found = of_names(files, &names).map_err(not_a_history)?;
    Ok((found, names))
}

/// What a directory of these names is, or what else is in it.
fn of_names(files: &Files, names: &[String]) -> Result<Found, &'static str> {
    let ours: Vec<Option<FileName>> = names.iter().map(|name| FileName::parse(name)).collect();
    if ours.iter().any(|name| matches!(name, Some(FileName::Identity))) {
        return Ok(Found::History);
    }
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    let foreign = ours.iter().any(Option::is_none);
    let leftover = |name: &Option<FileName>| match name {
        Some(FileName::Lock | FileName::PoolSegment(_) | FileName::Temporary) => true,
        // The first segment is there before the identity is; it holds nothing until the identity is durable.
        Some(FileName::RawSegment(1)) => is_unused_segment(&*files.storage),
        _ => false,
    };
    if foreign && !ours.iter().any(|name| matches!(name, Some(FileName::RawSegment(_)))) {
        return Err("a directory with other files in it");
    }
    if !foreign && ours.iter().all(leftover) {
        return Ok(Found::Unfinished);
    }
    // Segments without an identity: reading the log says what is wrong.
    Ok(Found::History)
}

/// The log, and what the catalog was brought up to. Each takes about as long where the log is long: where there is a
/// catalog they are read at the same time.
fn log_and_watermark(files: &Files, names: &[String]) -> (Result<Arc<Log>, Error>, Watermark) {
    if !names.contains(&FileName::Catalog.to_string()) {
        return (files.log(), Watermark::default());
    }
    let (log, watermark) = both(|| Watermark::read(&files.storage), || files.log());
    (log, watermark.unwrap_or_else(|| Watermark::read(&files.storage)))
}

fn is_unused_segment(storage: &dyn Storage) -> bool {
    let file = FileName::RawSegment(1).to_string();
    let mut at = SEGMENT_HEADER_BYTES as u64;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match storage.read_at(&file, at, &mut buffer) {
            Ok(0) => return true,
            Ok(count) if buffer.iter().take(count).all(|byte| *byte == 0) => at += count as u64,
            _ => return false,
        }
    }
}

/// Makes a history of no entries.
fn create(storage: &Arc<dyn Storage>, clock: &Arc<dyn Clock>, tuning: &Tuning) -> Result<(), Failed> {
    let history = HistoryId(clock.random());
    let header = SegmentHeader {
        history,
        number: 1,
        reason: SegmentReason::First,
        first_seq: Seq(1),
        chain: Chain::start(history),
        salt: clock.random(),
        log_time: 0,
    };
    let pool = FileName::PoolSegment(1);
    fill_new(&**storage, pool, tuning.segment_bytes_first.max(crate::active_segment::SEGMENT_BYTES_MIN))?;
    let (pool, segment) = (pool.to_string(), FileName::RawSegment(1).to_string());
    write_all(&**storage, &pool, 0, &header.encode()).map_err(Failed::write("write", &pool, 0))?;
    // ORDER: segment, its name, then the identity: while there is no identity there is no history, and nothing that
    // could be lost.
    storage.sync(&pool).map_err(Failed::sync(&pool))?;
    storage.rename(&pool, &segment).map_err(Failed::write("rename", &pool, 0))?;
    if !mistake::is_made("an identity speaks of a segment whose name is not synced") {
        storage.sync_directory().map_err(Failed::sync(""))?;
    }
    let identity = Identity {
        history,
        first_segment: 1,
        last_segment: 1,
        created: clock.now().millis,
        reaches: Seq::ZERO,
    };
    replace_file(&**storage, &FileName::Identity.to_string(), &identity.encode())
}

/// Removes what an earlier writer left half made under names that mean nothing. Files of zeros that were to become segments
/// are large, and left for later: their names and numbers.
fn remove_leftovers(storage: &Arc<dyn Storage>, names: &[String]) -> Vec<(String, u64)> {
    let mut large = Vec::new();
    for name in names {
        match FileName::parse(name) {
            Some(FileName::PoolSegment(number)) if number < POOL_NUMBERS => {
                large.push((name.clone(), number));
            }
            Some(FileName::PoolSegment(_) | FileName::Temporary) => {
                // Left again, it is in nobody's way.
                let _ = storage.remove(name);
            }
            _ => {}
        }
    }
    large
}

/// The end of the log: the state there, how it ends, and the log that it is the end of.
pub(crate) struct End {
    pub(crate) state: State,
    pub(crate) ending: Ending,
    pub(crate) log: Arc<Log>,
}

/// The end of the log of a history that is only read.
pub(crate) fn open_to_read(files: &Files) -> Result<End, Error> {
    match look(files)?.0 {
        Found::Nothing => Err(Error::NotAHistory { dir: files.place.clone(), found: "nothing" }),
        Found::Unfinished => {
            Err(Error::NotAHistory { dir: files.place.clone(), found: "a history that was never finished" })
        }
        Found::History => read_end(files, None),
    }
}

/// The end of the log, read on from a state that was the end before; read again where a writer changed the files meanwhile.
pub(crate) fn read_end(files: &Files, before: Option<&State>) -> Result<End, Error> {
    files.read(|log| {
        let (state, ending) = match before {
            Some(before) => files.state_at_end_from(log, before.clone())?,
            None => files.state_at_end(log)?,
        };
        Ok(End { state, ending, log: Arc::clone(log) })
    })
}
