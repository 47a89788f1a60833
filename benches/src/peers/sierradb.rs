//! SierraDB: an event store in process; one bucket, one partition, one stream, so that versions are in one order.

use std::path::Path;
use std::sync::Arc;

use sierradb::IterDirection;
use sierradb::StreamId;
use sierradb::bucket::segment::CommittedEvents;
use sierradb::database::{Database, DatabaseBuilder, ExpectedVersion, NewEvent, Transaction};
use sierradb::id::{uuid_to_partition_hash, uuid_v7_with_partition_hash};
use smallvec::smallvec;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::log_only::{Entries, Entry, Folded, Putter, adapter, durable_only};
use super::{Kind, Outcome, Peer, Store, broken};

const SEGMENT_BYTES: usize = 64 << 20;
const PARTITION: u16 = 0;
const KEY: Uuid = Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);

/// SierraDB.
pub(super) struct SierraDb {
    /// Whether it syncs when it would by itself, which an append waits for, and not at once.
    pub(super) as_it_comes: bool,
}

impl Peer for SierraDb {
    fn name(&self) -> &'static str {
        if self.as_it_comes { "SierraDB (default sync)" } else { "SierraDB" }
    }

    fn is_variant(&self) -> bool {
        self.as_it_comes
    }

    fn about(&self) -> String {
        let syncs = if self.as_it_comes {
            "syncs as it comes, after 5 ms, 50 events or 4,096 bytes, which every append waits for"
        } else {
            "min_sync_bytes 1, so that no append waits for its interval of 5 ms"
        };
        format!("0.3 in process, no server; one bucket, segments of 64 MiB, no compression; {syncs}")
    }

    fn gives(&self) -> &'static str {
        "streams with versions of their own, partitions, a cluster, subscriptions"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        durable_only(kind)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Arc::new(runtime.map_err(broken)?);
        let inside = runtime.enter();
        let mut options = DatabaseBuilder::new();
        options
            .total_buckets(1)
            .bucket_ids(vec![0])
            .writer_threads(1)
            .reader_threads(2)
            .segment_size_bytes(SEGMENT_BYTES)
            .compression(false);
        if !self.as_it_comes {
            options.min_sync_bytes(1);
        }
        let database = options.open(path).map_err(broken)?;
        drop(inside);
        Ok(Folded::open(Box::new(Log { database: Arc::new(database), runtime })))
    }
}

struct Log {
    database: Arc<Database>,
    runtime: Arc<Runtime>,
}

fn transaction_of(bytes: Vec<u8>) -> Outcome<Transaction> {
    let one = NewEvent {
        event_id: uuid_v7_with_partition_hash(uuid_to_partition_hash(KEY)),
        stream_id: StreamId::new("flow").map_err(broken)?,
        stream_version: ExpectedVersion::Any,
        event_name: "change".to_owned(),
        timestamp: 1,
        metadata: Vec::new(),
        payload: bytes,
    };
    Transaction::new(KEY, PARTITION, smallvec![one]).map_err(broken)
}

fn append(runtime: &Runtime, database: &Database, bytes: Vec<u8>) -> Outcome<()> {
    let transaction = transaction_of(bytes)?;
    runtime.block_on(database.append_events(transaction)).map(|_| ()).map_err(broken)
}

impl Log {
    /// Payloads in one direction, while they are wanted.
    fn walk(
        &self,
        from: u64,
        direction: IterDirection,
        limit: u64,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        self.runtime.block_on(async {
            let mut left = limit;
            let mut found = self.database.read_partition(PARTITION, from, direction).await.map_err(broken)?;
            while left > 0
                && let Some(one) = found.next().await.map_err(broken)?
            {
                if let CommittedEvents::Single(one) = one {
                    each(&one.payload)?;
                    left -= 1;
                }
            }
            Ok(())
        })
    }
}

impl Entries for Log {
    fn newest(&mut self) -> Outcome<u64> {
        let latest =
            self.runtime.block_on(self.database.get_partition_sequence(PARTITION)).map_err(broken)?;
        Ok(latest.map_or(0, |latest| latest.sequence + 1))
    }

    fn put(&mut self, entry: Entry) -> Outcome<()> {
        append(&self.runtime, &self.database, entry.bytes)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let putter = |_| -> Putter {
            let (database, runtime) = (Arc::clone(&self.database), Arc::clone(&self.runtime));
            Box::new(move |entry| append(&runtime, &database, entry.bytes))
        };
        Ok((0..count).map(putter).collect())
    }

    fn pipeline(&mut self, all: Vec<Entry>, in_flight: usize) -> Outcome<()> {
        self.runtime.block_on(async {
            let mut waiting = std::collections::VecDeque::with_capacity(in_flight);
            for entry in all {
                let (database, transaction) = (Arc::clone(&self.database), transaction_of(entry.bytes)?);
                waiting.push_back(tokio::spawn(async move { database.append_events(transaction).await }));
                if waiting.len() >= in_flight
                    && let Some(oldest) = waiting.pop_front()
                {
                    oldest.await.map_err(broken)?.map_err(broken)?;
                }
            }
            for one in waiting {
                one.await.map_err(broken)?.map_err(broken)?;
            }
            Ok(())
        })
    }

    fn read(&mut self, to: u64, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        self.walk(0, IterDirection::Forward, to, each)
    }

    fn newest_first(&mut self, limit: usize, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        self.walk(u64::MAX, IterDirection::Reverse, limit as u64, each)
    }

    fn flush(&mut self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.runtime.block_on(self.database.shutdown());
        Ok(())
    }
}
