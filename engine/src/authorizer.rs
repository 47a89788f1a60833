//! Who may do what, as the host decides it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use flow_history_flow::{ComponentId, Name};
use flow_history_replay::{Author, Intent, Seq};

use crate::policy::{Action, EffectivePolicy};

/// What the engine asks before an undo, redo, revert or restore, and before it shows something to somebody. It has found
/// the policy in force; it decides nothing itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Question<'q> {
    /// Who. Which groups they are in, and whether they still are who they were, is for the host to know, as of now.
    pub principal: &'q Author,
    /// What they want to do.
    pub action: Action,
    /// With which component.
    pub component: &'q ComponentId,
    /// The policy in force for it; `None` where nothing restricts it.
    pub policy: Option<&'q EffectivePolicy>,
    /// The version of which component and policy are: for an undo the one before the change that is taken back, and the
    /// newest for what stands now.
    pub as_of: Seq,
    /// What it is for; a mark where something is looked at.
    pub intent: Intent,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Decision {
    /// They may.
    Allow,
    /// They may not.
    Deny {
        /// Why, in words; where it is empty the engine says what it knows.
        reason: String,
    },
    /// They may know that it is there, and nothing else. Whoever wants more than to look at it may not.
    Redact,
}

/// Decides who may do what. A host gives one by [`crate::Options::authorizer`]; without one everything is allowed.
pub trait Authorizer: Send + Sync {
    /// Answers a question. Called once for each component, action and version that a plan needs, without any lock held.
    fn decide(&self, question: &Question<'_>) -> Decision;

    /// Whether there still is such a principal. What a policy that comes back says of others is left out of it.
    fn knows(&self, principal: &str) -> bool {
        let _ = principal;
        true
    }
}

/// Why somebody may not do something.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Denial {
    /// Who.
    pub principal: String,
    /// What they wanted to do.
    pub action: Action,
    /// With which component.
    pub component: ComponentId,
    /// The policy in force, where there is one.
    pub policy: Option<EffectivePolicy>,
    /// The version of which it is.
    pub as_of: Seq,
    /// Why, in words.
    pub reason: String,
}

impl Denial {
    pub(crate) fn new(question: &Question<'_>, reason: String) -> Self {
        Self {
            principal: question.principal.id.to_string(),
            action: question.action,
            component: question.component.clone(),
            policy: question.policy.cloned(),
            as_of: question.as_of,
            reason,
        }
    }
}

/// `user2 may not write p1: the policy p1-policy of p1, as of version 3, names user1`.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| text.chars().take(80).collect::<String>();
        write!(f, "{} may not {} {}", short(&self.principal), self.action.name(), short(&self.component))?;
        if !self.reason.is_empty() {
            return write!(f, ": {}", self.reason);
        }
        let Some(policy) = &self.policy else { return Ok(()) };
        let named: Vec<&str> = policy.principals(self.action).take(8).collect();
        match named.as_slice() {
            [] => write!(f, ": {policy}, names nobody"),
            named => write!(f, ": {policy}, names {}", named.join(", ")),
        }
    }
}

/// An authorizer that goes by the lists that policies hold: whoever they name may, by their own id or as a member of a
/// group, which lists name with `group:` in front. Administrators may everything.
#[derive(Clone, Debug, Default)]
pub struct ListedPolicies {
    administrators: HashSet<String>,
    groups: HashMap<String, HashSet<String>>,
    gone: HashSet<String>,
    redacts: bool,
}

impl ListedPolicies {
    /// With nobody special.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a principal do everything.
    #[must_use]
    pub fn administrator(mut self, id: &str) -> Self {
        self.administrators.insert(id.to_owned());
        self
    }

    /// Makes a principal a member of a group.
    #[must_use]
    pub fn member(mut self, group: &str, id: &str) -> Self {
        self.groups.entry(group.to_owned()).or_default().insert(id.to_owned());
        self
    }

    /// Says that there is no such principal any more.
    #[must_use]
    pub fn without(mut self, id: &str) -> Self {
        self.gone.insert(id.to_owned());
        self
    }

    /// Shows what somebody may not read as a stub, rather than refusing.
    #[must_use]
    pub fn redacting(mut self) -> Self {
        self.redacts = true;
        self
    }

    fn is_named(&self, id: &str, named: &str) -> bool {
        match named.strip_prefix("group:") {
            Some(group) => self.groups.get(group).is_some_and(|members| members.contains(id)),
            None => named == id,
        }
    }
}

impl Authorizer for ListedPolicies {
    fn decide(&self, question: &Question<'_>) -> Decision {
        let id = &*question.principal.id;
        if self.gone.contains(id) {
            return Decision::Deny { reason: format!("there is no {id} any more") };
        }
        let named = |policy: &EffectivePolicy| {
            policy.principals(question.action).any(|named| self.is_named(id, named))
        };
        if self.administrators.contains(id) || question.policy.is_none_or(named) {
            return Decision::Allow;
        }
        match question.action {
            Action::Read if self.redacts => Decision::Redact,
            _ => Decision::Deny { reason: String::new() },
        }
    }

    fn knows(&self, principal: &str) -> bool {
        !self.gone.contains(principal)
    }
}

/// Fields of a policy and who they no longer name, because there is no such principal any more.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Vanished {
    /// The policy that comes back without them.
    pub policy: ComponentId,
    /// The field that named them.
    pub field: Name,
    /// Who.
    pub principal: String,
}

impl fmt::Display for Vanished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, field, principal } = self;
        write!(
            f,
            "the policy {policy} comes back without {principal}, whom {field:?} named: there is no such principal"
        )
    }
}
