//! What was undone and left behind.

use flow_history_replay::{Fold, Seq};

use crate::{Error, History};

/// An undo that can no longer be done again because somebody went on without it. [`crate::Proposal::revert`] of the undo
/// brings back what it took.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LeftBehind {
    /// The undo.
    pub undo: Seq,
    /// The change after which it could not be done again.
    pub by: Seq,
    /// The version that had what the undo took.
    pub version: Seq,
}

/// Reads the whole log.
pub(crate) fn left_behind(history: &History) -> Result<Vec<LeftBehind>, Error> {
    let mut fold = Fold::default();
    for line in history.log() {
        let entry = line?.entry;
        fold.follow(entry.seq, &entry.header, &entry.body);
    }
    let of = |abandoned: &flow_history_replay::Abandoned| LeftBehind {
        undo: abandoned.undo,
        by: abandoned.by,
        version: abandoned.undo.previous().unwrap_or_default(),
    };
    Ok(fold.abandoned().iter().map(of).collect())
}
