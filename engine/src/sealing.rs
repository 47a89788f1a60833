//! Sealing: segments that are full become compressed, indexed and smaller, off the append path.
//!
//! ```text
//! raw segment, full -> written aside -> synced -> read back and compared -> renamed -> directory synced -> raw removed
//! ```
//!
//! A crash anywhere leaves one valid copy: until the rename the raw file is the only one, from then on either will do.

use std::sync::Arc;

use flow_history_replay::{FileName, Log, LogError, Sealing, verify_sealed};

use crate::files::Files;
use crate::storage::{Failed, Storage, write_aside};
use crate::telemetry::{self, Phase};
use crate::writer::Writer;

/// Up to so many bytes a segment is packed as small as it goes, which takes longer for each byte.
const SMALL_BYTES: u64 = 1 << 20;
/// Bytes of entries in a block of such a one.
const SMALL_BLOCK_BYTES: usize = 1 << 20;
/// The level of zstd for it.
const SMALL_LEVEL: i32 = 19;

/// Why a segment was not sealed. The raw file is still there, and the log is whole.
#[derive(Debug)]
pub(crate) enum SealError {
    Log(#[expect(dead_code, reason = "for whoever debugs")] LogError),
    Storage(#[expect(dead_code, reason = "for whoever debugs")] Failed),
}

/// Seals the raw segment at a place of the log, and removes it once nothing depends on it any more. Returns the bytes of
/// the sealed one.
fn seal(files: &Files, log: &Log, index: usize, raw: FileName, how: &Sealing) -> Result<u64, SealError> {
    let _entered = telemetry::enter(Phase::Seal);
    let storage: &dyn Storage = &*files.storage;
    let FileName::RawSegment(number) = raw else { return Ok(0) };
    let (raw, sealed) = (raw.to_string(), FileName::SealedSegment(number).to_string());
    let aside = format!("{sealed}.tmp");
    let bytes = flow_history_replay::seal(log, index, how).map_err(SealError::Log)?;
    let written = write_aside(storage, &aside, &bytes).map_err(SealError::Storage).and_then(|()| {
        // ORDER: what was written is read back and compared with the chain before it takes anything's place.
        verify_sealed(log, index, &aside).map_err(SealError::Log)?;
        storage
            .rename(&aside, &sealed)
            .map_err(Failed::write("rename", &aside, 0))
            .map_err(SealError::Storage)
    });
    if written.is_err() {
        let _ = storage.remove(&aside);
    }
    written?;
    // ORDER: the name is durable before the raw file, the only other copy, goes.
    storage.sync_directory().map_err(Failed::sync("")).map_err(SealError::Storage)?;
    // The log as it was listed names a file that goes.
    files.forget_log();
    storage.remove(&raw).map_err(Failed::write("remove", &raw, 0)).map_err(SealError::Storage)?;
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
    writer.when_closed(move || {
        if let Some(writer) = of_writer.upgrade() {
            let _ = seal_full(&files, &writer).and_then(|()| seal_last(&files, bytes_min));
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
            if let Ok(true) = seal_next(&files, &writer) {
                seal_at_leisure(&writer, &files);
            }
        }
    });
}

/// Seals every raw segment but the last, which is being written.
fn seal_full(files: &Files, writer: &Writer) -> Result<(), SealError> {
    while seal_next(files, writer)? {}
    Ok(())
}

/// Seals the first raw segment that is not the last; says whether there was one.
fn seal_next(files: &Files, writer: &Writer) -> Result<bool, SealError> {
    let _alone = writer.upkeep.lock();
    let log = files.open_log().map_err(SealError::Log)?;
    let before_last = log.segments().len().saturating_sub(1);
    let full =
        log.segments().iter().take(before_last).enumerate().find(|(_, segment)| segment.sealed.is_none());
    let Some((index, segment)) = full else { return Ok(false) };
    let sealed_bytes = seal(files, &log, index, segment.file(), &Sealing::default())?;
    writer.sealed(segment.bytes, sealed_bytes);
    Ok(true)
}

/// Seals the last segment of a history that was closed.
fn seal_last(files: &Files, bytes_min: u64) -> Result<(), SealError> {
    let log = files.open_log().map_err(SealError::Log)?;
    let index = log.segments().len().saturating_sub(1);
    match log.segments().get(index) {
        Some(last) if last.sealed.is_none() && last.bytes >= bytes_min => {
            let how = match last.bytes {
                // A small history is read in no time however it is packed.
                ..=SMALL_BYTES => Sealing::default().block_bytes(SMALL_BLOCK_BYTES).level(Some(SMALL_LEVEL)),
                _ => Sealing::default(),
            };
            seal(files, &log, index, last.file(), &how).map(drop)
        }
        _ => Ok(()),
    }
}
