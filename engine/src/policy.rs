//! Policies: components that say who may do what with the component that contains them.
//!
//! A policy is a component of the kind [`POLICY_KIND`] inside what it protects. Its fields `read`, `write` and `manage`
//! each hold a list of principals, as text. What a component has no policy for, it takes from the nearest component
//! around it that has one; what none has a policy for is not restricted by any. The engine stores policies and finds the
//! one in force; what it means is for the host's [`crate::Authorizer`] to say.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Flow, Value};
use flow_history_replay::Seq;

/// Kind of a component that is a policy.
pub const POLICY_KIND: &str = "policy";

/// What somebody wants to do with a component.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Look at it.
    Read,
    /// Add to it, change, move or remove it.
    Write,
    /// Change its policies.
    Manage,
}

impl Action {
    /// The field of a policy that lists who may, and the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
            Action::Manage => "manage",
        }
    }

    /// All of them.
    pub const ALL: [Action; 3] = [Action::Read, Action::Write, Action::Manage];
}

/// The policy in force for a component, an action and a version.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EffectivePolicy {
    /// The policies that say it: those of one component.
    pub policies: Vec<Arc<Component>>,
    /// The component that contains them.
    pub of: ComponentId,
    /// Whether it is inherited from a component further out.
    pub inherited: bool,
    /// The version that it is of.
    pub as_of: Seq,
}

impl EffectivePolicy {
    /// The principals that it names for an action.
    pub fn principals(&self, action: Action) -> impl Iterator<Item = &str> {
        self.policies.iter().flat_map(move |policy| listed(policy, action))
    }
}

impl fmt::Display for EffectivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.policies.iter().map(|policy| policy.id.as_str()).collect();
        let whose = if self.inherited { "inherited from" } else { "of" };
        write!(f, "the policy {} {whose} {}, as of version {}", ids.join(", "), self.of, self.as_of)
    }
}

/// The principals that a policy lists for an action.
pub(crate) fn listed(policy: &Component, action: Action) -> impl Iterator<Item = &str> {
    let list = match policy.get(action.name()) {
        Some(Value::List(list)) => list.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(Value::as_text)
}

/// The policies of one version, found once each.
pub(crate) struct Policies<'f> {
    flow: &'f Flow,
    as_of: Seq,
    own: HashMap<(ComponentId, Action), Option<Arc<EffectivePolicy>>>,
}

impl<'f> Policies<'f> {
    pub(crate) fn new(flow: &'f Flow, as_of: Seq) -> Self {
        Self { flow, as_of, own: HashMap::new() }
    }

    /// The version that they are of.
    pub(crate) fn as_of(&self) -> Seq {
        self.as_of
    }

    /// The policy in force for a component.
    pub(crate) fn in_force(&mut self, id: &ComponentId, action: Action) -> Option<Arc<EffectivePolicy>> {
        let mut at = Some(id.clone());
        let mut inherited = false;
        // A flow has no cycle, so this ends; the bound keeps it so whatever happens.
        for _ in 0..=self.flow.len() {
            let here = at?;
            if let Some(own) = self.own(&here, action) {
                return Some(if inherited {
                    Arc::new(EffectivePolicy { inherited, ..(*own).clone() })
                } else {
                    own
                });
            }
            at = self.flow.component(&here).and_then(|component| component.parent.clone());
            inherited = true;
        }
        None
    }

    fn own(&mut self, id: &ComponentId, action: Action) -> Option<Arc<EffectivePolicy>> {
        let key = (id.clone(), action);
        if let Some(found) = self.own.get(&key) {
            return found.clone();
        }
        let mut policies = self.flow.children(id);
        policies.retain(|child| child.kind == POLICY_KIND && child.get(action.name()).is_some());
        let found = (!policies.is_empty()).then(|| {
            Arc::new(EffectivePolicy { policies, of: id.clone(), inherited: false, as_of: self.as_of })
        });
        self.own.insert(key, found.clone());
        found
    }
}
