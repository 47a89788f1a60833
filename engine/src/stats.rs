//! A history in numbers.

use std::io;

use flow_history_replay::{FileName, FlowVersionId, HistoryId};

use crate::files::Files;

/// A history in numbers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The history.
    pub history: HistoryId,
    /// When it was created, in milliseconds since 1970; zero where the file that says so cannot be read just now.
    pub created: i64,
    /// The newest version that is durable.
    pub head: FlowVersionId,
    /// Its log time, in milliseconds since 1970; `None` before the first entry.
    pub head_time: Option<i64>,
    /// Entries, marks included.
    pub entries: u64,
    /// Components at the head.
    pub components: usize,
    /// Segments of the log.
    pub segments: usize,
    /// Checkpoints.
    pub checkpoints: usize,
    /// Entries behind the newest checkpoint.
    pub checkpoint_lag: u64,
    /// Bytes of the log's files, with the room that is kept ready behind the last entry.
    pub log_bytes: u64,
    /// Bytes of the log that hold something; zero where the handle only reads.
    pub log_bytes_used: u64,
    /// Bytes of the checkpoints.
    pub checkpoint_bytes: u64,
    /// Bytes of the catalog.
    pub catalog_bytes: u64,
    /// Bytes of all files in the directory.
    pub total_bytes: u64,
    /// Syncs of the log that this handle has waited for.
    pub syncs: u64,
    /// Whether a sync failed, so that nothing more is accepted.
    pub poisoned: bool,
    /// Whether the handle only reads.
    pub read_only: bool,
}

/// The sizes of the files of a history.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sizes {
    pub(crate) segments: usize,
    pub(crate) checkpoints: usize,
    pub(crate) newest_checkpoint: u64,
    pub(crate) log_bytes: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) catalog_bytes: u64,
    pub(crate) total_bytes: u64,
}

pub(crate) fn sizes(files: &Files) -> io::Result<Sizes> {
    let mut sizes = Sizes::default();
    for name in files.storage.list()? {
        // A file may go between being listed and being measured.
        let Ok(bytes) = files.storage.len(&name) else { continue };
        sizes.total_bytes += bytes;
        match FileName::parse(&name) {
            Some(FileName::RawSegment(_) | FileName::SealedSegment(_)) => {
                sizes.segments += 1;
                sizes.log_bytes += bytes;
            }
            Some(FileName::Base(_)) => sizes.log_bytes += bytes,
            Some(FileName::Checkpoint(seq)) => {
                sizes.checkpoints += 1;
                sizes.newest_checkpoint = sizes.newest_checkpoint.max(seq);
                sizes.checkpoint_bytes += bytes;
            }
            Some(FileName::Catalog) => sizes.catalog_bytes += bytes,
            _ => {}
        }
    }
    Ok(sizes)
}
