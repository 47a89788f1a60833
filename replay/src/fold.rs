//! The stacks of a whole log, unit by unit: what [`crate::Stacks`] is checked against.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Body, Header, Intent, Link, Seq};

/// Every unit on every stack, by reading every entry once. It keeps them all, so it is for checking and for listing, not
/// for undoing.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    flow: Lists,
    authors: HashMap<Arc<str>, Lists>,
    owners: HashMap<Seq, Arc<str>>,
    abandoned: Vec<Abandoned>,
}

/// The units of one scope, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lists {
    /// The entries that undo would take back, the last one first.
    pub undo: Vec<Seq>,
    /// The undos that redo would do again, the last one first.
    pub redo: Vec<Seq>,
}

/// An undo that can no longer be done again because somebody went on without it. It is still there: to revert the undo
/// brings back what it took.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Abandoned {
    /// The undo.
    pub undo: Seq,
    /// The change after which it could not be done again.
    pub by: Seq,
}

impl Fold {
    /// Takes the next entry into account.
    pub fn follow(&mut self, seq: Seq, header: &Header, body: &Body) {
        if !matches!(body, Body::Change(_)) {
            return;
        }
        let taken: Vec<Seq> = header.links.iter().filter_map(|link| taken_by(header.intent, link)).collect();
        let owner = match header.intent {
            Intent::Undo | Intent::Redo => taken
                .first()
                .and_then(|unit| self.owners.get(unit).cloned())
                .unwrap_or_else(|| Arc::clone(&header.author.id)),
            intent if intent.is_undoable() => Arc::clone(&header.author.id),
            // The host did it, for nobody.
            _ => return,
        };
        self.owners.insert(seq, Arc::clone(&owner));
        let own = self.authors.entry(owner).or_default();
        match header.intent {
            Intent::Undo => [&mut self.flow, own].into_iter().for_each(|lists| {
                lists.undo.retain(|unit| !taken.contains(unit));
                lists.redo.push(seq);
            }),
            Intent::Redo => {
                for lists in [&mut self.flow, own] {
                    lists.redo.retain(|undo| !taken.contains(undo));
                    lists.undo.push(seq);
                }
                self.abandoned.retain(|abandoned| !taken.contains(&abandoned.undo));
            }
            _ => {
                self.abandoned.extend(self.flow.redo.iter().map(|undo| Abandoned { undo: *undo, by: seq }));
                for lists in [&mut self.flow, own] {
                    lists.redo.clear();
                    lists.undo.push(seq);
                }
            }
        }
    }

    /// The stacks of the whole flow.
    #[must_use]
    pub fn flow(&self) -> &Lists {
        &self.flow
    }

    /// The stacks of an author.
    #[must_use]
    pub fn of_author(&self, id: &str) -> Lists {
        self.authors.get(id).cloned().unwrap_or_default()
    }

    /// The authors who own any unit.
    pub fn authors(&self) -> impl Iterator<Item = &Arc<str>> {
        self.authors.keys()
    }

    /// The undos that can no longer be done again in the scope of the flow, oldest first.
    #[must_use]
    pub fn abandoned(&self) -> &[Abandoned] {
        &self.abandoned
    }
}

/// The unit that an undo or a redo takes by this link.
#[must_use]
pub fn taken_by(intent: Intent, link: &Link) -> Option<Seq> {
    match (intent, link) {
        (Intent::Undo, Link::Undoes(seq)) | (Intent::Redo, Link::Redoes(seq)) => Some(*seq),
        _ => None,
    }
}
