//! okaywal: a log that is written ahead of something else, and whose entries are read once, when it is opened.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use okaywal::{Configuration, Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};

use super::log_only::{self, Entries, Folded, Putter, durable_only};
use super::{Failure, Kind, Outcome, Peer, Store, broken};

/// Written ahead before they are used.
const SEGMENT_BYTES: u32 = 64 << 20;

/// okaywal.
pub(super) struct OkayWal;

impl Peer for OkayWal {
    fn name(&self) -> &'static str {
        "okaywal"
    }

    fn about(&self) -> String {
        "0.3; segments of 64 MiB, one chunk a change; never checkpointed, since that would give its entries away".to_owned()
    }

    fn gives(&self) -> &'static str {
        "segments used again once what they hold went elsewhere"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        match row {
            "flow" => Some("folded from what was recovered when it was opened, onto a plain map"),
            _ => None,
        }
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        durable_only(kind)?;
        let entries = Arc::new(Mutex::new(Vec::new()));
        let log = Configuration::default_for(path)
            .preallocate_bytes(SEGMENT_BYTES)
            .checkpoint_after_bytes(u64::MAX)
            .open(Recovered { entries: Arc::clone(&entries) })
            .map_err(broken)?;
        let recovered = std::mem::take(&mut *entries.lock().map_err(broken)?);
        Ok(Folded::open(Box::new(Log { log, recovered, appended: 0 })))
    }
}

#[derive(Debug)]
struct Recovered {
    entries: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl LogManager for Recovered {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        if let Some(chunks) = entry.read_all_chunks()?
            && let Ok(mut entries) = self.entries.lock()
        {
            entries.extend(chunks);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

struct Log {
    log: WriteAheadLog,
    recovered: Vec<Vec<u8>>,
    appended: u64,
}

fn put(log: &WriteAheadLog, bytes: &[u8]) -> Outcome<()> {
    let mut entry = log.begin_entry().map_err(broken)?;
    entry.write_chunk(bytes).map_err(broken)?;
    entry.commit().map(|_| ()).map_err(broken)
}

const READ_ONCE: Failure = Failure::Cannot("its entries are read once, when it is opened");

impl Entries for Log {
    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.recovered.len() as u64 + self.appended)
    }

    fn put(&mut self, entry: log_only::Entry) -> Outcome<()> {
        self.appended += 1;
        put(&self.log, &entry.bytes)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let putter = |_| -> Putter {
            let log = self.log.clone();
            Box::new(move |entry| put(&log, &entry.bytes))
        };
        Ok((0..count).map(putter).collect())
    }

    fn pipeline(&mut self, _all: Vec<log_only::Entry>, _in_flight: usize) -> Outcome<()> {
        Err(Failure::Cannot("it has nothing for it"))
    }

    fn read(&mut self, to: u64, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        if self.appended > 0 || to == u64::MAX {
            return Err(READ_ONCE);
        }
        let to = usize::try_from(to).unwrap_or(usize::MAX);
        self.recovered.iter().take(to).try_for_each(|bytes| each(bytes))
    }

    fn newest_first(&mut self, _limit: usize, _each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        Err(READ_ONCE)
    }

    fn flush(&mut self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.log.shutdown().map_err(broken)
    }
}
