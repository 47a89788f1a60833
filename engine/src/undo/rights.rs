//! The rights that a plan needs: those that the changes needed which it takes back, on the policies just before them; and
//! the right to write what stands now.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Flow, Name, Obstacle, Operation, Value};
use flow_history_replay::{Author, Intent, Seq};

use crate::authorizer::{Authorizer, Decision, Denial, Question, Vanished};
use crate::policy::{Action, POLICY_KIND, Policies, listed};

/// A right that somebody needs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub struct Right {
    /// To do what.
    pub action: Action,
    /// With which component.
    pub component: ComponentId,
    /// By the policies of which version.
    pub as_of: Seq,
}

/// Rights, each with the components of a plan that need it.
#[derive(Default)]
pub(super) struct Needed {
    rights: BTreeMap<Right, BTreeSet<ComponentId>>,
}

/// A version whose policies count, with what comes and goes there.
pub(super) struct Ground<'f> {
    flow: &'f Flow,
    as_of: Seq,
    /// What the operations add, which is not in the flow.
    added: HashMap<&'f ComponentId, &'f Component>,
    /// What comes or goes, so that its policies do so with it.
    whole: HashSet<&'f ComponentId>,
}

impl<'f> Ground<'f> {
    /// The ground of operations that are, or were, applied to a flow.
    pub(super) fn new(flow: &'f Flow, as_of: Seq, operations: &'f [Operation]) -> Self {
        let mut added: HashMap<&ComponentId, &Component> = HashMap::new();
        let mut whole = HashSet::new();
        for operation in operations {
            match operation {
                Operation::Add { component, .. } => {
                    added.insert(&component.id, component);
                    whole.insert(&component.id);
                }
                Operation::Remove { id } => drop(whole.insert(id)),
                _ => {}
            }
        }
        Self { flow, as_of, added, whole }
    }

    fn component(&self, id: &ComponentId) -> Option<&Component> {
        self.flow.component(id).map(|component| &**component).or_else(|| self.added.get(id).copied())
    }

    /// The nearest component, it or one around it, that stands here; it where none does.
    fn standing<'c>(&'c self, id: &'c ComponentId) -> &'c ComponentId {
        let mut at = id;
        for _ in 0..=self.added.len() {
            if self.flow.component(at).is_some() {
                return at;
            }
            match self.component(at).and_then(|component| component.parent.as_ref()) {
                Some(parent) => at = parent,
                None => break,
            }
        }
        at
    }
}

impl Needed {
    /// The rights that operations need on their ground.
    pub(super) fn add(&mut self, ground: &Ground<'_>, operations: &[Operation]) {
        for operation in operations {
            let id = operation.id();
            let held = ground.component(id);
            if held.is_some_and(|component| component.kind == POLICY_KIND) {
                let protected = held.and_then(|policy| policy.parent.as_ref());
                // A policy that comes and goes with what it protects needs no right of its own.
                match protected {
                    Some(protected) if ground.whole.contains(protected) => {
                        self.need(ground, Action::Write, protected, id);
                    }
                    _ => self.need(ground, Action::Manage, protected.unwrap_or(id), id),
                }
                continue;
            }
            match operation {
                Operation::Add { component, .. } => {
                    self.need(ground, Action::Write, component.parent.as_ref().unwrap_or(id), id);
                }
                Operation::Move { parent, .. } => {
                    self.need(ground, Action::Write, id, id);
                    let old = held.and_then(|component| component.parent.as_ref());
                    if old != parent.as_ref() {
                        [old, parent.as_ref()]
                            .into_iter()
                            .flatten()
                            .for_each(|parent| self.need(ground, Action::Write, parent, id));
                    }
                }
                _ => self.need(ground, Action::Write, id, id),
            }
        }
    }

    fn need(&mut self, ground: &Ground<'_>, action: Action, component: &ComponentId, by: &ComponentId) {
        let component = ground.standing(component).clone();
        let right = Right { action, component, as_of: ground.as_of };
        self.rights.entry(right).or_default().insert(by.clone());
    }

    /// All of them.
    pub(super) fn rights(&self) -> Vec<Right> {
        self.rights.keys().cloned().collect()
    }

    /// Asks about those of one version, and says of each component that needs one why it is denied.
    pub(super) fn ask(
        &self,
        (authorizer, principal, intent): (&dyn Authorizer, &Author, Intent),
        (flow, as_of): (&Flow, Seq),
        denied: &mut BTreeMap<ComponentId, Denial>,
    ) {
        let mut policies = Policies::new(flow, as_of);
        for (right, components) in self.rights.iter().filter(|(right, _)| right.as_of == as_of) {
            let policy = policies.in_force(&right.component, right.action);
            let question = Question {
                principal,
                action: right.action,
                component: &right.component,
                policy: policy.as_deref(),
                as_of,
                intent,
            };
            let reason = match authorizer.decide(&question) {
                Decision::Allow => continue,
                Decision::Deny { reason } => reason,
                Decision::Redact => String::new(),
            };
            let denial = Denial::new(&question, reason);
            for component in components {
                denied.entry(component.clone()).or_insert_with(|| denial.clone());
            }
        }
    }
}

/// What is in the way of somebody who may not.
pub(super) fn obstacle(denial: &Denial) -> Obstacle {
    Obstacle::Denied { reason: denial.to_string() }
}

/// Takes out of policies that come back whoever there no longer is.
pub(super) fn without_vanished(operations: &mut [Operation], authorizer: &dyn Authorizer) -> Vec<Vanished> {
    let mut vanished = Vec::new();
    for operation in operations {
        let Operation::Add { component, .. } = operation else { continue };
        if component.kind != POLICY_KIND {
            continue;
        }
        for action in Action::ALL {
            let gone: Vec<String> =
                listed(component, action).filter(|id| !authorizer.knows(id)).map(str::to_owned).collect();
            let Some(Value::List(list)) = component.get(action.name()) else { continue };
            if gone.is_empty() {
                continue;
            }
            let is_gone =
                |value: &Value| value.as_text().is_some_and(|id| gone.iter().any(|gone| gone == id));
            let left: Vec<Value> = list.iter().filter(|value| !is_gone(value)).cloned().collect();
            let policy = component.id.clone();
            Arc::make_mut(component).fields.put(action.name(), Value::List(left));
            vanished.extend(gone.into_iter().map(|principal| Vanished {
                policy: policy.clone(),
                field: Name::from(action.name()),
                principal,
            }));
        }
    }
    vanished
}
