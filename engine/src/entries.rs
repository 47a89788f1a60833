//! Questions about entries: who, when, why, about what; oldest or newest first, page by page.

use std::sync::Arc;

use flow_history_flow::{ComponentId, Operation};
use flow_history_replay::{Body, Entry, Intent, LogError, LogIndex, Seq, Timestamp};

use crate::past::Past;
use crate::selector::At;
use crate::touching::Touching;
use crate::{Error, History};

/// What kind of step an operation is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum OperationKind {
    /// A component came.
    Add,
    /// A component went.
    Remove,
    /// A field changed.
    Set,
    /// A component stands elsewhere.
    Move,
}

impl OperationKind {
    /// The kind of an operation.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Add { .. } => Self::Add,
            Operation::Remove { .. } => Self::Remove,
            Operation::Set { .. } => Self::Set,
            Operation::Move { .. } => Self::Move,
        }
    }
}

/// An iterator over the entries that fit a question, oldest first unless it is told otherwise. It reads as it goes, keeps
/// no entry, and answers for the entries that there were when it was made. After an error it ends.
///
/// The version ID of the last entry of a page is the cursor of the next page, see [`Entries::after`]: it stays good
/// whatever is appended.
#[must_use = "entries are read as they are iterated"]
pub struct Entries {
    history: History,
    asked: Asked,
    running: Option<Running>,
    failed: bool,
}

#[derive(Clone, Default)]
struct Asked {
    author: Option<String>,
    intent: Option<Intent>,
    component: Option<String>,
    subtree: Option<String>,
    field: Option<String>,
    kind: Option<OperationKind>,
    text: Option<String>,
    from: Option<At>,
    to: Option<At>,
    since: Option<i64>,
    until: Option<i64>,
    after: Option<At>,
    newest_first: bool,
}

struct Running {
    index: Arc<LogIndex>,
    /// What is left to look at: `next..=last`.
    next: Seq,
    last: Seq,
    /// The entries that touched the component, where one was asked for.
    touching: Option<Touching>,
}

impl History {
    /// Asks for entries. Without a condition these are all of them.
    pub fn entries(&self) -> Entries {
        Entries { history: self.clone(), asked: Asked::default(), running: None, failed: false }
    }
}

impl Entries {
    /// Of the author with this id.
    pub fn author(mut self, id: &str) -> Self {
        self.asked.author = Some(id.to_owned());
        self
    }

    /// With this intent.
    pub fn intent(mut self, intent: Intent) -> Self {
        self.asked.intent = Some(intent);
        self
    }

    /// That touched the component with this id, whenever it had that id. Costs what they are, not what the history is.
    pub fn component(mut self, id: &str) -> Self {
        self.asked.component = Some(id.to_owned());
        self
    }

    /// That touched the component with this id or what was inside it at the time. Each operation is looked at in the
    /// version that it made, or for a removal in the one before.
    pub fn subtree(mut self, id: &str) -> Self {
        self.asked.subtree = Some(id.to_owned());
        self
    }

    /// That set this field, of the component asked for or of any. An add that brings it counts.
    pub fn field(mut self, name: &str) -> Self {
        self.asked.field = Some(name.to_owned());
        self
    }

    /// With an operation of this kind.
    pub fn kind(mut self, kind: OperationKind) -> Self {
        self.asked.kind = Some(kind);
        self
    }

    /// Whose message holds this text, letters of either case being the same.
    pub fn text(mut self, text: &str) -> Self {
        self.asked.text = Some(text.to_lowercase());
        self
    }

    /// From this version on.
    pub fn from(mut self, version: impl Into<At>) -> Self {
        self.asked.from = Some(version.into());
        self
    }

    /// Up to this version.
    pub fn to(mut self, version: impl Into<At>) -> Self {
        self.asked.to = Some(version.into());
        self
    }

    /// Whose log time is not earlier than this.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.asked.since = Some(time.millis);
        self
    }

    /// Whose log time is not later than this.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.asked.until = Some(time.millis);
        self
    }

    /// Behind this version, in the direction in which the entries come: where the page before ended. An ID of another
    /// history is refused as [`Error::Foreign`].
    pub fn after(mut self, cursor: impl Into<At>) -> Self {
        self.asked.after = Some(cursor.into());
        self
    }

    /// The newest first. Nothing older is read than what is asked for.
    pub fn newest_first(mut self) -> Self {
        self.asked.newest_first = true;
        self
    }

    /// The same question, asked anew.
    pub(crate) fn again(&self) -> Self {
        Self { history: self.history.clone(), asked: self.asked.clone(), running: None, failed: false }
    }

    /// Whether a part of an entry that fits does so too, wherever it is.
    pub(crate) fn fits_but_for_place(&self, part: &Entry) -> bool {
        self.asked.fits(part)
    }

    /// What everything asked for is inside of.
    pub(crate) fn root(&self) -> Option<&str> {
        self.asked.subtree.as_deref()
    }

    fn begin(&self) -> Result<Running, Error> {
        let (history, asked) = (&self.history, &self.asked);
        let seq_of = |at: &Option<At>| at.clone().map(|at| history.find(at).map(|id| id.seq())).transpose();
        let index = Arc::new(history.index()?.with_near(history.look_at_head(|state| state.flow.clone())?));
        let mut next = seq_of(&asked.from)?.unwrap_or(Seq(1)).max(history.oldest()?);
        let mut last = seq_of(&asked.to)?.unwrap_or(Seq(u64::MAX)).min(index.last_seq());
        if let Some(cursor) = seq_of(&asked.after)? {
            match asked.newest_first {
                true => last = last.min(cursor.previous().unwrap_or_default()),
                false => next = next.max(cursor.next().unwrap_or(cursor)),
            }
        }
        let files = history.files();
        if let Some(since) = asked.since {
            let before = files.read(|log| log.seq_at_time(since.saturating_sub(1)))?;
            next = next.max(before.next().unwrap_or(before));
        }
        if let Some(until) = asked.until {
            last = last.min(files.read(|log| log.seq_at_time(until))?);
        }
        let touching = match &asked.component {
            Some(id) if asked.newest_first => {
                Some(Touching::new(&index, id, (next, last), Some(history.slot_at_head(id)?)))
            }
            Some(id) => Some(Touching::new(&index, id, (next, last), None)),
            None => None,
        };
        Ok(Running { index, next, last, touching })
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        if self.running.is_none() {
            self.running = Some(self.begin()?);
        }
        let files = Arc::clone(self.history.files());
        loop {
            let Some(running) = &mut self.running else { return Ok(None) };
            let Some(seq) = running.next_seq(self.asked.newest_first) else { return Ok(None) };
            let seq = seq.map_err(|error| files.log_error(error))?;
            let index = Arc::clone(&running.index);
            let entry = index.entry(seq).map_err(|error| {
                // What was to be read may have been pruned meanwhile, which is no damage.
                files.forget_index();
                match files.log() {
                    Ok(log) if seq <= log.oldest() => Error::Pruned { oldest: log.oldest() },
                    _ => files.log_error(error),
                }
            })?;
            let Some(entry) = entry else { return Ok(None) };
            if self.asked.fits(&entry) && self.is_in_subtree(&entry, &index)? {
                return Ok(Some(entry));
            }
        }
    }

    fn is_in_subtree(&self, entry: &Entry, index: &Arc<LogIndex>) -> Result<bool, Error> {
        let Some(root) = &self.asked.subtree else { return Ok(true) };
        let Body::Change(operations) = &entry.body else { return Ok(false) };
        let files = self.history.files();
        let past = |seq: Seq| Past::new(files, Arc::clone(index), seq);
        let (before, after) = (past(entry.seq.previous().unwrap_or_default()), past(entry.seq));
        for operation in operations {
            let inside = |past: &Past| is_inside(past, operation.id(), root);
            let found = match operation {
                Operation::Remove { .. } => inside(&before),
                Operation::Move { .. } => inside(&after).and_then(|found| Ok(found || inside(&before)?)),
                _ => inside(&after),
            };
            if found.map_err(|error| files.log_error(error))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_inside(past: &Past, id: &ComponentId, root: &str) -> Result<bool, LogError> {
    let mut at = Some(id.clone());
    // A flow has no cycle; the bound keeps this finite whatever a file says.
    for _ in 0..flow_history_flow::COMPONENTS_MAX {
        match at {
            Some(id) if *id == *root => return Ok(true),
            Some(id) => at = past.component(&id)?.and_then(|component| component.parent.clone()),
            None => break,
        }
    }
    Ok(false)
}

impl Running {
    fn next_seq(&mut self, newest_first: bool) -> Option<Result<Seq, LogError>> {
        if let Some(touching) = &mut self.touching {
            return touching.next();
        }
        if self.next > self.last || self.last == Seq::ZERO {
            return None;
        }
        let seq = if newest_first { self.last } else { self.next };
        match newest_first {
            true => self.last = self.last.previous().unwrap_or_default(),
            false => self.next = self.next.next()?,
        }
        Some(Ok(seq))
    }
}

impl Asked {
    fn fits(&self, entry: &Entry) -> bool {
        let header = &entry.header;
        let operations = match &entry.body {
            Body::Change(operations) => operations.as_slice(),
            _ => &[],
        };
        let about = |operation: &&Operation| {
            self.component.as_ref().is_none_or(|id| *operation.id().as_str() == **id)
                && self.kind.is_none_or(|kind| OperationKind::of(operation) == kind)
                && self.field.as_ref().is_none_or(|field| sets(operation, field))
        };
        let asks_for_operations = self.component.is_some() || self.kind.is_some() || self.field.is_some();
        self.author.as_ref().is_none_or(|author| *header.author.id == **author)
            && self.intent.is_none_or(|intent| header.intent == intent)
            && self.text.as_ref().is_none_or(|text| header.message.to_lowercase().contains(text.as_str()))
            && (!asks_for_operations || operations.iter().any(|operation| about(&operation)))
    }
}

fn sets(operation: &Operation, field: &str) -> bool {
    match operation {
        Operation::Set { path, .. } => *path.field == *field,
        Operation::Add { component, .. } => component.get(field).is_some(),
        _ => false,
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.next_entry();
        self.failed = entry.is_err();
        entry.transpose()
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("history", &self.history).finish_non_exhaustive()
    }
}
