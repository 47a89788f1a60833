//! The idempotency keys of the newest entries that had one.
//!
//! A pure function of the log, like everything in a state. The window is bounded, so that a history whose every entry has
//! a key does not grow in memory without end; a host that repeats a request does so soon.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use flow_history_flow::{SecretRef, mistake};

use crate::{Body, FlowVersionId, Header};

/// How many keys are remembered.
pub const KEYS_REMEMBERED: usize = 4_096;

/// An entry that had an idempotency key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keyed {
    /// The key.
    pub key: Arc<str>,
    /// The version that the entry made.
    pub id: FlowVersionId,
    /// A hash of who did what: the same key with another hash is a mistake of the caller.
    pub content: [u8; 16],
}

/// The keys that are remembered, oldest first.
#[derive(Clone, Default, Debug)]
pub struct Keys {
    in_order: VecDeque<Arc<Keyed>>,
    by_key: HashMap<Arc<str>, Arc<Keyed>, foldhash::fast::RandomState>,
}

impl Keys {
    /// The entry that had this key, where it is remembered.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Keyed>> {
        self.by_key.get(key)
    }

    /// The keys that are remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Keyed>> {
        self.in_order.iter()
    }

    /// Remembers a key; gives back what was forgotten for it.
    pub(crate) fn add(&mut self, keyed: Keyed) -> Option<Arc<Keyed>> {
        let keyed = Arc::new(keyed);
        let forgotten = if self.in_order.len() >= KEYS_REMEMBERED { self.in_order.pop_front() } else { None };
        if let Some(forgotten) = &forgotten
            && self.by_key.get(&forgotten.key).is_some_and(|held| Arc::ptr_eq(held, forgotten))
        {
            self.by_key.remove(&forgotten.key);
        }
        if !mistake::is_made("a request that is repeated is taken for a new one") {
            self.by_key.insert(Arc::clone(&keyed.key), Arc::clone(&keyed));
        }
        self.in_order.push_back(keyed);
        forgotten
    }

    /// Forgets the newest key, and remembers again what was forgotten for it.
    pub(crate) fn take_back(&mut self, forgotten: Option<Arc<Keyed>>) {
        if let Some(newest) = self.in_order.pop_back() {
            self.by_key.remove(&newest.key);
            // An older entry may have had the same key.
            if let Some(older) = self.in_order.iter().rev().find(|older| older.key == newest.key) {
                self.by_key.insert(Arc::clone(&older.key), Arc::clone(older));
            }
        }
        if let Some(forgotten) = forgotten {
            self.by_key.entry(Arc::clone(&forgotten.key)).or_insert_with(|| Arc::clone(&forgotten));
            self.in_order.push_front(forgotten);
        }
    }
}

/// The hash of who did what.
#[must_use]
pub fn content_of(header: &Header, body: &Body) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header.author.id.as_bytes());
    // What Debug prints of a body says everything but secrets, of which it says that they are one.
    hasher.update(format!("\n{:?}\n{body:?}", header.intent).as_bytes());
    if let Body::Change(operations) = body {
        // Sealed anew, a secret has another name and the same tag.
        let mut tags = |secret: &SecretRef| {
            hasher.update(&secret.tag);
        };
        operations.iter().for_each(|operation| operation.visit_secrets(&mut tags));
    }
    let hash = hasher.finalize();
    let mut content = [0; 16];
    content.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    content
}
