//! What was read from files and may be asked for again: one cache for the process, with a budget in bytes.
//!
//! Two generations. What is asked for moves into the young one; when that holds half the budget, the old one is dropped
//! and the young one takes its place. What is asked for often is never far from young, and dropping costs nothing per
//! entry.

use std::any::Any;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock};

use flow_history_replay::{Piece, Shelf};
use parking_lot::Mutex;

/// Bytes kept by default.
const BUDGET: usize = 64 << 20;
/// What an entry costs beside its own bytes.
const ENTRY_BYTES: usize = 128;

/// What is kept, of which history.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    /// The number of the [`Files`](crate::files::Files) that read it.
    pub(crate) files: u64,
    pub(crate) kind: Kind,
    /// The version.
    pub(crate) of: u64,
    /// Which page, or which slot.
    pub(crate) part: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    /// A checkpoint, ready to be asked.
    Checkpoint,
    /// One page of a checkpoint.
    Page,
    /// One component at a version, by its slot.
    Component,
    /// The component of an id at a version, by a hash of the id.
    Found,
    /// Chain and log time of a version.
    Place,
    /// A piece of a sealed segment: of which kind, and the checksum of its footer.
    Segment(u8, u32),
    /// The whole state at a version.
    State,
    /// The whole flow at a version, and no more of it.
    Flow,
    /// The components at a version, not put together.
    Loose,
}

/// What a history's log keeps of its sealed segments, by the number of the history's files.
pub(crate) struct Pieces(pub(crate) u64);

impl Pieces {
    fn key(&self, piece: Piece) -> Key {
        let kind = Kind::Segment(piece.kind, piece.sum);
        Key { files: self.0, kind, of: piece.segment, part: piece.at }
    }
}

impl Shelf for Pieces {
    fn get(&self, piece: Piece) -> Option<flow_history_replay::Kept> {
        get_any(self.key(piece))
    }

    fn put(&self, piece: Piece, kept: flow_history_replay::Kept, bytes: usize) {
        put_any(self.key(piece), kept, bytes);
    }
}

type Kept = (Arc<dyn Any + Send + Sync>, usize);

struct Cache {
    young: HashMap<Key, Kept>,
    young_bytes: usize,
    old: HashMap<Key, Kept>,
    budget: usize,
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(|| {
    Mutex::new(Cache { young: HashMap::default(), young_bytes: 0, old: HashMap::default(), budget: BUDGET })
});

/// Sets how many bytes of what was read the process keeps, over all histories; 64 MiB unless this is called. Zero keeps
/// nothing.
pub fn set_cache_bytes(bytes: usize) {
    let dropped = {
        let mut cache = CACHE.lock();
        cache.budget = bytes;
        cache.take_all()
    };
    // Dropped without the lock: it can be much.
    drop(dropped);
}

/// Forgets what was read and kept, of all histories in the process.
pub fn forget_cached() {
    let dropped = CACHE.lock().take_all();
    drop(dropped);
}

/// What is kept under a key.
pub(crate) fn get<T: Any + Send + Sync>(key: Key) -> Option<Arc<T>> {
    get_any(key)?.downcast().ok()
}

fn get_any(key: Key) -> Option<Arc<dyn Any + Send + Sync>> {
    let mut cache = CACHE.lock();
    let kept = match cache.young.get(&key) {
        Some((kept, _)) => Arc::clone(kept),
        None => {
            let (kept, bytes) = cache.old.remove(&key)?;
            let found = Arc::clone(&kept);
            let _ = cache.keep(key, (kept, bytes));
            found
        }
    };
    drop(cache);
    Some(kept)
}

/// Keeps something of so many bytes.
pub(crate) fn put<T: Any + Send + Sync>(key: Key, value: &Arc<T>, bytes: usize) {
    put_any(key, Arc::<T>::clone(value), bytes);
}

fn put_any(key: Key, kept: Arc<dyn Any + Send + Sync>, bytes: usize) {
    let dropped = CACHE.lock().keep(key, (kept, bytes + ENTRY_BYTES));
    drop(dropped);
}

/// Forgets what was kept of one history.
pub(crate) fn forget(files: u64) {
    let mut cache = CACHE.lock();
    let mut dropped = Vec::new();
    let cache = &mut *cache;
    for generation in [&mut cache.young, &mut cache.old] {
        dropped.extend(generation.extract_if(|key, _| key.files == files).map(|(_, kept)| kept));
    }
    cache.young_bytes = cache.young.values().map(|(_, bytes)| bytes).sum();
}

impl Cache {
    /// Keeps something, and returns what had to go for it.
    fn keep(&mut self, key: Key, kept: Kept) -> Option<HashMap<Key, Kept>> {
        if kept.1 > self.budget / 2 {
            return None;
        }
        self.old.remove(&key);
        self.young_bytes += kept.1;
        if let Some((_, replaced)) = self.young.insert(key, kept) {
            self.young_bytes -= replaced;
        }
        if self.young_bytes <= self.budget / 2 {
            return None;
        }
        self.young_bytes = 0;
        Some(std::mem::replace(&mut self.old, std::mem::take(&mut self.young)))
    }

    fn take_all(&mut self) -> [HashMap<Key, Kept>; 2] {
        self.young_bytes = 0;
        [std::mem::take(&mut self.young), std::mem::take(&mut self.old)]
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, Key, Kind, forget, get, put};
    use std::sync::Arc;

    fn key(part: u64) -> Key {
        Key { files: u64::MAX, kind: Kind::Page, of: 1, part }
    }

    #[test]
    fn keeps_no_more_than_its_budget_and_the_newest_first() {
        let piece = BUDGET / 16;
        for part in 0..64 {
            put(key(part), &Arc::new(part), piece);
            assert_eq!(get::<u64>(key(part)).as_deref(), Some(&part));
        }
        let kept = (0..64).filter(|part| get::<u64>(key(*part)).is_some()).count();
        assert!((4..=16).contains(&kept), "{kept}");
        assert!(get::<u64>(key(63)).is_some());
        assert_eq!(get::<String>(key(63)), None, "of another type");

        put(key(1_000), &Arc::new(0_u64), BUDGET);
        assert_eq!(get::<u64>(key(1_000)), None, "larger than all the rest");
        forget(u64::MAX);
        assert_eq!(get::<u64>(key(63)), None);
    }
}
