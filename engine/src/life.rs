//! What became of a component: who gave each field its value, when a field held what, and what was removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_history_flow::{Component, Name, Operation, Slot, Value};
use flow_history_replay::{Author, Body, Entry, FlowVersionId, LogIndex, Mark, Seq, Timestamp};

use crate::past::Past;
use crate::touching::Touching;
use crate::{Error, History};

/// Who gave a field the value that it has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blame {
    /// The field.
    pub field: Name,
    /// Its value.
    pub value: Value,
    /// The version that gave it, in whole or the last part of it.
    pub version: FlowVersionId,
    /// Who.
    pub author: Arc<Author>,
    /// The log time, in milliseconds since 1970.
    pub log_time: i64,
}

/// A component that was removed and is not there now. [`crate::Proposal::revert`] of the entry brings everything back that
/// went with it; [`crate::Part::Component`] of the version before it alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Removed {
    /// As it was.
    pub component: Arc<Component>,
    /// Its slot, by which two of the same id are told apart.
    pub slot: Slot,
    /// The entry that removed it.
    pub entry: Seq,
    /// Who did it.
    pub author: Arc<Author>,
    /// When, in milliseconds since 1970.
    pub log_time: i64,
}

/// A stretch of versions, from one to the one before another, or to now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Interval {
    /// The first version.
    pub from: FlowVersionId,
    /// Its log time, in milliseconds since 1970.
    pub from_time: i64,
    /// The first version after it; `None` where it lasts.
    pub until: Option<FlowVersionId>,
    /// That one's log time.
    pub until_time: Option<i64>,
}

impl Interval {
    /// Whether a version lies in it.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.from.seq() <= seq && self.until.is_none_or(|until| seq < until.seq())
    }
}

impl History {
    /// For each field of a component at the head, who gave it its value and when. Empty where there is no such component.
    /// Reads the entries that touched it, newest first, until every field is told.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`].
    pub fn blame(&self, id: &str) -> Result<Vec<Blame>, Error> {
        let index = self.index()?;
        let files = self.files();
        let failed = |error| files.log_error(error);
        let Some((slot, component)) = self.alive(id)? else { return Ok(Vec::new()) };
        let mut told: Vec<(Name, Value, Option<Entry>)> =
            component.fields.iter().map(|(name, value)| (name.clone(), value.clone(), None)).collect();
        for seq in index.touches_back(slot, Seq::ZERO, index.last_seq()) {
            if told.iter().all(|(_, _, entry)| entry.is_some()) {
                break;
            }
            let Some(entry) = index.entry(seq.map_err(failed)?).map_err(failed)? else { continue };
            let Body::Change(operations) = &entry.body else { continue };
            for operation in operations.iter().filter(|operation| **operation.id() == *id) {
                for (name, _, by) in told.iter_mut().filter(|(_, _, by)| by.is_none()) {
                    let gave = match operation {
                        Operation::Add { .. } => true,
                        Operation::Set { path, .. } => path.field == *name,
                        _ => false,
                    };
                    if gave {
                        *by = Some(entry.clone());
                    }
                }
            }
        }
        let blame = |(field, value, entry): (Name, Value, Option<Entry>)| {
            let entry = entry?;
            let (version, author) = (entry.id, Arc::clone(&entry.header.author));
            Some(Blame { field, value, version, author, log_time: entry.header.log_time })
        };
        Ok(told.into_iter().filter_map(blame).collect())
    }

    /// The versions during which a field of a component held what is asked, oldest first: "which stamps ran under the bad
    /// value". A component that is not there, and a field that is absent, is asked about as `None`; so is all of version 0.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`].
    pub fn when(
        &self,
        id: &str,
        field: &str,
        holds: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Vec<Interval>, Error> {
        self.when_at(id, field, |_, value| Ok(holds(value)))
    }

    /// As [`History::when`], asked with the version.
    pub(crate) fn when_at(
        &self,
        id: &str,
        field: &str,
        holds: impl Fn(Seq, Option<&Value>) -> Result<bool, Error>,
    ) -> Result<Vec<Interval>, Error> {
        let index = self.index()?;
        let files = self.files();
        let oldest = self.oldest()?;
        let mut intervals: Vec<Interval> = Vec::new();
        // What held at the oldest version that is kept, which is version 0 where nothing was pruned.
        let begin = self.at(oldest.previous().unwrap_or_default())?;
        let at_first = begin.component(id)?;
        let mut held = holds(begin.seq(), at_first.as_ref().and_then(|component| component.get(field)))?;
        if held {
            let (from, from_time) = (begin.version()?, begin.log_time()?);
            intervals.push(Interval { from, from_time, until: None, until_time: None });
        }
        for seq in Touching::new(&index, id, (oldest, index.last_seq()), None) {
            let seq = seq.map_err(|error| files.log_error(error))?;
            let past = Past::new(files, Arc::clone(&index), seq);
            let component = past.component(id).map_err(|error| files.log_error(error))?;
            let holds_now = holds(seq, component.as_ref().and_then(|component| component.get(field)))?;
            if holds_now == held {
                continue;
            }
            held = holds_now;
            let (chain, time) = past.place().map_err(|error| files.log_error(error))?;
            let version = FlowVersionId::new(seq, &chain);
            match intervals.last_mut() {
                Some(last) if !holds_now => (last.until, last.until_time) = (Some(version), Some(time)),
                _ if holds_now => {
                    intervals.push(Interval {
                        from: version,
                        from_time: time,
                        until: None,
                        until_time: None,
                    });
                }
                _ => {}
            }
        }
        Ok(intervals)
    }

    /// The components that were removed and are not there any more, the one removed last first: what they were, who
    /// removed them and when. Reads as it goes.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`].
    pub fn trash(&self) -> Result<Trash, Error> {
        let index = self.index()?;
        let alive = self.look_at_head(|state| state.flow.clone())?;
        Ok(Trash {
            history: self.clone(),
            next: index.last_seq(),
            oldest: self.oldest()?,
            index,
            alive,
            seen: BTreeSet::new(),
            found: Vec::new(),
            failed: false,
        })
    }

    /// The version that ran at a time, as marks say; `None` where none had been said to run by then. Apart from the
    /// version saved last, which [`History::find`] gives.
    ///
    /// # Errors
    /// [`Error::BeforeFirst`], [`Error::Damaged`] and [`Error::Io`].
    pub fn running_at(&self, time: Timestamp) -> Result<Option<FlowVersionId>, Error> {
        let saved = self.find(time)?.seq();
        let index = self.index()?;
        let files = self.files();
        // The newest mark that says so, from there back.
        let (oldest, mut at) = (self.oldest()?, saved);
        while at >= oldest && at > Seq::ZERO {
            let entry = index.entry(at).map_err(|error| files.log_error(error))?;
            if let Some(Body::Mark(Mark::Running { version })) = entry.map(|entry| entry.body) {
                return self.find(version).map(Some);
            }
            at = at.previous().unwrap_or_default();
        }
        Ok(None)
    }

    /// The version that changed a component last, whether or not it is still there; `None` where there never was one. For
    /// a host that stamps an event with the version of the component that made it.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`].
    pub fn last_change(&self, id: &str) -> Result<Option<FlowVersionId>, Error> {
        self.flush_buffered()?;
        let index = self.index()?;
        let files = self.files();
        let mut newest = None;
        for slot in index.slots_of(id) {
            let slot = slot.map_err(|error| files.log_error(error))?;
            let touch = index.touches_back(slot, Seq::ZERO, index.last_seq()).next();
            newest = newest.max(touch.transpose().map_err(|error| files.log_error(error))?);
        }
        newest.map(|seq| self.find(seq)).transpose()
    }

    fn alive(&self, id: &str) -> Result<Option<(Slot, Arc<Component>)>, Error> {
        self.look_at_head(|state| Some((state.flow.slot(id)?, Arc::clone(state.flow.component(id)?))))
    }
}

/// An iterator over what was removed, see [`History::trash`].
#[must_use = "entries are read as they are iterated"]
pub struct Trash {
    history: History,
    index: Arc<LogIndex>,
    alive: flow_history_flow::Flow,
    next: Seq,
    oldest: Seq,
    seen: BTreeSet<Slot>,
    found: Vec<Removed>,
    failed: bool,
}

impl Trash {
    fn next_removed(&mut self) -> Result<Option<Removed>, Error> {
        let files = Arc::clone(self.history.files());
        let failed = |error| files.log_error(error);
        loop {
            if let Some(found) = self.found.pop() {
                return Ok(Some(found));
            }
            if self.next < self.oldest || self.next == Seq::ZERO {
                return Ok(None);
            }
            let seq = self.next;
            self.next = seq.previous().unwrap_or_default();
            let Some(entry) = self.index.entry(seq).map_err(failed)? else { continue };
            let Body::Change(operations) = &entry.body else { continue };
            if !operations.iter().any(|operation| matches!(operation, Operation::Remove { .. })) {
                continue;
            }
            let before = Past::new(&files, Arc::clone(&self.index), self.next);
            for operation in operations {
                let Operation::Remove { id } = operation else { continue };
                // A component that the same change added is nobody's loss.
                let Some((slot, component)) = before.find(id).map_err(failed)? else { continue };
                if self.alive.component_in(slot).is_none() && self.seen.insert(slot) {
                    let (author, log_time) = (Arc::clone(&entry.header.author), entry.header.log_time);
                    self.found.push(Removed { component, slot, entry: seq, author, log_time });
                }
            }
        }
    }
}

impl Iterator for Trash {
    type Item = Result<Removed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let removed = self.next_removed();
        self.failed = removed.is_err();
        removed.transpose()
    }
}
