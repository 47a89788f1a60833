//! What somebody may not see of one version, or of what leads from one to another: whole components, and in what may be
//! seen the ids of those that may not.
//!
//! In place of an id that may not be seen stands that of its stub, so that two of them can be told apart, and so that
//! what lies inside the same hidden component is seen to do so.

use std::collections::HashMap;
use std::sync::Arc;

use flow_history_flow::{
    Component, ComponentDifference, ComponentId, Edit, FieldDifference, Flow, Operation, Value,
};
use flow_history_replay::{Author, Body, Intent, Seq};

use crate::authorizer::{Authorizer, Decision, Question};
use crate::policy::{Action, Policies};
use crate::seen::Stub;
use crate::touching::Touching;
use crate::{Error, History};

/// A flow, and the number of its version.
pub(crate) type Version = (Flow, Seq);

/// What lies between somebody and some versions.
pub(crate) struct Veil<'f> {
    history: &'f History,
    author: &'f Author,
    /// `None` where everything may be seen.
    authorizer: Option<Arc<dyn Authorizer>>,
    /// What may be seen of each version, the oldest first.
    sights: Vec<Sight<'f>>,
    /// What came and went between two of the versions, and what it was inside.
    passing: HashMap<ComponentId, Option<ComponentId>>,
    /// What stands in none of the versions, and stood before.
    gone: HashMap<ComponentId, Option<Stub>>,
    /// Whether anything was put out of sight.
    hid: bool,
}

/// What somebody may see of one version, asked once each.
struct Sight<'f> {
    flow: &'f Flow,
    policies: Policies<'f>,
    asked: HashMap<ComponentId, bool>,
}

impl<'f> Veil<'f> {
    /// Between somebody and versions, the oldest first: what is hidden in one is hidden.
    pub(crate) fn new(
        history: &'f History,
        author: &'f Author,
        versions: impl IntoIterator<Item = (&'f Flow, Seq)>,
    ) -> Self {
        let sight = |(flow, seq)| Sight { flow, policies: Policies::new(flow, seq), asked: HashMap::new() };
        Self {
            history,
            author,
            authorizer: history.authorizer(),
            sights: versions.into_iter().map(sight).collect(),
            passing: HashMap::new(),
            gone: HashMap::new(),
            hid: false,
        }
    }

    /// What came and went within a change is in neither version; it is told by what it was inside.
    pub(crate) fn passing(&mut self, body: &Body) {
        let Body::Change(operations) = body else { return };
        for operation in operations {
            if let Operation::Add { component, .. } = operation {
                self.passing.insert(component.id.clone(), component.parent.clone());
            }
        }
    }

    /// Whether anything was put out of sight so far.
    pub(crate) fn hid(&self) -> bool {
        self.hid
    }

    /// What stands for a component that may not be seen; `None` where it may be.
    pub(crate) fn stub(&mut self, id: &ComponentId) -> Option<Stub> {
        let stub = self.look_up(id);
        self.hid |= stub.is_some();
        stub
    }

    fn look_up(&mut self, id: &ComponentId) -> Option<Stub> {
        let authorizer = Arc::clone(self.authorizer.as_ref()?);
        let (author, sights) = (self.author, &mut self.sights);
        if let Some(slot) = sights.iter().rev().find_map(|sight| sight.flow.slot(id)) {
            return (!sights.iter_mut().all(|sight| sight.allows(id, author, &*authorizer)))
                .then_some(Stub { slot });
        }
        if let Some(around) = self.passing.get(id) {
            let allows =
                |sight: &mut Sight<'_>| sight.allows_within(id, around.as_ref(), author, &*authorizer);
            return (!sights.iter_mut().all(allows)).then(Stub::default);
        }
        if let Some(known) = self.gone.get(id) {
            return *known;
        }
        let newest = sights.last().map(|sight| sight.policies.as_of()).unwrap_or_default();
        // What cannot be told is not shown.
        let stub = self.stub_of_gone(id, newest, &*authorizer).unwrap_or(Some(Stub::default()));
        self.gone.insert(id.clone(), stub);
        stub
    }

    /// What is no more is seen by the last policies that it had; what never was hides nothing.
    fn stub_of_gone(
        &self,
        id: &ComponentId,
        newest: Seq,
        authorizer: &dyn Authorizer,
    ) -> Result<Option<Stub>, Error> {
        let (history, author) = (self.history, self.author);
        let index = history.index()?;
        let failed = |error| history.files().log_error(error);
        let mut touching = Touching::new(&index, id, (history.oldest()?, newest), Some(None));
        let Some(last) = touching.next().transpose().map_err(failed)? else { return Ok(None) };
        let before = last.previous().unwrap_or_default();
        let flow = history.at(before)?.to_flow()?;
        let mut sight = Sight { flow: &flow, policies: Policies::new(&flow, before), asked: HashMap::new() };
        if let Some(slot) = flow.slot(id) {
            return Ok((!sight.allows(id, author, authorizer)).then_some(Stub { slot }));
        }
        let entry = index.entry(last).map_err(failed)?;
        let around = match entry.as_ref().map(|entry| &entry.body) {
            Some(Body::Change(operations)) => operations.iter().find_map(|operation| match operation {
                Operation::Add { component, .. } if component.id == *id => component.parent.clone(),
                _ => None,
            }),
            _ => None,
        };
        Ok((!sight.allows_within(id, around.as_ref(), author, authorizer)).then(Stub::default))
    }

    /// Whether a component, and everything around it as far as another, may be seen in every version that has it, and is
    /// inside that other in one.
    pub(crate) fn is_seen_inside(&mut self, id: &ComponentId, root: &str) -> bool {
        let flows: Vec<&Flow> = self.sights.iter().map(|sight| sight.flow).collect();
        flows.into_iter().any(|flow| {
            let mut at = Some(id.clone());
            // A flow has no cycle; the bound keeps this finite whatever a file says.
            for _ in 0..=flow.len() {
                let Some(here) = at else { return false };
                if self.look_up(&here).is_some() {
                    return false;
                }
                if *here == *root {
                    return true;
                }
                at = flow.component(&here).and_then(|component| component.parent.clone());
            }
            false
        })
    }

    /// The id of its stub in place of one that may not be seen; `None` where it may be.
    fn other_id(&mut self, id: &ComponentId) -> Option<ComponentId> {
        self.stub(id).map(Stub::id)
    }

    /// An id, or that of its stub.
    pub(crate) fn id(&mut self, id: &ComponentId) -> ComponentId {
        self.other_id(id).unwrap_or_else(|| id.clone())
    }

    fn other_leaf(&mut self, leaf: &Value) -> Option<Value> {
        self.other_id(leaf.as_ref_id()?).map(Value::Ref)
    }

    /// A value that may be seen, without the ids in it that may not.
    pub(crate) fn value(&mut self, value: &Value) -> Value {
        value.replace_leaves(&mut |leaf| self.other_leaf(leaf)).unwrap_or_else(|| value.clone())
    }

    /// A component that may be seen, without the ids in it that may not: what it is inside, and what it refers to.
    pub(crate) fn component(&mut self, component: &Arc<Component>) -> Arc<Component> {
        let parent = component.parent.as_ref().and_then(|parent| self.other_id(parent));
        let replaced = component.replace_leaves(&mut |leaf| self.other_leaf(leaf));
        if parent.is_none() && replaced.is_none() {
            return Arc::clone(component);
        }
        let mut seen = replaced.unwrap_or_else(|| (**component).clone());
        seen.parent = parent.or(seen.parent);
        Arc::new(seen)
    }

    /// An operation on what may be seen.
    pub(crate) fn operation(&mut self, mut operation: Operation) -> Operation {
        match &mut operation {
            Operation::Add { component, .. } => *component = self.component(component),
            Operation::Move { parent: Some(parent), .. } => *parent = self.id(parent),
            Operation::Set { edit: Edit::Put(value) | Edit::Place(_, value), .. } => {
                *value = self.value(value);
            }
            _ => {}
        }
        operation
    }

    /// What differs in a component that may be seen.
    pub(crate) fn difference(&mut self, mut difference: ComponentDifference) -> ComponentDifference {
        for component in [&mut difference.before, &mut difference.after].into_iter().flatten() {
            *component = self.component(component);
        }
        for FieldDifference { before, after, .. } in &mut difference.fields {
            for value in [before, after].into_iter().flatten() {
                *value = self.value(value);
            }
        }
        difference
    }
}

impl Sight<'_> {
    /// Whether a component may be seen; so may one that is not there.
    fn allows(&mut self, id: &ComponentId, author: &Author, authorizer: &dyn Authorizer) -> bool {
        self.flow.slot(id).is_none() || self.allows_within(id, Some(id), author, authorizer)
    }

    /// Whether a component may be seen that takes its policy from here.
    fn allows_within(
        &mut self,
        id: &ComponentId,
        around: Option<&ComponentId>,
        author: &Author,
        authorizer: &dyn Authorizer,
    ) -> bool {
        if let Some(known) = self.asked.get(id) {
            return *known;
        }
        let policy = around.and_then(|around| self.policies.in_force(around, Action::Read));
        let question = Question {
            principal: author,
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
