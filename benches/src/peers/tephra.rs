//! tephra: an event store in process; one writer thread that groups.

use std::path::Path;

use tephra::{
    Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag, Tags, WriteCoordinator,
    WriterConfig,
};

use super::log_only::{Entries, Entry, Folded, Putter, adapter, durable_only};
use super::{Kind, Outcome, Peer, Store, broken};

const SEGMENT_BYTES: usize = 64 << 20;

/// tephra.
pub(super) struct Tephra {
    /// Whether each event has the components that it is about as tags, so that those of one can be asked for.
    pub(super) tagged: bool,
}

impl Peer for Tephra {
    fn name(&self) -> &'static str {
        if self.tagged { "tephra (tagged)" } else { "tephra" }
    }

    fn is_variant(&self) -> bool {
        self.tagged
    }

    fn about(&self) -> String {
        let tags = if self.tagged { "the components of each as tags" } else { "without tags" };
        format!("0.4; segments of 64 MiB, defaults; one event a change, {tags}; no condition is checked")
    }

    fn gives(&self) -> &'static str {
        "conditions on an append, queries by type and tag, subscriptions, followers in other processes"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        durable_only(kind)?;
        let set = SegmentSet::open(path, SegmentConfig::new(SEGMENT_BYTES)).map_err(broken)?;
        let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default()).map_err(broken)?;
        Ok(Folded::open(Box::new(Log { coordinator, handle, tagged: self.tagged })))
    }
}

struct Log {
    coordinator: WriteCoordinator,
    handle: tephra::WriteHandle,
    tagged: bool,
}

fn tags_of(tags: &[String]) -> Outcome<Tags> {
    let tags = tags.iter().map(|tag| Tag::new(tag.as_str())).collect::<Result<Vec<_>, _>>();
    Tags::new(tags.map_err(broken)?).map_err(broken)
}

fn event_of(entry: &Entry) -> Outcome<Event> {
    let change = EventType::new("change").map_err(broken)?;
    Event::new(&change, &tags_of(&entry.tags)?, &entry.bytes).map_err(broken)
}

impl Entries for Log {
    fn tagged(&self) -> bool {
        self.tagged
    }

    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.handle.head().get())
    }

    fn put(&mut self, entry: Entry) -> Outcome<()> {
        self.handle.append(vec![event_of(&entry)?], None).map(|_| ()).map_err(broken)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let putter = |_| -> Putter {
            let handle = self.handle.clone();
            Box::new(move |entry| handle.append(vec![event_of(&entry)?], None).map(|_| ()).map_err(broken))
        };
        Ok((0..count).map(putter).collect())
    }

    fn pipeline(&mut self, all: Vec<Entry>, in_flight: usize) -> Outcome<()> {
        let (reply, answers) = flume::unbounded();
        let mut waiting = 0;
        for (token, entry) in (0..).zip(all) {
            self.handle.append_submit(vec![event_of(&entry)?], None, token, reply.clone()).map_err(broken)?;
            waiting += 1;
            if waiting >= in_flight {
                answers.recv().map_err(broken)?.1.map_err(broken)?;
                waiting -= 1;
            }
        }
        for _ in 0..waiting {
            answers.recv().map_err(broken)?.1.map_err(broken)?;
        }
        Ok(())
    }

    fn read(&mut self, to: u64, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        let mut reads = self.handle.read(&Query::all(), Position::ZERO, Some(to));
        while let Some(item) = reads.next() {
            each(item.map_err(broken)?.event.data())?;
        }
        Ok(())
    }

    fn newest_first(&mut self, limit: usize, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        let mut reads = self.handle.read_back(&Query::all(), Position::MAX, Some(limit as u64));
        while let Some(item) = reads.next() {
            each(item.map_err(broken)?.event.data())?;
        }
        Ok(())
    }

    fn newest_of(
        &mut self,
        tag: &str,
        limit: usize,
        each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        let query = Query::item(QueryItem::with_tags(tags_of(&[tag.to_owned()])?));
        let mut reads = self.handle.read_back(&query, Position::MAX, Some(limit as u64));
        while let Some(item) = reads.next() {
            each(item.map_err(broken)?.event.data())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.coordinator.shutdown();
        Ok(())
    }
}
