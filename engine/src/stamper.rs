//! What a host puts on its provenance events.

use std::sync::Arc;

use flow_history_replay::FlowVersionId;

use crate::published::Published;

/// The versions of a history, to be read by whoever stamps events: no lock, no allocation, some two nanoseconds. Cheap to
/// clone, and it holds no history open.
///
/// Saved is not running: a host whose edits take effect later says so with [`History::running`](crate::History::running),
/// and from then on [`Stamper::current`] gives the version that runs. Where edits take effect at once nothing needs to be
/// said, and the two are the same.
#[derive(Clone)]
pub struct Stamper {
    head: Arc<Published>,
    running: Arc<Published>,
}

impl Stamper {
    pub(crate) fn new(head: Arc<Published>, running: Arc<Published>) -> Self {
        Self { head, running }
    }

    /// The version to stamp with: the one that runs, where the host has said which; the newest otherwise.
    #[must_use]
    #[inline]
    pub fn current(&self) -> FlowVersionId {
        self.running.load_declared().unwrap_or_else(|| self.head.load())
    }

    /// The newest version.
    #[must_use]
    #[inline]
    pub fn head(&self) -> FlowVersionId {
        self.head.load()
    }
}

impl std::fmt::Debug for Stamper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamper").field("current", &self.current()).field("head", &self.head()).finish()
    }
}
