//! UmaDB: its core in process, without its server; one thread appends by itself, several through its writer thread.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::db::UmaDb as Database;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem, DcbResult};

use super::log_only::{Entries, Entry, Folded, Putter, adapter, durable_only};
use super::{Kind, Outcome, Peer, Store, broken};

/// As its server has it.
const BATCH_EVENTS: usize = 2_048;
const CACHE_MIB: usize = 256;

/// UmaDB.
pub(super) struct UmaDb {
    /// Whether each event has the components that it is about as tags, so that those of one can be asked for.
    pub(super) tagged: bool,
}

impl Peer for UmaDb {
    fn name(&self) -> &'static str {
        if self.tagged { "UmaDB (tagged)" } else { "UmaDB" }
    }

    fn is_variant(&self) -> bool {
        self.tagged
    }

    fn about(&self) -> String {
        let tags = if self.tagged { "the components of each as tags" } else { "without tags" };
        format!(
            "umadb-core 0.7 in process, no gRPC; a page cache of 256 MiB; one event a change, {tags}; no condition is \
             checked; several threads through its blocking writer thread, 2,048 events a batch"
        )
    }

    fn gives(&self) -> &'static str {
        "conditions on an append, queries by type and tag, a server"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        durable_only(kind)?;
        std::fs::create_dir_all(path).map_err(broken)?;
        let options = StorageOptions::default().db_path(path).page_cache_max_mb(CACHE_MIB);
        let database = Database::from_arc(Arc::new(Mvcc::new(false, options).map_err(broken)?));
        Ok(Folded::open(Box::new(Log { database, tagged: self.tagged })))
    }
}

struct Log {
    database: Database,
    tagged: bool,
}

type Requests = mpsc::Sender<WriterThreadRequest>;

fn event_of(entry: Entry) -> DcbEvent {
    DcbEvent::new().event_type("change").tags(entry.tags).data(entry.bytes)
}

fn send(requests: &Requests, entry: Entry) -> Outcome<oneshot::Receiver<DcbResult<u64>>> {
    let (response_tx, answer) = oneshot::channel();
    let events = vec![event_of(entry)];
    let request = WriterThreadRequest::Append {
        events,
        condition: None,
        tracking_info: None,
        response_tx,
        cancel: None,
    };
    requests.blocking_send(request).map_err(broken)?;
    Ok(answer)
}

fn wait(answer: oneshot::Receiver<DcbResult<u64>>) -> Outcome<()> {
    answer.blocking_recv().map_err(broken)?.map(|_| ()).map_err(broken)
}

impl Log {
    /// Its writer thread, which ends when the last who may ask it is gone.
    fn writer(&self) -> Outcome<Requests> {
        let (requests, received) = mpsc::channel(10_000);
        let (head, _) = watch::channel(self.database.head().map_err(broken)?);
        let store = Arc::clone(&self.database.mvcc);
        std::thread::spawn(move || writer_thread_blocking(store, received, head, BATCH_EVENTS));
        Ok(requests)
    }

    fn walk(
        &self,
        query: Option<DcbQuery>,
        backwards: bool,
        limit: Option<u32>,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        for event in self.database.read(query, None, backwards, limit).map_err(broken)? {
            each(&event.map_err(broken)?.event.data)?;
        }
        Ok(())
    }
}

impl Entries for Log {
    fn tagged(&self) -> bool {
        self.tagged
    }

    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.database.head().map_err(broken)?.unwrap_or_default())
    }

    fn put(&mut self, entry: Entry) -> Outcome<()> {
        self.database.append(vec![event_of(entry)], None, None).map(|_| ()).map_err(broken)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let requests = self.writer()?;
        let putter = |_| -> Putter {
            let requests = requests.clone();
            Box::new(move |entry| wait(send(&requests, entry)?))
        };
        Ok((0..count).map(putter).collect())
    }

    fn pipeline(&mut self, all: Vec<Entry>, in_flight: usize) -> Outcome<()> {
        let requests = self.writer()?;
        let mut waiting = VecDeque::with_capacity(in_flight);
        for entry in all {
            waiting.push_back(send(&requests, entry)?);
            if waiting.len() >= in_flight
                && let Some(oldest) = waiting.pop_front()
            {
                wait(oldest)?;
            }
        }
        waiting.into_iter().try_for_each(wait)
    }

    fn read(&mut self, to: u64, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        self.walk(None, false, u32::try_from(to).ok(), each)
    }

    fn newest_first(&mut self, limit: usize, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        self.walk(None, true, u32::try_from(limit).ok(), each)
    }

    fn newest_of(
        &mut self,
        tag: &str,
        limit: usize,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        let query = DcbQuery::new().item(DcbQueryItem::new().tags([tag]));
        self.walk(Some(query), true, u32::try_from(limit).ok(), each)
    }

    fn flush(&mut self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(())
    }
}
