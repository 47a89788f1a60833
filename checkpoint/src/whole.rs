//! All pages of a checkpoint to a flow.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use flow_history_flow::{Assembly, Component, Flow, Reason, Slot};

use crate::checkpoint::{Buffers, Checkpoint};
use crate::columns::Pool;
use crate::directory::{Entry, Kind};
use crate::index::{children, ids};
use crate::limits::PAGES_FOR_TWO;
use crate::{CheckpointError, Part, ReadAt};

impl<R: ReadAt> Checkpoint<R> {
    /// The flow, slots and next slot included. Reads each page of components once. Where there are many, a second thread
    /// helps.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], [`CheckpointError::FileMissing`] and [`CheckpointError::Io`];
    /// [`CheckpointError::ParentMissing`], [`CheckpointError::Cycle`] and [`CheckpointError::Misfit`] where the components
    /// are no flow.
    pub fn to_flow(&self) -> Result<Flow, CheckpointError> {
        let turns = Turns::default();
        let mut assembly = Assembly::new(self.header.next_slot);
        // Looked at where they were made, they lie in the nearest cache still.
        let read = |assembly: &Assembly| self.each_page(&turns, |page| assembly.check(page));
        let (here, there) = thread::scope(|scope| {
            let helps = self.component_pages() as usize >= PAGES_FOR_TWO;
            let help = || thread::Builder::new().spawn_scoped(scope, || read(&assembly));
            // A thread that cannot be started is one that does not help.
            let second = helps.then(help).and_then(Result::ok);
            let here = read(&assembly);
            let there = second.map(|second| second.join().unwrap_or_else(|panic| resume_unwind(panic)));
            (here, there.unwrap_or_else(|| Ok(Vec::new())))
        });
        for checked in here?.into_iter().chain(there?) {
            assembly.take(checked);
        }
        assembly.finish().map_err(|(slot, misfit)| match misfit.reason {
            Reason::ParentMissing { parent } => CheckpointError::ParentMissing { slot, parent },
            Reason::Cycle { .. } => CheckpointError::Cycle { slot },
            _ => CheckpointError::Misfit { slot, source: misfit },
        })
    }

    /// The components of the pages that nobody took yet, page by page. Several threads may ask at the same time, with the
    /// same turns: together they are given every page once.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], [`CheckpointError::FileMissing`] and [`CheckpointError::Io`].
    pub fn components(&self, turns: &Turns) -> Result<Vec<PageOfComponents>, CheckpointError> {
        self.each_page(turns, |page| page)
    }

    fn each_page<T>(
        &self,
        turns: &Turns,
        with: impl Fn(PageOfComponents) -> T,
    ) -> Result<Vec<T>, CheckpointError> {
        let (mut buffers, mut pool) = (Buffers::default(), Pool::default());
        let mut pages = Vec::new();
        while let Some(number) = turns.take(self.component_pages()) {
            let page = self.page_with(number, &mut buffers)?;
            pages.push(with(page.components_sharing(&mut pool)?));
            buffers.reuse(page);
        }
        Ok(pages)
    }

    /// The flow, as [`Checkpoint::to_flow`], after reading everything else as well: the indexes, which must say of the
    /// flow what is so, and the attachment.
    ///
    /// # Errors
    /// As [`Checkpoint::to_flow`].
    pub fn verify(&self) -> Result<Flow, CheckpointError> {
        let flow = self.to_flow()?;
        self.attachment()?;
        self.verify_index(Kind::Ids, &ids(&flow, &self.header.history, self.header.id_bits))?;
        self.verify_index(Kind::Children, &children(&flow))?;
        for number in 0..self.component_pages() {
            let page = self.page(number)?;
            for (slot, parent) in page.parents()? {
                let component = flow.component_in(slot);
                let expected = component.and_then(|component| component.parent.as_deref());
                if expected.and_then(|id| flow.slot(id)) != parent {
                    let what = "the slot of a parent is another";
                    return Err(CheckpointError::Damaged { part: page.part, offset: page.offset, what });
                }
            }
        }
        Ok(flow)
    }

    fn verify_index(&self, kind: Kind, expected: &[(u32, Slot)]) -> Result<(), CheckpointError> {
        let mut expected = expected;
        let is_of_kind = |(_, entry): &(usize, &Entry)| entry.kind == kind;
        let mut last = Part::Directory;
        for (place, _) in self.directory.entries.iter().enumerate().filter(is_of_kind) {
            last = Part::Page(u32::try_from(place).unwrap_or(u32::MAX));
            let pairs = self.pairs(place)?;
            match expected.strip_prefix(pairs.as_slice()) {
                Some(rest) => expected = rest,
                None => return Err(unlike(last)),
            }
        }
        if expected.is_empty() { Ok(()) } else { Err(unlike(last)) }
    }
}

fn unlike(part: Part) -> CheckpointError {
    CheckpointError::Damaged { part, offset: 0, what: "an index is of another flow" }
}

/// The components of a page, ascending by slot.
pub type PageOfComponents = Vec<(Slot, Arc<Component>)>;

/// Which pages were taken already, where several threads read one checkpoint.
#[derive(Debug, Default)]
pub struct Turns(AtomicU32);

impl Turns {
    fn take(&self, pages: u32) -> Option<u32> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        (number < pages).then_some(number)
    }
}
