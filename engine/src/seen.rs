//! What somebody may see of a version.

use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Slot};
use flow_history_replay::{Author, Intent, Seq};

use crate::authorizer::{Decision, Question};
use crate::policy::{Action, Policies};
use crate::veil::Veil;
use crate::{Error, History, View};

/// A flow at a version as somebody may see it, by the policies of that version: what they may not read is there as a
/// stub, so that counts stay right. Whoever wants to know what was removed looks at the version before, where the
/// policies stand that it had last.
#[derive(Clone)]
pub struct Seen {
    history: History,
    view: View,
    author: Author,
}

/// A component, or what there is to say of it; or that there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Sight<T = Arc<Component>> {
    /// All of it.
    Whole(T),
    /// That it is there.
    Redacted(Stub),
}

/// That there is a component, and nothing of what is in it: not its id, its kind or where it is. Where what may be seen
/// names it, as what contains it or as the end of a wire, it does so by [`Stub::id`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct Stub {
    /// Its number within the history, by which two stubs can be told apart.
    pub slot: Slot,
}

impl Stub {
    /// What stands in place of its id, `(redacted 12)`: made up, and the same wherever it is named.
    #[must_use]
    pub fn id(self) -> ComponentId {
        ComponentId::from(format!("(redacted {})", self.slot.0))
    }
}

impl Seen {
    pub(crate) fn new(history: History, view: View, author: Author) -> Self {
        Self { history, view, author }
    }

    /// The number of the version.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.view.seq()
    }

    /// The number of components, those that may not be seen counted.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn len(&self) -> Result<usize, Error> {
        self.view.len()
    }

    /// Whether there is no component.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.view.is_empty()
    }

    /// The component with this id, where there is one.
    ///
    /// # Errors
    /// [`Error::Denied`] where its policy refuses rather than redacts; as [`View::component`].
    pub fn component(&self, id: &str) -> Result<Option<Sight>, Error> {
        let Some(component) = self.view.component(id)? else { return Ok(None) };
        let mut policies = Policies::new(self.view.flow()?, self.view.seq());
        match self.decision(&component, &mut policies) {
            Decision::Allow => Ok(Some(Sight::Whole(self.veil()?.component(&component)))),
            Decision::Redact => {
                let slot = self.view.flow()?.slot(&component.id).unwrap_or_default();
                Ok(Some(Sight::Redacted(Stub { slot })))
            }
            Decision::Deny { reason } => {
                let id: &ComponentId = &component.id;
                let policy = policies.in_force(id, Action::Read);
                let denial = crate::Denial::new(&self.question(id, policy.as_deref()), reason);
                Err(Error::Denied { denial: Box::new(denial), entries: Vec::new() })
            }
        }
    }

    /// All components, in order; what may not be seen as stubs.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn components(&self) -> Result<Vec<Sight>, Error> {
        let components = self.view.components()?;
        let mut veil = self.veil()?;
        let sight = |component: Arc<Component>| match veil.stub(&component.id) {
            None => Sight::Whole(veil.component(&component)),
            Some(stub) => Sight::Redacted(stub),
        };
        Ok(components.into_iter().map(sight).collect())
    }

    fn veil(&self) -> Result<Veil<'_>, Error> {
        Ok(Veil::new(&self.history, &self.author, [(self.view.flow()?, self.view.seq())]))
    }

    fn question<'q>(
        &'q self,
        component: &'q ComponentId,
        policy: Option<&'q crate::EffectivePolicy>,
    ) -> Question<'q> {
        Question {
            principal: &self.author,
            action: Action::Read,
            component,
            policy,
            as_of: self.view.seq(),
            intent: Intent::Mark,
        }
    }

    fn decision(&self, component: &Component, policies: &mut Policies<'_>) -> Decision {
        let Some(authorizer) = self.history.authorizer() else { return Decision::Allow };
        let policy = policies.in_force(&component.id, Action::Read);
        authorizer.decide(&self.question(&component.id, policy.as_deref()))
    }
}
