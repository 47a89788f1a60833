//! Stores of entries that know no flow: an entry is the bytes of a change, and the harness folds them where a flow is wanted.

use super::{Appender, Failure, Kind, Outcome, Store};
use crate::plain::{Change, PlainChange, PlainFlow, folded};

/// What is appended.
pub(super) struct Entry {
    /// The bytes of a change.
    pub(super) bytes: Vec<u8>,
    /// The components that it is about, where the store finds entries by them.
    pub(super) tags: Vec<String>,
}

/// Appends an entry, from a thread of its own.
pub(super) type Putter = Box<dyn FnMut(Entry) -> Outcome<()> + Send>;

/// What a store of entries has to offer. Versions are positions, from 1 on.
pub(super) trait Entries {
    /// Whether it finds entries by the components that they are about.
    fn tagged(&self) -> bool {
        false
    }
    /// The newest version.
    fn newest(&mut self) -> Outcome<u64>;
    /// Appends one, acknowledged as the store was opened.
    fn put(&mut self, entry: Entry) -> Outcome<()>;
    /// So many that append at the same time.
    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>>;
    /// Appends all, of which so many may be on their way.
    fn pipeline(&mut self, all: Vec<Entry>, in_flight: usize) -> Outcome<()>;
    /// All up to a version, in order.
    fn read(&mut self, to: u64, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()>;
    /// The newest, newest first; how many.
    fn newest_first(&mut self, limit: usize, each: &mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()>;
    /// The newest that have a tag, newest first; how many. Asked only where there are tags.
    fn newest_of(
        &mut self,
        _tag: &str,
        _limit: usize,
        _each: &mut dyn FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        Err(NO_FLOW)
    }
    /// Makes everything durable.
    fn flush(&mut self) -> Outcome<()>;
    /// Ends.
    fn close(self: Box<Self>) -> Outcome<()>;
}

const NO_FLOW: Failure = Failure::Cannot("it knows entries, not what they do to a flow");

/// How the rows are done that no store of entries does itself.
pub(super) fn adapter(row: &str) -> Option<&'static str> {
    match row {
        "flow" => Some("folded from the first change, onto a plain map"),
        "replay" => Some("all changes in order, onto a plain map"),
        _ => None,
    }
}

/// A store of entries as one of flows.
pub(super) struct Folded {
    entries: Box<dyn Entries>,
}

impl Folded {
    pub(super) fn open(entries: Box<dyn Entries>) -> Box<dyn Store> {
        Box::new(Self { entries })
    }
}

/// Why a store whose every acknowledgement is durable has no buffered one.
pub(super) fn durable_only(kind: Kind) -> Outcome<()> {
    match kind {
        Kind::Durable => Ok(()),
        Kind::Buffered => Err(Failure::Cannot("it acknowledges nothing before it is durable")),
    }
}

fn entry_of(change: &PlainChange, tagged: bool) -> Entry {
    let mut tags = Vec::new();
    if tagged {
        tags.extend(change.operations.iter().map(|operation| operation.id().to_owned()));
        tags.sort_unstable();
        tags.dedup();
    }
    Entry { bytes: change.encode(), tags }
}

/// Changes read one after another; how many.
fn gathered(read: impl FnOnce(&mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()>) -> Outcome<usize> {
    let mut found = Vec::new();
    read(&mut |bytes| {
        found.push(PlainChange::decode(bytes)?);
        Ok(())
    })?;
    Ok(std::hint::black_box(found).len())
}

impl Store for Folded {
    fn newest(&mut self) -> Outcome<u64> {
        self.entries.newest()
    }

    fn append(&mut self, change: Change) -> Outcome<()> {
        let entry = entry_of(&change.plain, self.entries.tagged());
        self.entries.put(entry)
    }

    fn appenders(&mut self, count: usize) -> Outcome<Vec<Appender>> {
        let tagged = self.entries.tagged();
        let appender = |mut putter: Putter| -> Appender {
            Box::new(move |change: Change| putter(entry_of(&change.plain, tagged)))
        };
        Ok(self.entries.putters(count)?.into_iter().map(appender).collect())
    }

    fn pipeline(&mut self, changes: Vec<Change>, in_flight: usize) -> Outcome<()> {
        let tagged = self.entries.tagged();
        let all = changes.iter().map(|change| entry_of(&change.plain, tagged)).collect();
        self.entries.pipeline(all, in_flight)
    }

    fn component(&mut self, _version: u64, _id: &str) -> Outcome<bool> {
        Err(NO_FLOW)
    }

    fn flow(&mut self, version: u64) -> Outcome<usize> {
        self.contents(version).map(|flow| std::hint::black_box(flow).len())
    }

    fn difference(&mut self, _before: u64, _after: u64) -> Outcome<usize> {
        Err(NO_FLOW)
    }

    fn undo(&mut self) -> Outcome<()> {
        Err(NO_FLOW)
    }

    fn component_log(&mut self, id: &str, limit: usize) -> Outcome<usize> {
        if !self.entries.tagged() {
            return Err(NO_FLOW);
        }
        gathered(|each| self.entries.newest_of(id, limit, each))
    }

    fn log_page(&mut self, limit: usize) -> Outcome<usize> {
        gathered(|each| self.entries.newest_first(limit, each))
    }

    fn replay(&mut self) -> Outcome<u64> {
        let (flow, count) = folded(PlainFlow::new(), |each| self.entries.read(u64::MAX, each))?;
        std::hint::black_box(flow);
        Ok(count)
    }

    fn contents(&mut self, version: u64) -> Outcome<PlainFlow> {
        Ok(folded(PlainFlow::new(), |each| self.entries.read(version, each))?.0)
    }

    fn flush(&mut self) -> Outcome<()> {
        self.entries.flush()
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.entries.close()
    }
}
