//! A history over any ordered store, as a competent user would write it: a table of changes by version, an index of the
//! versions that touched each component, with its part of a change that touched several, and every 1,000 changes the whole flow, compressed with zstd.

use std::collections::{BTreeMap, HashSet};

use super::{Appender, Failure, Kind, Outcome, Store, broken};
use crate::plain::{
    Change, PlainChange, PlainComponent, PlainFlow, PlainOperation, decode_flow, encode_flow, folded,
};

/// Changes from one checkpoint to the next.
const CHECKPOINT_EVERY: u64 = 1_000;
/// As the engine compresses its own checkpoints.
const CHECKPOINT_LEVEL: i32 = 3;

/// Takes a version and the bytes of its change.
pub(super) type Each<'e, T> = &'e mut dyn FnMut(u64, &[u8]) -> Outcome<T>;

/// One change in the bytes that a store keeps.
pub(super) struct Put {
    pub(super) bytes: Vec<u8>,
    /// The components that it touches, each with its own part of the change where that is not all of it: nobody wants to
    /// read a thousand components that were added together for the sake of one.
    pub(super) touched: Vec<(String, Vec<u8>)>,
    pub(super) checkpoint: Option<Vec<u8>>,
}

impl Put {
    fn of(change: &PlainChange) -> Self {
        let mut parts: BTreeMap<&str, Vec<PlainOperation>> = BTreeMap::new();
        for operation in &change.operations {
            parts.entry(operation.id()).or_default().push(operation.clone());
        }
        let alone = parts.len() == 1;
        let touched = parts.into_iter().map(|(id, operations)| {
            let part = || PlainChange { author: change.author, millis: change.millis, operations };
            (id.to_owned(), if alone { Vec::new() } else { part().encode() })
        });
        Self { bytes: change.encode(), touched: touched.collect(), checkpoint: None }
    }
}

/// Appends one change under the version after the newest, from a thread of its own.
pub(super) type Putter = Box<dyn FnMut(Put) -> Outcome<()> + Send>;

/// What an ordered store has to offer.
pub(super) trait Keyed {
    /// The newest version.
    fn newest(&mut self) -> Outcome<u64>;
    /// Appends changes from a version on, in one transaction.
    fn put(&mut self, first: u64, puts: Vec<Put>) -> Outcome<()>;
    /// So many that append at the same time.
    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>>;
    /// The changes of a range of versions, in order.
    fn changes(&mut self, from: u64, to: u64, each: Each<'_, ()>) -> Outcome<()>;
    /// The newest changes, newest first, while they are wanted.
    fn newest_first(&mut self, each: Each<'_, bool>) -> Outcome<()>;
    /// What touched a component up to a version, newest first, while it is wanted: its part of each change.
    fn of_component(&mut self, id: &str, to: u64, each: Each<'_, bool>) -> Outcome<()>;
    /// The newest checkpoint at or before a version.
    fn checkpoint(&mut self, to: u64) -> Outcome<Option<(u64, Vec<u8>)>>;
    /// Makes everything durable.
    fn flush(&mut self) -> Outcome<()>;
    /// Ends, made small.
    fn close(self: Box<Self>) -> Outcome<()>;
}

/// A history over an ordered store.
pub(super) struct KeyedStore {
    keyed: Box<dyn Keyed>,
    kind: Kind,
    newest: u64,
    /// The newest flow, of which checkpoints are made.
    flow: PlainFlow,
}

/// How the rows are done that no ordered store does itself.
pub(super) fn adapter(row: &str) -> Option<&'static str> {
    match row {
        "pipelined" => Some("1,000 changes a transaction"),
        "buffered" => Some("a zstd checkpoint every 1,000 changes"),
        "component" => Some("index of versions by component, walked back to where it was added"),
        "flow" | "difference" => Some("nearest zstd checkpoint and the changes since, once or twice"),
        "undo" => Some("inverse by the component before"),
        "open_after_kill" => Some("newest flow from checkpoint and changes"),
        "replay" => Some("all changes in order, onto a plain map"),
        _ => None,
    }
}

impl KeyedStore {
    pub(super) fn open(mut keyed: Box<dyn Keyed>, kind: Kind) -> Outcome<Box<dyn Store>> {
        let newest = keyed.newest()?;
        let flow = flow_at(keyed.as_mut(), newest)?;
        Ok(Box::new(Self { keyed, kind, newest, flow }))
    }

    fn put(&mut self, change: &PlainChange) -> Outcome<()> {
        let mut put = Put::of(change);
        let version = self.newest + 1;
        change.apply(&mut self.flow);
        // Checkpoints do not belong to what a durable append is measured by, for anybody but us.
        if self.kind == Kind::Buffered && version.is_multiple_of(CHECKPOINT_EVERY) {
            let packed = zstd::bulk::compress(&encode_flow(&self.flow), CHECKPOINT_LEVEL).map_err(broken)?;
            put.checkpoint = Some(packed);
        }
        self.keyed.put(version, vec![put])?;
        self.newest = version;
        Ok(())
    }
}

fn flow_at(keyed: &mut dyn Keyed, version: u64) -> Outcome<PlainFlow> {
    let (from, flow) = match keyed.checkpoint(version)? {
        None => (0, PlainFlow::new()),
        Some((from, packed)) => (from, decode_flow(&zstd::decode_all(packed.as_slice()).map_err(broken)?)?),
    };
    Ok(folded(flow, |each| keyed.changes(from + 1, version, &mut |_, bytes| each(bytes)))?.0)
}

/// A component at a version: its changes newest first, until it was added or removed; then forward.
fn component_at(keyed: &mut dyn Keyed, version: u64, id: &str) -> Outcome<Option<PlainComponent>> {
    let mut sets = Vec::new();
    let mut found = None;
    keyed.of_component(id, version, &mut |_, bytes| {
        for operation in PlainChange::decode(bytes)?.operations.into_iter().rev() {
            if operation.id() != id {
                continue;
            }
            match operation {
                PlainOperation::Set(_, field, value) => sets.push((field, value)),
                PlainOperation::Add(_, component) => {
                    found = Some(component);
                    return Ok(false);
                }
                PlainOperation::Remove(_) => return Ok(false),
            }
        }
        Ok(true)
    })?;
    Ok(found.map(|mut component| {
        sets.into_iter().rev().for_each(|(field, value)| component.put(&field, value));
        component
    }))
}

impl Store for KeyedStore {
    fn newest(&mut self) -> Outcome<u64> {
        self.keyed.newest()
    }

    fn append(&mut self, change: Change) -> Outcome<()> {
        self.put(&change.plain)
    }

    fn appenders(&mut self, count: usize) -> Outcome<Vec<Appender>> {
        let appender = |mut putter: Putter| -> Appender {
            Box::new(move |change: Change| putter(Put::of(&change.plain)))
        };
        Ok(self.keyed.putters(count)?.into_iter().map(appender).collect())
    }

    fn pipeline(&mut self, changes: Vec<Change>, in_flight: usize) -> Outcome<()> {
        for changes in changes.chunks(in_flight) {
            let puts = changes.iter().map(|change| Put::of(&change.plain)).collect();
            self.keyed.put(self.newest + 1, puts)?;
            self.newest += changes.len() as u64;
        }
        Ok(())
    }

    fn component(&mut self, version: u64, id: &str) -> Outcome<bool> {
        let component = component_at(self.keyed.as_mut(), version, id)?;
        Ok(std::hint::black_box(component).is_some())
    }

    fn flow(&mut self, version: u64) -> Outcome<usize> {
        Ok(std::hint::black_box(flow_at(self.keyed.as_mut(), version)?).len())
    }

    fn difference(&mut self, before: u64, after: u64) -> Outcome<usize> {
        let (from, to) = (before.min(after), before.max(after));
        if to - from > CHECKPOINT_EVERY {
            let (one, other) = (flow_at(self.keyed.as_mut(), from)?, flow_at(self.keyed.as_mut(), to)?);
            let differ = one.iter().filter(|(id, component)| other.get(*id) != Some(component)).count();
            return Ok(differ + other.keys().filter(|id| !one.contains_key(*id)).count());
        }
        let mut touched = HashSet::new();
        self.keyed.changes(from + 1, to, &mut |_, bytes| {
            let change = PlainChange::decode(bytes)?;
            touched.extend(change.operations.iter().map(|operation| operation.id().to_owned()));
            Ok(())
        })?;
        let mut differ = 0;
        for id in touched {
            let one = component_at(self.keyed.as_mut(), from, &id)?;
            differ += usize::from(one != component_at(self.keyed.as_mut(), to, &id)?);
        }
        Ok(differ)
    }

    fn undo(&mut self) -> Outcome<()> {
        let newest = self.newest;
        let mut last = None;
        self.keyed.changes(newest, newest, &mut |_, bytes| {
            last = Some(PlainChange::decode(bytes)?);
            Ok(())
        })?;
        let last = last.ok_or_else(|| Failure::Broke("the newest change is missing".to_owned()))?;
        let mut before = PlainFlow::new();
        for id in last.touched() {
            if let Some(component) = component_at(self.keyed.as_mut(), newest - 1, id)? {
                before.insert(id.to_owned(), component);
            }
        }
        self.put(&last.inverse(|id| before.get(id).cloned()))
    }

    fn component_log(&mut self, id: &str, limit: usize) -> Outcome<usize> {
        let mut changes = Vec::new();
        self.keyed.of_component(id, u64::MAX, &mut |version, bytes| {
            changes.push((version, PlainChange::decode(bytes)?));
            Ok(changes.len() < limit)
        })?;
        Ok(std::hint::black_box(changes).len())
    }

    fn log_page(&mut self, limit: usize) -> Outcome<usize> {
        let mut changes = Vec::new();
        self.keyed.newest_first(&mut |version, bytes| {
            changes.push((version, PlainChange::decode(bytes)?));
            Ok(changes.len() < limit)
        })?;
        Ok(std::hint::black_box(changes).len())
    }

    fn replay(&mut self) -> Outcome<u64> {
        let read = |each: &mut dyn FnMut(&[u8]) -> Outcome<()>| {
            self.keyed.changes(1, u64::MAX, &mut |_, bytes| each(bytes))
        };
        let (flow, count) = folded(PlainFlow::new(), read)?;
        std::hint::black_box(flow);
        Ok(count)
    }

    fn contents(&mut self, version: u64) -> Outcome<PlainFlow> {
        flow_at(self.keyed.as_mut(), version)
    }

    fn flush(&mut self) -> Outcome<()> {
        self.keyed.flush()
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.keyed.close()
    }
}

/// The key of a component's change: the id, a zero, the version.
#[cfg(any(feature = "redb", feature = "lmdb", feature = "fjall"))]
pub(super) fn touch_key(id: &str, version: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.len() + 9);
    key.extend_from_slice(id.as_bytes());
    key.push(0);
    key.extend_from_slice(&version.to_be_bytes());
    key
}

/// The version at the end of such a key.
#[cfg(any(feature = "redb", feature = "lmdb", feature = "fjall"))]
pub(super) fn version_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
