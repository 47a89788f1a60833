//! A flow at a version, read only.

use std::sync::{Arc, OnceLock};

use flow_history_flow::{Component, Flow, Slot, StateHash};
use flow_history_replay::{FlowVersionId, LogError, Seq, State};

use crate::Error;
use crate::files::Files;
use crate::past::Past;

/// A flow at a version. It is the caller's own: nothing that is appended later changes it, and it holds nothing up.
///
/// Of a past version nothing is read until it is asked for, not even its name. [`View::component`] reads what it needs of the
/// nearest checkpoint and the few entries since that touched the component; everything else puts the whole flow together, once.
#[derive(Clone)]
pub struct View {
    seq: Seq,
    whole: OnceLock<Flow>,
    told_by: ToldBy,
}

/// Who knows what a view is of.
#[derive(Clone)]
enum ToldBy {
    /// Whoever made it, with its flow.
    Maker { id: FlowVersionId, log_time: i64 },
    /// The files.
    Files(Arc<Past>, Arc<Files>),
}

impl View {
    /// A version whose flow is at hand.
    pub(crate) fn whole(id: FlowVersionId, log_time: i64, flow: Flow) -> Self {
        Self { seq: id.seq(), whole: OnceLock::from(flow), told_by: ToldBy::Maker { id, log_time } }
    }

    /// The version of a state.
    pub(crate) fn of(state: &State) -> Self {
        Self::whole(state.version(), state.log_time, state.flow.clone())
    }

    /// A version that is read when it is asked for.
    pub(crate) fn past(past: Past, files: &Arc<Files>) -> Self {
        let seq = past.seq;
        Self { seq, whole: OnceLock::new(), told_by: ToldBy::Files(Arc::new(past), Arc::clone(files)) }
    }

    /// The number of the version.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The name of the version. Of a past one that was asked for by its number it is read: one block of the log, once.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`], where it has to be read; [`Error::Pruned`] where it was pruned before it was.
    pub fn version(&self) -> Result<FlowVersionId, Error> {
        self.place().map(|(id, _)| id)
    }

    /// The log time of the entry that made it, in milliseconds since 1970; zero for version 0.
    ///
    /// # Errors
    /// As [`View::version`].
    pub fn log_time(&self) -> Result<i64, Error> {
        self.place().map(|(_, log_time)| log_time)
    }

    fn place(&self) -> Result<(FlowVersionId, i64), Error> {
        match &self.told_by {
            ToldBy::Maker { id, log_time } => Ok((*id, *log_time)),
            ToldBy::Files(past, files) => match past.place() {
                Ok((chain, log_time)) => Ok((FlowVersionId::new(self.seq, &chain), log_time)),
                // Sealed or pruned meanwhile, or damaged: the longer way says which.
                Err(_) => {
                    files.forget_all();
                    let state = files.read(|log| files.state_at(log, self.seq))?;
                    past.told((state.chain, state.log_time));
                    Ok((state.version(), state.log_time))
                }
            },
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole.get().is_some()
    }

    /// What stands in a slot. Reads what [`View::component`] reads.
    pub(crate) fn component_in(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        match (self.whole.get(), &self.told_by) {
            (Some(flow), _) => Ok(flow.component_in(slot).cloned()),
            (None, ToldBy::Files(past, _)) => past.component_in(slot),
            (None, ToldBy::Maker { .. }) => Ok(None),
        }
    }

    /// The whole flow, put together when it is first asked for.
    pub(crate) fn flow(&self) -> Result<&Flow, Error> {
        if let Some(flow) = self.whole.get() {
            return Ok(flow);
        }
        let flow = match &self.told_by {
            ToldBy::Files(_, files) => files.read(|log| files.flow_at(log, self.seq))?,
            ToldBy::Maker { .. } => Flow::new(),
        };
        Ok(self.whole.get_or_init(|| flow))
    }

    /// The number of components.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn len(&self) -> Result<usize, Error> {
        self.flow().map(Flow::len)
    }

    /// Whether there is no component.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        self.flow().map(Flow::is_empty)
    }

    /// The component with this id, where there is one. Costs what is told of it since the nearest checkpoint, whatever
    /// the size of the flow.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`], where it has to be read; [`Error::Pruned`] where it was pruned before it was.
    pub fn component(&self, id: &str) -> Result<Option<Arc<Component>>, Error> {
        match &self.told_by {
            ToldBy::Files(past, files) if self.whole.get().is_none() => match past.component(id) {
                Ok(component) => Ok(component),
                // Somebody may have sealed or pruned what was to be read. What is damaged the longer way finds damaged too.
                Err(_) => {
                    files.forget_all();
                    Ok(self.flow()?.component(id).cloned())
                }
            },
            _ => Ok(self.flow()?.component(id).cloned()),
        }
    }

    /// The components directly inside another, in order.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn children(&self, id: &str) -> Result<Vec<Arc<Component>>, Error> {
        Ok(self.flow()?.children(id))
    }

    /// All components, in order.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn components(&self) -> Result<Vec<Arc<Component>>, Error> {
        Ok(self.flow()?.in_order())
    }

    /// The whole flow.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn to_flow(&self) -> Result<Flow, Error> {
        self.flow().cloned()
    }

    /// The hash of everything in it: equal content, equal hash.
    ///
    /// # Errors
    /// As [`View::component`].
    pub fn state_hash(&self) -> Result<StateHash, Error> {
        self.flow().map(Flow::state_hash)
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("seq", &self.seq).finish_non_exhaustive()
    }
}
