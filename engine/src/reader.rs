//! A history as somebody may see it: entries, differences, and what became of components, by the policies of the versions
//! that are read.
//!
//! What may not be read is there as a stub, so that counts stay right, and what may be read names it by the id of that
//! stub; of an entry that holds or names such, the message and the attributes are left out as well, because they speak of
//! all of it. Its number, ID, author, time and links stay: the chain can be followed whoever looks.

use flow_history_flow::{
    ChangeKind, ComponentDifference, ComponentId, Difference, Operation, Summary, Value,
};
use flow_history_replay::{Author, Body, Entry, FlowVersionId, Header, Mark, Seq};

use crate::entries::{Entries, OperationKind};
use crate::life::{Blame, Interval, Removed, Trash};
use crate::log_lines::Log;
use crate::seen::{Seen, Sight, Stub};
use crate::selector::At;
use crate::undo::components_left_out;
use crate::veil::{Veil, Version};
use crate::{Error, History};

/// A history as somebody may see it. Where the history has no authorizer that is everything.
///
/// A reading that needs policies puts the flow of each version together that it is about.
#[derive(Clone, Debug)]
pub struct Reader {
    history: History,
    author: Author,
}

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
    redacted: bool,
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
        let around = self.around(&entry)?;
        Ok(see(entry, &mut self.veil(&around)))
    }

    /// The entries that fit a question, as [`History::entries`] asks it. What may not be seen answers no condition: an
    /// entry comes where what may be seen of it fits.
    pub fn entries(&self, asked: Entries) -> impl Iterator<Item = Result<SeenEntry, Error>> + use<> {
        let reader = self.clone();
        let again = asked.again();
        asked.filter_map(move |entry| entry.and_then(|entry| reader.seen_to_fit(entry, &again)).transpose())
    }

    fn seen_to_fit(&self, entry: Entry, asked: &Entries) -> Result<Option<SeenEntry>, Error> {
        let around = self.around(&entry)?;
        let mut veil = self.veil(&around);
        let seen = see(entry.clone(), &mut veil);
        if self.sees_everything() {
            return Ok(Some(seen));
        }
        let visible = seen.visible_part_of(&entry);
        let Body::Change(operations) = &visible.body else { return Ok(Some(seen)) };
        // What lies between may hide that one is inside the other.
        let inside = |root: &str| operations.iter().any(|o| veil.is_seen_inside(o.id(), root));
        let fits = asked.fits_but_for_place(&visible) && asked.root().is_none_or(inside);
        Ok(fits.then_some(seen))
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
            let around = reader.around(&line.entry)?;
            let mut veil = reader.veil(&around);
            let entry = see(line.entry, &mut veil);
            let difference = see_difference(line.difference, line.summary, &mut veil);
            Ok(SeenLine { entry, difference })
        })
    }

    /// What changed from one version to another, by the policies of both.
    ///
    /// # Errors
    /// Those of [`History::at`].
    pub fn diff(&self, before: impl Into<At>, after: impl Into<At>) -> Result<SeenDifference, Error> {
        let (before, after) = (self.history.at(before)?, self.history.at(after)?);
        let versions = [(before.to_flow()?, before.seq()), (after.to_flow()?, after.seq())];
        let difference = Difference::between(&versions[0].0, &versions[1].0);
        let summary = difference.summary();
        Ok(see_difference(difference, summary, &mut self.veil(&versions)))
    }

    /// For each field of a component at the head, who gave it its value and when; `None` where there is no such component.
    ///
    /// # Errors
    /// [`Error::Denied`] where its policy refuses rather than redacts; as [`History::blame`].
    pub fn blame(&self, id: &str) -> Result<Option<Sight<Vec<Blame>>>, Error> {
        Ok(match self.at(At::Head)?.component(id)? {
            Some(Sight::Whole(_)) => {
                let head = [self.version(self.history.version().seq())?];
                let mut veil = self.veil(&head);
                let mut blames = self.history.blame(id)?;
                blames.iter_mut().for_each(|blame| blame.value = veil.value(&blame.value));
                Some(Sight::Whole(blames))
            }
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
            let Some(value) = value.filter(|_| !self.sees_everything()) else { return Ok(holds(value)) };
            let version = [self.version(seq)?];
            let mut veil = self.veil(&version);
            Ok(veil.stub(&ComponentId::from(id)).is_none() && holds(Some(&veil.value(value))))
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
            let before = [reader.version(removed.entry.previous().unwrap_or_default())?];
            let mut veil = reader.veil(&before);
            Ok(match veil.stub(&removed.component.id) {
                Some(_) => Sight::Redacted(Stub { slot: removed.slot }),
                None => Sight::Whole(Removed { component: veil.component(&removed.component), ..removed }),
            })
        }))
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn sees_everything(&self) -> bool {
        self.history.authorizer().is_none()
    }

    pub(crate) fn version(&self, seq: Seq) -> Result<Version, Error> {
        Ok((self.history.at(seq)?.to_flow()?, seq))
    }

    /// The flows before and after an entry, where anything in it could be hidden.
    fn around(&self, entry: &Entry) -> Result<Vec<Version>, Error> {
        if self.sees_everything() || matches!(entry.body, Body::Mark(_)) {
            return Ok(Vec::new());
        }
        Ok(vec![self.version(entry.seq.previous().unwrap_or_default())?, self.version(entry.seq)?])
    }

    /// What lies between the reader and some versions, the oldest first.
    pub(crate) fn veil<'f>(&'f self, versions: &'f [Version]) -> Veil<'f> {
        Veil::new(&self.history, &self.author, versions.iter().map(|(flow, seq)| (flow, *seq)))
    }
}

fn see(entry: Entry, veil: &mut Veil<'_>) -> SeenEntry {
    let Entry { seq, id, mut header, body, .. } = entry;
    veil.passing(&body);
    let body = match body {
        Body::Mark(mark) => SeenBody::Mark(mark),
        Body::Change(operations) => {
            SeenBody::Change(operations.into_iter().map(|operation| see_operation(operation, veil)).collect())
        }
        _ => SeenBody::Change(Vec::new()),
    };
    for id in components_left_out(&header.attributes) {
        veil.stub(&id);
    }
    let redacted = veil.hid();
    if redacted {
        header.message = "".into();
        header.attributes.clear();
        header.idempotency_key = None;
    }
    SeenEntry { seq, id, header, body, redacted }
}

pub(crate) fn see_operation(operation: Operation, veil: &mut Veil<'_>) -> SeenOperation {
    match veil.stub(operation.id()) {
        Some(stub) => SeenOperation::Redacted(OperationKind::of(&operation), stub),
        None => SeenOperation::Whole(veil.operation(operation)),
    }
}

fn see_difference(difference: Difference, summary: Summary, veil: &mut Veil<'_>) -> SeenDifference {
    let (mut components, mut stubs) = (Vec::new(), Vec::new());
    for component in difference.components {
        match veil.stub(&component.id) {
            // Their order, which is that of ids, must not give away where an id lies.
            Some(stub) => stubs.push((component.kind(), stub)),
            None => components.push(SeenChange::Whole(veil.difference(component))),
        }
    }
    stubs.sort_unstable_by_key(|(_, stub)| stub.slot);
    components.extend(stubs.into_iter().map(|(kind, stub)| SeenChange::Redacted(kind, stub)));
    SeenDifference { components, summary }
}

impl SeenEntry {
    /// Whether anything in it, or that it names, may not be seen.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.redacted
    }

    /// What may be seen of the entry that it is of.
    fn visible_part_of(&self, entry: &Entry) -> Entry {
        let body = match &self.body {
            SeenBody::Mark(_) => entry.body.clone(),
            SeenBody::Change(operations) => {
                let whole = |operation: &SeenOperation| match operation {
                    SeenOperation::Whole(operation) => Some(operation.clone()),
                    SeenOperation::Redacted(..) => None,
                };
                Body::Change(operations.iter().filter_map(whole).collect())
            }
        };
        Entry::new(entry.seq, entry.id, self.header.clone(), body)
    }
}
