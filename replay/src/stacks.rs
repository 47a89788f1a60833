//! What undo and redo would take next: a pure function of the log.
//!
//! Nothing but the tops is kept. Each entry that moves a stack says what lies beneath it, so that the stack below a top
//! is read from the entries themselves, and a history of ten million changes costs no memory for its stacks.
//!
//! A unit need not be on top to be taken: an author's newest may lie beneath the units of others. Then the stack of the
//! flow keeps it, and the undo that took it stands on top without being a unit, so that whoever walks down meets the undo
//! first and passes its unit over. A redo does the same on the stack of undos. [`crate::Fold`] says the same in lists.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Header, Intent, Seq};

/// The tops of the two stacks of one scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tops {
    /// The newest unit that undo would take back.
    pub undo: Option<Seq>,
    /// The newest undo that redo would take back.
    pub redo: Option<Seq>,
}

/// What lies beneath an entry on the stacks that it moved: the tops after the entry, without the entry itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beneath {
    /// On the stacks of the whole flow.
    pub flow: Tops,
    /// On the stacks of the author who owns the unit.
    pub author: Tops,
    /// The id of that author: for an undo or a redo the one whose change is taken back or done again, otherwise the
    /// entry's own.
    pub owner: Arc<str>,
}

/// The unit that lies so many entries back, as an entry says it; 0 stands for none.
pub(crate) fn units_back(seq: Seq, back: u64) -> Result<Option<Seq>, String> {
    match back {
        0 => Ok(None),
        _ => seq
            .0
            .checked_sub(back)
            .filter(|seq| *seq > 0)
            .map(|seq| Some(Seq(seq)))
            .ok_or_else(|| "a unit on a stack lies before the first entry".to_owned()),
    }
}

/// The tops of all stacks at a version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stacks {
    /// The stacks of the whole flow.
    pub flow: Tops,
    /// The stacks of each author, by id.
    pub authors: HashMap<Arc<str>, Tops, foldhash::fast::RandomState>,
}

impl Stacks {
    /// The tops of an author's stacks.
    #[must_use]
    pub fn of_author(&self, id: &str) -> Tops {
        self.authors.get(id).copied().unwrap_or_default()
    }

    /// What lies beneath a new undoable unit of an author: it goes on top, and what could be done again no longer can.
    pub(crate) fn beneath_new_unit(&self, author: &Arc<str>) -> Beneath {
        let without_redo = |tops: Tops| Tops { redo: None, ..tops };
        Beneath {
            flow: without_redo(self.flow),
            author: without_redo(self.of_author(author)),
            owner: Arc::clone(author),
        }
    }

    /// Moves the stacks as an entry says. Marks, system and reconcile entries leave them alone. Returns the tops before
    /// of the owner's stacks, for taking it back.
    pub(crate) fn follow(&mut self, seq: Seq, header: &Header) -> Option<(Arc<str>, Option<Tops>)> {
        let beneath = header.beneath.as_ref()?;
        // Where nothing was taken off the other stack, the unit lies somewhere beneath its top.
        let over = |before: Option<Seq>, beneath: Option<Seq>| {
            if before == beneath { beneath.and(Some(seq)) } else { beneath }
        };
        let put = |before: Tops, beneath: Tops| match header.intent {
            Intent::Undo => Tops { undo: over(before.undo, beneath.undo), redo: Some(seq) },
            Intent::Redo => Tops { undo: Some(seq), redo: over(before.redo, beneath.redo) },
            _ => Tops { undo: Some(seq), ..beneath },
        };
        self.flow = put(self.flow, beneath.flow);
        let owner = Arc::clone(&beneath.owner);
        if let Some(own) = self.authors.get_mut(&*owner) {
            let before = std::mem::replace(own, put(*own, beneath.author));
            return Some((owner, Some(before)));
        }
        self.authors.insert(Arc::clone(&owner), put(Tops::default(), beneath.author));
        Some((owner, None))
    }
}
