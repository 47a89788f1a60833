//! A flow at a version, read only.

use std::sync::Arc;

use flow_history_flow::{Component, Flow, StateHash};
use flow_history_replay::{FlowVersionId, Seq};

use crate::Error;

/// A flow at a version. It is the caller's own: nothing that is appended later changes it, and it holds nothing up.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) id: FlowVersionId,
    pub(crate) log_time: i64,
    pub(crate) flow: Flow,
}

impl View {
    /// The name of the version.
    #[must_use]
    pub fn version(&self) -> FlowVersionId {
        self.id
    }

    /// The number of the version.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.id.seq()
    }

    /// The log time of the entry that made it, in milliseconds since 1970; zero for version 0.
    #[must_use]
    pub fn log_time(&self) -> i64 {
        self.log_time
    }

    /// The number of components.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flow.len()
    }

    /// Whether there is no component.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flow.is_empty()
    }

    /// The component with this id, where there is one.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`], where it has to be read.
    pub fn component(&self, id: &str) -> Result<Option<Arc<Component>>, Error> {
        Ok(self.flow.component(id).cloned())
    }

    /// The components directly inside another, in order.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn children(&self, id: &str) -> Result<Vec<Arc<Component>>, Error> {
        Ok(self.flow.children(id))
    }

    /// All components, in order.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn components(&self) -> Result<Vec<Arc<Component>>, Error> {
        Ok(self.flow.in_order())
    }

    /// The whole flow.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn to_flow(&self) -> Result<Flow, Error> {
        Ok(self.flow.clone())
    }

    /// The hash of everything in it: equal content, equal hash.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn state_hash(&self) -> Result<StateHash, Error> {
        Ok(self.flow.state_hash())
    }
}
