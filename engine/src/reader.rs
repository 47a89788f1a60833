//! A history as somebody may see it: entries, differences, and what became of components, by the policies of the versions
//! that are read.
//!
//! What may not be read is there as a stub, so that counts stay right; of an entry that holds such, the message and the
//! attributes are left out as well, because they speak of all of it. Its number, ID, author, time and links stay: the chain
//! can be followed whoever looks.

use std::collections::HashMap;

use flow_history_flow::{
    ChangeKind, ComponentDifference, ComponentId, Difference, Flow, Operation, Summary, Value,
};
use flow_history_replay::{Author, Body, Entry, FlowVersionId, Header, Intent, Mark, Seq};

use crate::authorizer::{Decision, Question};
use crate::entries::{Entries, OperationKind};
use crate::life::{Blame, Interval, Removed, Trash};
use crate::log_lines::Log;
use crate::policy::{Action, Policies};
use crate::seen::{Seen, Sight, Stub};
use crate::selector::At;
use crate::{Error, History};

/// A history as somebody may see it. Where the history has no authorizer that is everything.
///
/// A reading that needs policies puts the flow of each version together that it is about.
#[derive(Clone, Debug)]
pub struct Reader {
    history: History,
    author: Author,
}

/// A flow, and the number of its version.
type Version = (Flow, Seq);

/// An entry as somebody may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SeenEntry {
    /// Its place in the history.
    pub seq: Seq,
    /// The name of the version that it made.
    pub id: FlowVersionId,
    /// Who, when and why; without message and attributes where anything is redacted.
    pub header: Header,
    /// What.
    pub body: SeenBody,
}

/// What an entry holds, as somebody may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SeenBody {
    /// Operations, as many as there are.
    Change(Vec<SeenOperation>),
    /// Something that changes no component.
    Mark(Mark),
}

/// An operation, or that there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SeenOperation {
    /// All of it.
    Whole(Operation),
    /// What kind of step it is, and with what.
    Redacted(OperationKind, Stub),
}

/// A component that differs, or that there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SeenChange {
    /// All of it.
    Whole(ComponentDifference),
    /// How it differs.
    Redacted(ChangeKind, Stub),
}

/// What changed, as somebody may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SeenDifference {
    /// The components that differ, as many as there are: first those that may be seen.
    pub components: Vec<SeenChange>,
    /// What changed in numbers, whether or not it may be seen.
    pub summary: Summary,
}

/// An entry and what it changed, as somebody may see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SeenLine {
    /// The entry.
    pub entry: SeenEntry,
    /// What changed.
    pub difference: SeenDifference,
}

impl History {
    /// The history as somebody may see it.
    #[must_use]
    pub fn reader(&self, author: &Author) -> Reader {
        Reader { history: self.clone(), author: author.clone() }
    }
}

impl Reader {
    /// The flow at a version.
    ///
    /// # Errors
    /// Those of [`History::at`].
    pub fn at(&self, at: impl Into<At>) -> Result<Seen, Error> {
        Ok(self.history.seen_by(&self.author, self.history.at(at)?))
    }

    /// An entry that was read, or delivered to a subscription.
    ///
    /// # Errors
    /// Those of [`History::at`].
    pub fn entry(&self, entry: Entry) -> Result<SeenEntry, Error> {
        if self.sees_everything() || matches!(entry.body, Body::Mark(_)) {
            return Ok(see(entry, |_| None));
        }
        let (before, after) = self.around(entry.seq)?;
        Ok(self.see_between(entry, &mut self.sight(&before), &mut self.sight(&after)))
    }

    /// The entries that fit a question, as [`History::entries`] asks it. What may not be seen answers no condition: an
    /// entry comes where what may be seen of it fits.
    pub fn entries(&self, asked: Entries) -> impl Iterator<Item = Result<SeenEntry, Error>> + use<> {
        let reader = self.clone();
        let again = asked.again();
        asked.filter_map(move |entry| {
            let seen = entry.and_then(|entry| {
                let seen = reader.entry(entry.clone())?;
                let Some(visible) = seen.visible_part_of(&entry) else { return Ok(Some(seen)) };
                Ok(again.fits_still(&visible)?.then_some(seen))
            });
            seen.transpose()
        })
    }

    /// The entries, oldest first, with what each changed.
    pub fn log(&self) -> impl Iterator<Item = Result<SeenLine, Error>> + use<> {
        self.lines(self.history.log())
    }

    /// Some entries, oldest first, with what each changed.
    pub fn lines(&self, log: Log) -> impl Iterator<Item = Result<SeenLine, Error>> + use<> {
        let reader = self.clone();
        log.map(move |line| {
            let line = line?;
            if reader.sees_everything() || matches!(line.entry.body, Body::Mark(_)) {
                return Ok(SeenLine {
                    difference: see_difference(line.difference, line.summary, |_| None),
                    entry: see(line.entry, |_| None),
                });
            }
            let (before, after) = reader.around(line.entry.seq)?;
            let (mut before, mut after) = (reader.sight(&before), reader.sight(&after));
            let difference = see_difference(line.difference, line.summary, |component| {
                reader.redacted(&component.id, &mut before, &mut after)
            });
            Ok(SeenLine { difference, entry: reader.see_between(line.entry, &mut before, &mut after) })
        })
    }

    /// What changed from one version to another, by the policies of both.
    ///
    /// # Errors
    /// Those of [`History::at`].
    pub fn diff(&self, before: impl Into<At>, after: impl Into<At>) -> Result<SeenDifference, Error> {
        let (before, after) = (self.history.at(before)?, self.history.at(after)?);
        let (before, after) = ((before.to_flow()?, before.seq()), (after.to_flow()?, after.seq()));
        let difference = Difference::between(&before.0, &after.0);
        let summary = difference.summary();
        let (mut before, mut after) = (self.sight(&before), self.sight(&after));
        Ok(see_difference(difference, summary, |component| {
            self.redacted(&component.id, &mut before, &mut after)
        }))
    }

    /// For each field of a component at the head, who gave it its value and when; `None` where there is no such component.
    ///
    /// # Errors
    /// [`Error::Denied`] where its policy refuses rather than redacts; as [`History::blame`].
    pub fn blame(&self, id: &str) -> Result<Option<Sight<Vec<Blame>>>, Error> {
        Ok(match self.at(At::Head)?.component(id)? {
            Some(Sight::Whole(_)) => Some(Sight::Whole(self.history.blame(id)?)),
            Some(Sight::Redacted(stub)) => Some(Sight::Redacted(stub)),
            None => None,
        })
    }

    /// The versions during which a field of a component held what is asked. A version that gave it a value which may not
    /// be seen, by the policies of that version, is as one in which what is asked does not hold.
    ///
    /// # Errors
    /// As [`History::when`].
    pub fn when(
        &self,
        id: &str,
        field: &str,
        holds: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Vec<Interval>, Error> {
        self.history.when_at(id, field, |seq, value| {
            let may = self.sees_everything() || value.is_none() || {
                let at = (self.history.at(seq)?.to_flow()?, seq);
                self.sight(&at).allows(&ComponentId::from(id))
            };
            Ok(may && holds(value))
        })
    }

    /// The components that were removed and are not there any more, by the last policies that they had.
    ///
    /// # Errors
    /// As [`History::trash`].
    pub fn trash(&self) -> Result<impl Iterator<Item = Result<Sight<Removed>, Error>> + use<>, Error> {
        let reader = self.clone();
        let trash: Trash = self.history.trash()?;
        Ok(trash.map(move |removed| {
            let removed = removed?;
            if reader.sees_everything() {
                return Ok(Sight::Whole(removed));
            }
            let seq = removed.entry.previous().unwrap_or_default();
            let at = (reader.history.at(seq)?.to_flow()?, seq);
            let allowed = reader.sight(&at).allows(&removed.component.id);
            Ok(if allowed { Sight::Whole(removed) } else { Sight::Redacted(Stub { slot: removed.slot }) })
        }))
    }

    fn sees_everything(&self) -> bool {
        self.history.authorizer().is_none()
    }

    /// The flows before and after an entry.
    fn around(&self, seq: Seq) -> Result<(Version, Version), Error> {
        let previous = seq.previous().unwrap_or_default();
        Ok(((self.history.at(previous)?.to_flow()?, previous), (self.history.at(seq)?.to_flow()?, seq)))
    }

    fn sight<'f>(&'f self, (flow, seq): &'f Version) -> VersionSight<'f> {
        VersionSight { reader: self, flow, policies: Policies::new(flow, *seq), asked: HashMap::new() }
    }

    fn see_between(
        &self,
        entry: Entry,
        before: &mut VersionSight<'_>,
        after: &mut VersionSight<'_>,
    ) -> SeenEntry {
        // What came and went within the change is in neither version; it is told by what it was inside.
        let mut passing = HashMap::new();
        if let Body::Change(operations) = &entry.body {
            for operation in operations {
                if let Operation::Add { component, .. } = operation {
                    passing.insert(component.id.clone(), component.parent.clone());
                }
            }
        }
        see(entry, |operation| {
            let id = operation.id();
            if before.flow.slot(id).is_some() || after.flow.slot(id).is_some() {
                return self.redacted(id, before, after);
            }
            let around = passing.get(id).and_then(Option::as_ref);
            let allowed = after.allows_within(id, around) && before.allows_within(id, around);
            (!allowed).then(Stub::default)
        })
    }

    /// What stands for a component that may not be seen in every version that has it; `None` where it may be seen.
    fn redacted(
        &self,
        id: &ComponentId,
        before: &mut VersionSight<'_>,
        after: &mut VersionSight<'_>,
    ) -> Option<Stub> {
        let slot = after.flow.slot(id).or_else(|| before.flow.slot(id)).unwrap_or_default();
        (!before.allows(id) || !after.allows(id)).then_some(Stub { slot })
    }
}

/// What somebody may see of one version, asked once each.
struct VersionSight<'f> {
    reader: &'f Reader,
    flow: &'f Flow,
    policies: Policies<'f>,
    asked: HashMap<ComponentId, bool>,
}

impl VersionSight<'_> {
    /// Whether a component may be seen; so may one that is not there.
    fn allows(&mut self, id: &ComponentId) -> bool {
        self.flow.slot(id).is_none() || self.allows_within(id, Some(id))
    }

    /// Whether a component may be seen that takes its policy from here.
    fn allows_within(&mut self, id: &ComponentId, around: Option<&ComponentId>) -> bool {
        let Some(authorizer) = self.reader.history.authorizer() else { return true };
        if let Some(known) = self.asked.get(id) {
            return *known;
        }
        let policy = around.and_then(|around| self.policies.in_force(around, Action::Read));
        let question = Question {
            principal: &self.reader.author,
            action: Action::Read,
            component: id,
            policy: policy.as_deref(),
            as_of: self.policies.as_of(),
            intent: Intent::Mark,
        };
        let allowed = matches!(authorizer.decide(&question), Decision::Allow);
        self.asked.insert(id.clone(), allowed);
        allowed
    }
}

fn see(entry: Entry, mut redacted: impl FnMut(&Operation) -> Option<Stub>) -> SeenEntry {
    let Entry { seq, id, mut header, body, .. } = entry;
    let body = match body {
        Body::Mark(mark) => SeenBody::Mark(mark),
        Body::Change(operations) => {
            let see = |operation: Operation| match redacted(&operation) {
                Some(stub) => SeenOperation::Redacted(OperationKind::of(&operation), stub),
                None => SeenOperation::Whole(operation),
            };
            SeenBody::Change(operations.into_iter().map(see).collect())
        }
        _ => SeenBody::Change(Vec::new()),
    };
    let mut seen = SeenEntry { seq, id, header: header.clone(), body };
    if seen.is_redacted() {
        header.message = "".into();
        header.attributes.clear();
        header.idempotency_key = None;
        seen.header = header;
    }
    seen
}

fn see_difference(
    difference: Difference,
    summary: Summary,
    mut redacted: impl FnMut(&ComponentDifference) -> Option<Stub>,
) -> SeenDifference {
    let (mut components, mut stubs) = (Vec::new(), Vec::new());
    for component in difference.components {
        match redacted(&component) {
            // Their order, which is that of ids, must not give away where an id lies.
            Some(stub) => stubs.push((component.kind(), stub)),
            None => components.push(SeenChange::Whole(component)),
        }
    }
    stubs.sort_unstable_by_key(|(_, stub)| stub.slot);
    components.extend(stubs.into_iter().map(|(kind, stub)| SeenChange::Redacted(kind, stub)));
    SeenDifference { components, summary }
}

impl SeenEntry {
    /// Whether anything in it may not be seen.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        let is = |operation: &SeenOperation| matches!(operation, SeenOperation::Redacted(..));
        matches!(&self.body, SeenBody::Change(operations) if operations.iter().any(is))
    }

    /// What may be seen of the entry that it is of, where that is not all of it.
    fn visible_part_of(&self, entry: &Entry) -> Option<Entry> {
        let SeenBody::Change(operations) = &self.body else { return None };
        if !self.is_redacted() {
            return None;
        }
        let whole = |operation: &SeenOperation| match operation {
            SeenOperation::Whole(operation) => Some(operation.clone()),
            SeenOperation::Redacted(..) => None,
        };
        let body = Body::Change(operations.iter().filter_map(whole).collect());
        Some(Entry::new(entry.seq, entry.id, self.header.clone(), body))
    }
}
