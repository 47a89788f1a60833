//! Making a change: what to do, who does it and why.

use std::collections::HashSet;
use std::sync::Arc;

use flow_history_flow::{
    Component, ComponentId, Edit, Flow, Misfit, Operation, Order, Path, Reason, Value, removal_of,
};
use flow_history_replay::{
    Author, Body, FlowVersionId, Header, Intent, Link, Request, Seq, State, Timestamp,
};

use crate::group::Ticket;
use crate::vault::Secrets;
use crate::writer::{Draft, Writer};
use crate::{Error, History, SecretRef, SecretValue};

/// What goes into the header of an entry beside its author, intent and message.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct About {
    /// What the host's clock said; the present moment where it says nothing.
    pub host_time: Option<Timestamp>,
    /// What the author says of it.
    pub message: String,
    /// The intent, where it is not the usual one.
    pub intent: Option<Intent>,
    /// The login session.
    pub session: Option<String>,
    /// The request that brought it.
    pub request: Option<Request>,
    /// What it has to do with other versions.
    pub links: Vec<Link>,
    /// The gesture that it is part of.
    pub group: Option<String>,
    /// What else the host wants kept.
    pub attributes: Vec<(String, String)>,
    /// A key by which a repeated request is known.
    pub idempotency_key: Option<String>,
    /// The version that must be the head.
    pub expected: Option<FlowVersionId>,
}

impl About {
    /// Nothing but a message.
    #[must_use]
    pub fn message(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }

    pub(crate) fn into_draft(
        self,
        author: Arc<Author>,
        intent: Intent,
        now: impl FnOnce() -> Timestamp,
        body: Body,
    ) -> Draft {
        let shared = Arc::<str>::from;
        let mut header =
            Header::new(author, self.intent.unwrap_or(intent), self.host_time.unwrap_or_else(now));
        if !self.message.is_empty() {
            header.message = shared(self.message);
        }
        header.session = self.session.map(shared);
        header.request = self.request;
        header.links = self.links;
        header.group = self.group.map(shared);
        if !self.attributes.is_empty() {
            header.attributes =
                self.attributes.into_iter().map(|(key, value)| (shared(key), shared(value))).collect();
        }
        header.idempotency_key = self.idempotency_key.map(shared);
        Draft { expected: self.expected, ..Draft::of(header, body) }
    }
}

/// A change that is being put together. Nothing happens before [`ChangeBuilder::append`]; dropping it changes nothing.
#[must_use = "a change that is not appended changes nothing"]
pub struct ChangeBuilder {
    history: History,
    author: Arc<Author>,
    host_time: Option<Timestamp>,
    /// What most changes have nothing of: it is large, and moved with every step of the builder.
    about: Option<Box<About>>,
    operations: Vec<Operation>,
    /// Which of the operations are removals of everything inside too, to be worked out when the flow is known.
    removals: Vec<usize>,
    /// Which of the operations give a secret, that is sealed when the change is appended.
    secrets: Vec<(usize, SecretValue)>,
}

impl ChangeBuilder {
    #[inline]
    pub(crate) fn new(history: History, author: &Author, message: &str) -> Self {
        Self {
            history,
            author: Arc::new(author.clone()),
            host_time: None,
            about: (!message.is_empty()).then(|| Box::new(About::message(message))),
            operations: Vec::new(),
            removals: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn about(&mut self) -> &mut About {
        self.about.get_or_insert_default()
    }

    /// Adds a component.
    #[expect(
        clippy::should_implement_trait,
        reason = "a change is not a number, and `add` is the word of the glossary"
    )]
    #[inline]
    pub fn add(mut self, component: Component) -> Self {
        self.operations.push(Operation::add(component));
        self
    }

    /// Removes a component, everything inside it and every wire attached to any of these, in one change.
    #[inline]
    pub fn remove(mut self, id: impl Into<ComponentId>) -> Self {
        self.removals.push(self.operations.len());
        self.operations.push(Operation::remove(id));
        self
    }

    /// Gives a field, or a part of one, a value.
    #[inline]
    pub fn set(mut self, id: impl Into<ComponentId>, path: impl Into<Path>, value: impl Into<Value>) -> Self {
        self.operations.push(Operation::set(id, path, value));
        self
    }

    /// Gives a field, or a part of one, a secret. It is sealed when the change is appended; the entry names it and holds
    /// nothing of it.
    pub fn secret(
        mut self,
        id: impl Into<ComponentId>,
        path: impl Into<Path>,
        value: impl Into<SecretValue>,
    ) -> Self {
        self.secrets.push((self.operations.len(), value.into()));
        self.operations.push(Operation::set(id, path, Value::Null));
        self
    }

    /// Makes a field, or a part of one, absent.
    #[inline]
    pub fn clear(mut self, id: impl Into<ComponentId>, path: impl Into<Path>) -> Self {
        self.operations.push(Operation::clear(id, path));
        self
    }

    /// Gives a component another parent, order or both.
    pub fn shift(mut self, id: impl Into<ComponentId>, parent: Option<ComponentId>, order: Order) -> Self {
        self.operations.push(Operation::shift(id, parent, order));
        self
    }

    /// Adds operations that were worked out elsewhere.
    #[inline]
    pub fn operations(mut self, operations: Vec<Operation>) -> Self {
        if self.operations.is_empty() {
            self.operations = operations;
        } else {
            self.operations.extend(operations);
        }
        self
    }

    /// Says why, where it is not an edit.
    pub fn intent(mut self, intent: Intent) -> Self {
        self.about().intent = Some(intent);
        self
    }

    /// Says what the host's clock said.
    #[inline]
    pub fn host_time(mut self, time: Timestamp) -> Self {
        self.host_time = Some(time);
        self
    }

    /// Names the login session.
    pub fn session(mut self, session: &str) -> Self {
        self.about().session = Some(session.to_owned());
        self
    }

    /// Says where the request came from.
    pub fn request(mut self, request: Request) -> Self {
        self.about().request = Some(request);
        self
    }

    /// Names the gesture that this is part of: one gesture, one undo.
    pub fn group(mut self, group: &str) -> Self {
        self.about().group = Some(group.to_owned());
        self
    }

    /// Keeps something else with the entry.
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.about().attributes.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Says what this has to do with another version.
    pub fn link(mut self, link: Link) -> Self {
        self.about().links.push(link);
        self
    }

    /// Names a key by which a repeated request is known.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.about().idempotency_key = Some(key.to_owned());
        self
    }

    /// Says which version must be the head.
    #[inline]
    pub fn expecting(mut self, version: FlowVersionId) -> Self {
        self.about().expected = Some(version);
        self
    }

    /// Appends the change and returns when it is durable, or as durable as the history was opened for.
    ///
    /// # Errors
    /// [`Error::Misfit`] names the operation that does not fit; [`Error::EmptyChange`], [`Error::Header`],
    /// [`Error::Conflict`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Full`], [`Error::Io`] and
    /// [`Error::Poisoned`]. In every case but the last nothing was written and the version did not move. Where it gives
    /// secrets, those of [`History::seal_secret`]; where it names others, [`Error::UnknownSecret`] and
    /// [`Error::SecretGone`].
    #[inline]
    pub fn append(self) -> Result<FlowVersionId, Error> {
        let (history, draft) = self.into_draft()?;
        let secrets = draft.secrets.clone();
        let appended = history.writer()?.append(draft);
        if let Some(secrets) = secrets {
            history.settle_secrets(&secrets, appended.as_ref().copied());
        }
        appended
    }

    /// Hands the change over and returns at once, with a ticket that says when it is durable.
    ///
    /// # Errors
    /// As for [`ChangeBuilder::append`], what only the disk can say excepted: that comes through the ticket. And
    /// [`Error::Busy`] where too much waits already.
    pub fn submit(self) -> Result<Ticket, Error> {
        let (history, draft) = self.into_draft()?;
        let secrets = draft.secrets.clone();
        let ticket = history.writer()?.submit(draft);
        if let Some(secrets) = secrets {
            match &ticket {
                Ok(ticket) => history.settle_later(*secrets, ticket.promised_version()),
                Err(error) => history.settle_secrets(&secrets, Err(error)),
            }
        }
        ticket
    }

    /// What is to be appended, and to which history.
    pub(crate) fn into_draft(mut self) -> Result<(History, Draft), Error> {
        let history = self.history;
        let writer = history.writer()?;
        let now = || writer.clock().now();
        // A request that is repeated is worked out on the flow that the first one met, so that it is known again.
        let key = self.about.as_deref().and_then(|about| about.idempotency_key.as_deref());
        let keyed = |state: &State| key.and_then(|key| state.keys.get(key)).map(|keyed| keyed.id.seq());
        let secrets = std::mem::take(&mut self.secrets);
        let mut named = named_by(&self.operations);
        let mut sealed = Vec::new();
        if !(secrets.is_empty() && named.is_empty()) {
            // ORDER: a secret's file is durable before an entry that names it is made.
            history.check_secrets(&named)?;
            sealed = history.seal_secrets(&secrets, writer.to_plan_on(keyed).is_some())?;
            for ((at, _), secret) in secrets.iter().zip(&sealed) {
                if let Some(Operation::Set { edit, .. }) = self.operations.get_mut(*at) {
                    *edit = Edit::Put(secret.clone().into());
                }
            }
            named.extend(sealed.iter().cloned());
        }
        let may_repeat = key.is_some();
        if self.operations.iter().any(|operation| matches!(operation, Operation::Add { slot: Some(_), .. })) {
            check_slots(&history, writer, &self.operations)
                .inspect_err(|_| history.vault().forget(history.files(), &sealed))?;
        }
        let operations = if self.removals.is_empty() {
            self.operations
        } else {
            let (flow, first) = writer.to_plan_on(|state| (state.flow.clone(), keyed(state)));
            let worked_out = match first.and_then(Seq::previous) {
                Some(before) => history.at(before).and_then(|view| view.to_flow()),
                None => Ok(flow),
            };
            let worked_out = worked_out.and_then(|flow| with_removals(self.operations, &self.removals, flow));
            worked_out.inspect_err(|_| history.vault().forget(history.files(), &sealed))?
        };
        let (author, body) = (self.author, Body::Change(operations));
        let now = || self.host_time.unwrap_or_else(now);
        let mut draft = match self.about {
            Some(about) => about.into_draft(author, Intent::Edit, now, body),
            None => Draft::of(Header::new(author, Intent::Edit, now()), body),
        };
        draft.secrets = (!named.is_empty()).then(|| Box::new(Secrets { named, sealed, may_repeat }));
        Ok((history, draft))
    }
}

/// Refuses to give an old slot to another id than it had. Asks the indexes of the log, and so is asked only where a host
/// names slots itself.
fn check_slots(history: &History, writer: &Writer, operations: &[Operation]) -> Result<(), Error> {
    // What is on its way to the disk is in no index.
    writer.flush()?;
    let index = history.index()?;
    let flow = writer.to_plan_on(|state| state.flow.clone());
    let (mut next, mut new, mut left) = (flow.next_slot(), Vec::new(), HashSet::new());
    for (at, operation) in operations.iter().enumerate() {
        if let Operation::Remove { id } = operation {
            left.insert(id);
        }
        let Operation::Add { component, slot } = operation else { continue };
        let Some(slot) = *slot else {
            new.push((next, &component.id));
            next.0 = next.0.saturating_add(1);
            continue;
        };
        let mut was_its = new.contains(&(slot, &component.id));
        for of_id in index.slots_of(&component.id) {
            was_its |= of_id.map_err(|error| history.files().log_error(error))? == slot;
        }
        // Whose a slot is never changes, so that what is found here still holds when the change is pushed. One that is taken
        // by another, or was never given out, might be free or given out by then, and not to this id.
        let taken = flow.component_in(slot).is_some_and(|held| !left.contains(&held.id));
        if !was_its {
            let reason = if taken || slot >= next {
                Reason::SlotTaken { slot }
            } else {
                Reason::SlotOfAnother { slot }
            };
            return Err(Misfit::of(operation, reason).at(at).into());
        }
    }
    Ok(())
}

/// The secrets that operations name.
fn named_by(operations: &[Operation]) -> Vec<SecretRef> {
    let mut named = Vec::new();
    operations.iter().for_each(|operation| operation.visit_secrets(&mut |secret| named.push(secret.clone())));
    named
}

/// The operations of a change, each removal worked out on the flow that the operations before it leave.
fn with_removals(given: Vec<Operation>, removals: &[usize], mut flow: Flow) -> Result<Vec<Operation>, Error> {
    let mut operations = Vec::new();
    for (at, operation) in given.into_iter().enumerate() {
        let from = operations.len();
        if removals.binary_search(&at).is_ok() {
            let removal = removal_of(&flow, operation.id());
            if removal.is_empty() {
                return Err(Misfit::of(&operation, Reason::Missing).at(from).into());
            }
            operations.extend(removal);
        } else {
            operations.push(operation);
        }
        let new = operations.get(from..).unwrap_or_default();
        flow.apply_all(new).map_err(|misfit| {
            let at = misfit.operation + from;
            Error::Misfit(misfit.at(at))
        })?;
    }
    Ok(operations)
}
