//! One page in memory, decompressed and checked.

use std::sync::Arc;

use flow_history_flow::{Component, Slot};
use rkyv::util::AlignedVec;

use crate::archive::{ArchivedPage, validate};
use crate::columns::{Extent, PageReader, Pool, What};
use crate::{CheckpointError, Part};

/// A page of components, for whoever keeps pages: about as many bytes as its components have in the log.
#[derive(Clone, Debug)]
pub struct Page {
    pub(crate) archive: AlignedVec,
    pub(crate) extent: Extent,
    pub(crate) part: Part,
    pub(crate) offset: u64,
}

impl Page {
    /// The component in a slot; `None` where the slot is empty or on another page. Passes over the components before it.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], for a file that somebody made.
    pub fn component_in(&self, slot: Slot) -> Result<Option<Component>, CheckpointError> {
        self.read(|reader| reader.component_in(slot).map(|found| found.map(|(component, _)| component)))
    }

    /// The component in a slot with the slot of its parent, where it has one.
    ///
    /// # Errors
    /// As [`Page::component_in`].
    pub fn component_and_parent(
        &self,
        slot: Slot,
    ) -> Result<Option<(Component, Option<Slot>)>, CheckpointError> {
        self.read(|reader| reader.component_in(slot))
    }

    /// All components, ascending by slot.
    ///
    /// # Errors
    /// As [`Page::component_in`].
    pub fn components(&self) -> Result<Vec<(Slot, Arc<Component>)>, CheckpointError> {
        self.components_sharing(&mut Pool::default())
    }

    /// The bytes that it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.archive.len()
    }

    /// All components, names being shared with pages read before.
    pub(crate) fn components_sharing(
        &self,
        pool: &mut Pool,
    ) -> Result<Vec<(Slot, Arc<Component>)>, CheckpointError> {
        self.read(|reader| reader.components(pool))
    }

    /// The slots of all components, and those of their parents.
    pub(crate) fn parents(&self) -> Result<Vec<(Slot, Option<Slot>)>, CheckpointError> {
        self.read(|reader| reader.parents())
    }

    fn read<T>(&self, read: impl FnOnce(PageReader<'_>) -> Result<T, What>) -> Result<T, CheckpointError> {
        validate::<ArchivedPage>(&self.archive)
            .ok_or("it is no archive of a page")
            .and_then(|page| read(PageReader::new(page, self.extent)?))
            .map_err(|what| CheckpointError::Damaged { part: self.part, offset: self.offset, what })
    }
}
