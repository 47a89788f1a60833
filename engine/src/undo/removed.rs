//! What was removed and is not there now, and what was undone and left behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId};
use flow_history_replay::{Author, Fold, Seq};

use crate::{Error, History};

/// A component that was removed and is not there now. [`crate::Proposal::revert`] of the entry brings everything back that
/// went with it; [`crate::Part::Component`] of the version before it alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Removed {
    /// As it was.
    pub component: Arc<Component>,
    /// The entry that removed it.
    pub entry: Seq,
    /// Who did it.
    pub author: Arc<Author>,
    /// When, in milliseconds since 1970.
    pub log_time: i64,
}

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
pub(crate) fn removed(history: &History) -> Result<Vec<Removed>, Error> {
    let mut gone: BTreeMap<ComponentId, Removed> = BTreeMap::new();
    for line in history.log() {
        let line = line?;
        for component in line.difference.components {
            match (component.before, component.after) {
                (Some(before), None) => {
                    let header = &line.entry.header;
                    let removed = Removed {
                        component: before,
                        entry: line.entry.seq,
                        author: Arc::clone(&header.author),
                        log_time: header.log_time,
                    };
                    gone.insert(component.id, removed);
                }
                (None, Some(_)) => drop(gone.remove(&component.id)),
                _ => {}
            }
        }
    }
    let mut gone: Vec<Removed> = gone.into_values().collect();
    gone.sort_by_key(|removed| std::cmp::Reverse(removed.entry));
    Ok(gone)
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
