//! The entries that touched any component that had an id, in either direction, read as they are asked for.

use std::sync::Arc;

use flow_history_flow::Slot;
use flow_history_replay::{LogError, LogIndex, Seq, Touches};

type Read = Touches<Arc<LogIndex>>;

/// An id may have been given to several slots, one after the other: what touched any of them is merged. That there may be
/// others takes a page of ids of every segment to know, and so it is asked late: going back from the head, no other slot can
/// have been touched while the component that has the id there was alive, which is until the entry that added it.
pub(crate) struct Touching {
    index: Arc<LogIndex>,
    id: String,
    /// What is left: `first..=last`.
    first: Seq,
    last: Seq,
    newest_first: bool,
    alive: Option<Read>,
    /// Of each slot, once they are known, the next entry and those behind it.
    merged: Option<Vec<(Seq, Read)>>,
}

impl Touching {
    /// Between these entries, both included. To go back from the newest, with the slot of the component that has the id at
    /// the head, if any has.
    pub(crate) fn new(
        index: &Arc<LogIndex>,
        id: &str,
        (first, last): (Seq, Seq),
        back_from: Option<Option<Slot>>,
    ) -> Self {
        let (index, after) = (Arc::clone(index), first.previous().unwrap_or_default());
        let alive = back_from.flatten();
        let alive = alive.map(|slot| Touches::new(Arc::clone(&index), slot, (after, last), true));
        let newest_first = back_from.is_some();
        Self { index, id: id.to_owned(), first, last, newest_first, alive, merged: None }
    }

    fn try_next(&mut self) -> Result<Option<Seq>, LogError> {
        if let Some(alive) = &mut self.alive {
            // While it is neither added nor removed, the one that was touched was there before and after.
            if let Some(seq) = alive.next().transpose()?
                && !alive.came_or_went()
            {
                self.last = seq.previous().unwrap_or_default();
                return Ok(Some(seq));
            }
            self.alive = None;
        }
        if self.merged.is_none() {
            let between = (self.first.previous().unwrap_or_default(), self.last);
            let mut merged = Vec::new();
            for slot in self.index.slots_until(&self.id, self.last) {
                let mut read = Touches::new(Arc::clone(&self.index), slot?, between, self.newest_first);
                if let Some(first) = read.next().transpose()? {
                    merged.push((first, read));
                }
            }
            self.merged = Some(merged);
        }
        let Some(merged) = &mut self.merged else { return Ok(None) };
        let heads = merged.iter().map(|(seq, _)| *seq);
        let Some(next) = (if self.newest_first { heads.max() } else { heads.min() }) else { return Ok(None) };
        // One entry may have touched several.
        for (seq, read) in merged.iter_mut().filter(|(seq, _)| *seq == next) {
            *seq = read.next().transpose()?.unwrap_or_default();
        }
        merged.retain(|(seq, _)| *seq > Seq::ZERO);
        Ok(Some(next))
    }
}

impl Iterator for Touching {
    type Item = Result<Seq, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.try_next();
        if next.is_err() {
            (self.alive, self.merged) = (None, Some(Vec::new()));
        }
        next.transpose()
    }
}
