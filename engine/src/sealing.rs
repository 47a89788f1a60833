//! Sealing: segments that are full become compressed, indexed and smaller, off the append path.
//!
//! ```text
//! raw segment, full -> written aside -> synced -> read back and compared -> renamed -> directory synced -> raw removed
//! ```
//!
//! A crash anywhere leaves one valid copy: until the rename the raw file is the only one, from then on either will do.
//!
//! A segment takes as long as tens of thousands of appends. Checkpoints have their turns meanwhile: a history that is killed
//! is opened from the newest of them, however much waits to be sealed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_history_flow::mistake;
use flow_history_replay::{FileName, Log, Sealing, verify_sealed};

use crate::Error;
use crate::checkpoints::write_next_checkpoint;
use crate::files::Files;
use crate::storage::{Failed, replace_checked};
use crate::telemetry::{self, Phase};
use crate::writer::Writer;

/// Up to so many bytes a segment is packed as small as it goes, which takes longer for each byte.
const SMALL_BYTES: u64 = 1 << 20;
/// Bytes of entries in a block of such a one.
const SMALL_BLOCK_BYTES: usize = 1 << 20;
/// The level of zstd for it.
const SMALL_LEVEL: i32 = 12;

/// Seals the raw segment at a place of the log, and removes it once nothing depends on it any more. Returns the bytes of
/// the sealed one. After an error the raw file is still there, and the log is whole.
fn seal(
    files: &Files,
    log: &Log,
    index: usize,
    how: &Sealing,
    meanwhile: &mut dyn FnMut(),
) -> Result<u64, Error> {
    let _entered = telemetry::enter(Phase::Seal);
    let Some(segment) = log.segments().get(index) else { return Ok(0) };
    let (storage, raw) = (&*files.storage, segment.file().to_string());
    let sealed = FileName::SealedSegment(segment.header.number).to_string();
    let failed = |failed| Error::of_storage(&files.place, failed);
    let sealing = flow_history_replay::seal(log, index, how, meanwhile);
    let bytes = sealing.map_err(|error| files.log_error(error))?;
    if mistake::is_made("a raw segment goes before the sealed one is there") {
        let _ = storage.remove(&raw);
    }
    // ORDER: what was written is read back and compared with the chain before it takes anything's place, and the name is
    // durable before the raw file, the only other copy, goes.
    replace_checked(storage, &sealed, &bytes, failed, |aside| {
        verify_sealed(log, index, aside, meanwhile).map_err(|error| files.log_error(error))
    })?;
    // The log as it was listed names a file that goes.
    files.forget_log();
    match storage.remove(&raw) {
        Err(_) if mistake::is_made("a raw segment goes before the sealed one is there") => {}
        removed => removed.map_err(Failed::write("remove", &raw, 0)).map_err(failed)?,
    }
    Ok(bytes.len() as u64)
}

/// Has segments sealed as they become full, and the last one when the history is closed.
pub(crate) fn seal_when_full(writer: &Arc<Writer>, files: &Arc<Files>, bytes_min: u64) {
    let (of_writer, of_files) = (Arc::downgrade(writer), Arc::clone(files));
    writer.when_segment_full(move || {
        if let Some(writer) = of_writer.upgrade() {
            seal_at_leisure(&writer, &of_files);
        }
    });
    let (of_writer, files) = (Arc::downgrade(writer), Arc::clone(files));
    writer.when_closed(move |is_closed| {
        let Some(writer) = of_writer.upgrade() else { return };
        if seal_full(&files, &writer).is_ok() && is_closed {
            let _ = seal_last(&files, bytes_min);
        }
    });
}

/// Seals one segment at a time, so that checkpoints have their turn in between.
fn seal_at_leisure(writer: &Arc<Writer>, files: &Arc<Files>) {
    let (of_writer, files) = (Arc::downgrade(writer), Arc::clone(files));
    writer.background().at_leisure(move || {
        if let Some(writer) = of_writer.upgrade().filter(|writer| !writer.is_poisoned()) {
            // One that cannot be sealed takes more room and more time to read, and nothing else. The next one that
            // is full tries it again.
            let mut turns =
                Turns { writer: &writer, files: &files, since: Instant::now(), took: Duration::ZERO };
            if let Ok(true) = seal_next(&files, &writer, &mut || turns.give()) {
                seal_at_leisure(&writer, &files);
            }
        }
    });
}

/// The turns that checkpoints have while a segment is sealed, for half of the time at most.
struct Turns<'w> {
    writer: &'w Writer,
    files: &'w Files,
    /// When the last one ended.
    since: Instant,
    /// How long it took.
    took: Duration,
}

impl Turns<'_> {
    fn give(&mut self) {
        // Without threads what is done comes in the same order every time, whatever a clock says.
        let is_due = self.writer.tuning().background && self.since.elapsed() >= self.took;
        if !is_due || !self.writer.has_checkpoint_waiting() {
            return;
        }
        let began = Instant::now();
        write_next_checkpoint(self.writer, self.files);
        self.took = began.elapsed();
        self.since = Instant::now();
    }
}

/// Seals every raw segment but the last, which is being written.
fn seal_full(files: &Files, writer: &Writer) -> Result<(), Error> {
    while seal_next(files, writer, &mut || {})? {}
    Ok(())
}

/// Seals the first raw segment that is not the last; says whether there was one.
fn seal_next(files: &Files, writer: &Writer, meanwhile: &mut dyn FnMut()) -> Result<bool, Error> {
    let _alone = writer.upkeep.lock();
    // Whoever lost the lock has no business with the files.
    writer.check_holds_lock()?;
    let log = files.log()?;
    let before_last = log.segments().len().saturating_sub(1);
    let full =
        log.segments().iter().take(before_last).enumerate().find(|(_, segment)| segment.sealed.is_none());
    let Some((index, segment)) = full else { return Ok(false) };
    let sealed_bytes = seal(files, &log, index, &Sealing::default(), meanwhile)?;
    writer.sealed(segment.bytes, sealed_bytes);
    Ok(true)
}

/// Seals the last segment of a history that was closed.
fn seal_last(files: &Files, bytes_min: u64) -> Result<(), Error> {
    let log = files.log()?;
    let index = log.segments().len().saturating_sub(1);
    match log.segments().get(index) {
        Some(last) if last.sealed.is_none() && last.bytes >= bytes_min => {
            let how = match last.bytes {
                // A small history is read in no time however it is packed.
                ..=SMALL_BYTES => Sealing::default().block_bytes(SMALL_BLOCK_BYTES).level(Some(SMALL_LEVEL)),
                _ => Sealing::default(),
            };
            seal(files, &log, index, &how, &mut || {}).map(drop)
        }
        _ => Ok(()),
    }
}
