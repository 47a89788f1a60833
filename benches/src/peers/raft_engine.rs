//! raft-engine: the log that TiKV keeps its Raft logs in; a change is a value under its version.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_engine::{Config, Engine, LogBatch, ReadableSize};

use super::log_only::{Entries, Entry, Folded, Putter, adapter};
use super::{Kind, Outcome, Peer, Store, broken};

fn version_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// There is one log.
const REGION: u64 = 1;

/// raft-engine.
pub(super) struct RaftEngine;

impl Peer for RaftEngine {
    fn name(&self) -> &'static str {
        "raft-engine"
    }

    fn about(&self) -> String {
        "0.4; files of 64 MiB, recycled and prefilled up to 256 MiB, no compression, never purged; all values in memory"
            .to_owned()
    }

    fn gives(&self) -> &'static str {
        "many logs in one, purging, recovery on several threads"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        match row {
            "pipelined" => Some("1,000 changes a batch"),
            _ => adapter(row),
        }
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        let config = Config {
            dir: path.to_string_lossy().into_owned(),
            target_file_size: ReadableSize::mb(64),
            batch_compression_threshold: ReadableSize(0),
            enable_log_recycle: true,
            prefill_for_recycle: true,
            prefill_limit: Some(ReadableSize::mb(256)),
            ..Config::default()
        };
        let engine = Arc::new(Engine::open(config).map_err(broken)?);
        let mut newest = 0;
        engine
            .scan_raw_messages(REGION, None, None, true, |key, _| {
                newest = version_of(key);
                false
            })
            .map_err(broken)?;
        Ok(Folded::open(Box::new(Log { engine, newest: Arc::new(AtomicU64::new(newest)), kind })))
    }
}

struct Log {
    engine: Arc<Engine>,
    newest: Arc<AtomicU64>,
    kind: Kind,
}

fn put(engine: &Engine, newest: &AtomicU64, kind: Kind, all: impl IntoIterator<Item = Entry>) -> Outcome<()> {
    let mut batch = LogBatch::default();
    for entry in all {
        let version = newest.fetch_add(1, Ordering::Relaxed) + 1;
        batch.put(REGION, version.to_be_bytes().to_vec(), entry.bytes).map_err(broken)?;
    }
    engine.write(&mut batch, kind == Kind::Durable).map(|_| ()).map_err(broken)
}

impl Entries for Log {
    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.newest.load(Ordering::Relaxed))
    }

    fn put(&mut self, entry: Entry) -> Outcome<()> {
        put(&self.engine, &self.newest, self.kind, vec![entry])
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let putter = |_| -> Putter {
            let (engine, newest, kind) = (Arc::clone(&self.engine), Arc::clone(&self.newest), self.kind);
            Box::new(move |entry| put(&engine, &newest, kind, vec![entry]))
        };
        Ok((0..count).map(putter).collect())
    }

    fn pipeline(&mut self, all: Vec<Entry>, in_flight: usize) -> Outcome<()> {
        let mut left = all.into_iter().peekable();
        while left.peek().is_some() {
            put(&self.engine, &self.newest, self.kind, left.by_ref().take(in_flight))?;
        }
        Ok(())
    }

    fn read(&mut self, to: u64, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        let end = to.saturating_add(1).to_be_bytes();
        let mut outcome = Ok(());
        self.engine
            .scan_raw_messages(REGION, None, Some(end.as_slice()), false, |_, bytes| {
                outcome = each(bytes);
                outcome.is_ok()
            })
            .map_err(broken)?;
        outcome
    }

    fn newest_first(&mut self, limit: usize, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        let mut outcome = Ok(());
        let mut left = limit;
        self.engine
            .scan_raw_messages(REGION, None, None, true, |_, bytes| {
                outcome = each(bytes);
                left -= 1;
                outcome.is_ok() && left > 0
            })
            .map_err(broken)?;
        outcome
    }

    fn flush(&mut self) -> Outcome<()> {
        self.engine.sync().map_err(broken)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.engine.sync().map_err(broken)
    }
}
