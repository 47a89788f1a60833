//! A past version as the files tell it, piece by piece: the nearest checkpoint at or before it, and of each component the
//! few entries since that touched it.

use std::sync::Arc;

use flow_history_checkpoint::Checkpoint;
use flow_history_flow::{Component, Operation, Slot};
use flow_history_replay::{Body, Chain, Log, LogError, LogIndex, Seq, What};

use crate::cache::{self, Kind};
use crate::files::{Files, StoredFile};

/// A version, and what it is read from.
pub(crate) struct Past {
    files: Arc<Files>,
    index: Arc<LogIndex>,
    /// `None` where no checkpoint lies before it: then everything is told by entries.
    checkpoint: Option<Arc<Checkpoint<StoredFile>>>,
    from: Seq,
    pub(crate) seq: Seq,
}

impl Past {
    /// A version that the indexes of the log reach.
    pub(crate) fn new(files: &Arc<Files>, log: &Log, index: Arc<LogIndex>, seq: Seq) -> Self {
        let mut checkpoints = files.checkpoints().unwrap_or_default();
        checkpoints.retain(|other| *other <= seq && *other >= log.oldest());
        // One that cannot be used is passed over for an older one.
        let nearest = checkpoints.into_iter().rev().find_map(|of| files.checkpoint_of(log, of).ok());
        let from = nearest.as_ref().map_or(index.oldest(), |nearest| Seq(nearest.header().sequence));
        Self { files: Arc::clone(files), index, checkpoint: nearest, from, seq }
    }

    /// The hash chain and the log time of the version.
    pub(crate) fn place(&self) -> Result<(Chain, i64), LogError> {
        let missing = || LogError::damaged("", 0, Some(self.seq), What::Missing);
        let segments = self.index.segments();
        let at = segments.partition_point(|segment| segment.header().last_seq < self.seq);
        let segment = segments.get(at).ok_or_else(missing)?;
        Ok((segment.chain_at(self.seq)?.ok_or_else(missing)?, segment.log_time(self.seq)?))
    }

    /// The component with this id, where there was one.
    pub(crate) fn component(&self, id: &str) -> Result<Option<Arc<Component>>, LogError> {
        Ok(self.find(id)?.map(|(_, component)| component))
    }

    /// The component with this id, and its slot.
    pub(crate) fn find(&self, id: &str) -> Result<Option<(Slot, Arc<Component>)>, LogError> {
        // An id may have been given to several slots, one after the other; at most one of them is alive.
        for slot in self.index.slots_of(id) {
            let slot = slot?;
            if let Some(component) = self.component_in(slot)?
                && *component.id == *id
            {
                return Ok(Some((slot, component)));
            }
        }
        Ok(None)
    }

    /// The component in a slot, where there was one.
    pub(crate) fn component_in(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        let key = self.files.key(Kind::Component, self.seq.0, u64::from(slot.0));
        if let Some(kept) = cache::get::<Option<Arc<Component>>>(key) {
            return Ok((*kept).clone());
        }
        let found = self.read(slot)?;
        let bytes = found.as_ref().map_or(0, |component| 64 * component.fields.len());
        cache::put(key, &Arc::new(found.clone()), bytes);
        Ok(found)
    }

    fn read(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        let mut component = match &self.checkpoint {
            Some(checkpoint) => match self.files.component_in(checkpoint, slot) {
                Ok(component) => component,
                // What is derived may be missing; the log has it too.
                Err(_) => {
                    let oldest = self.index.component_at_oldest(slot)?;
                    return self.told_by_the_log(slot, self.index.oldest(), oldest);
                }
            },
            None => self.index.component_at_oldest(slot)?,
        };
        component = self.told_by_the_log(slot, self.from, component)?;
        Ok(component)
    }

    /// Follows a component from a version to this one.
    fn told_by_the_log(
        &self,
        slot: Slot,
        from: Seq,
        mut component: Option<Arc<Component>>,
    ) -> Result<Option<Arc<Component>>, LogError> {
        let mut id = component.as_ref().map(|component| component.id.clone());
        for touched in self.index.touches(slot, from, self.seq) {
            let seq = touched?;
            let missing = || LogError::damaged("", 0, Some(seq), What::Missing);
            let (entry, mut next_slot) = self.index.entry_with_slots(seq)?.ok_or_else(missing)?;
            let Body::Change(operations) = &entry.body else { continue };
            if id.is_none() {
                id = self.index.id_of(slot)?;
            }
            for operation in operations {
                // Of an add its slot says whether it is this one; anything else is about whoever has the id just then.
                let is_about = match operation {
                    Operation::Add { slot: Some(again), .. } => *again == slot,
                    Operation::Add { slot: None, .. } => {
                        let given = next_slot;
                        next_slot = Slot(given.0.saturating_add(1));
                        given == slot
                    }
                    other => component.is_some() && Some(other.id()) == id.as_ref(),
                };
                if is_about {
                    component = operation.apply_alone(component).map_err(|misfit| {
                        LogError::damaged("", 0, Some(seq), What::Misfit(misfit.to_string()))
                    })?;
                }
            }
        }
        Ok(component)
    }
}
