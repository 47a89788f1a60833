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
        let read = |assembly: &Assembly, is_last: bool| {
            self.each_page(|pages| turns.take(pages, is_last), |page| assembly.check(page))
        };
        let (here, there) = thread::scope(|scope| {
            let helps = self.component_pages() as usize >= PAGES_FOR_TWO;
            let help = || thread::Builder::new().spawn_scoped(scope, || read(&assembly, true));
            // A thread that cannot be started is one that does not help.
            let second = helps.then(help).and_then(Result::ok);
            let here = read(&assembly, false);
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

    /// The components of the pages that nobody took yet, page by page from the first on. Several threads may ask at the same
    /// time, with the same turns: together they are given every page once.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], [`CheckpointError::FileMissing`] and [`CheckpointError::Io`].
    pub fn components(&self, turns: &Turns) -> Result<Vec<PageOfComponents>, CheckpointError> {
        self.each_page(|pages| turns.take(pages, false), |page| page)
    }

    /// As [`Checkpoint::components`], from the last page on.
    ///
    /// # Errors
    /// As [`Checkpoint::components`].
    pub fn components_from_the_last(&self, turns: &Turns) -> Result<Vec<PageOfComponents>, CheckpointError> {
        self.each_page(|pages| turns.take(pages, true), |page| page)
    }

    fn each_page<T>(
        &self,
        take: impl Fn(u32) -> Option<u32>,
        with: impl Fn(PageOfComponents) -> T,
    ) -> Result<Vec<T>, CheckpointError> {
        let (mut buffers, mut pool) = (Buffers::default(), Pool::default());
        let mut pages = Vec::new();
        while let Some(number) = take(self.component_pages()) {
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

/// Which pages were taken already, where several threads read one checkpoint, from either end.
#[derive(Debug, Default)]
pub struct Turns {
    taken: AtomicU32,
    first: AtomicU32,
    last: AtomicU32,
}

impl Turns {
    /// The first page of so many that nobody took, or the last one.
    fn take(&self, pages: u32, is_last: bool) -> Option<u32> {
        // Whoever is let in finds one: no more are let in than there are pages.
        let is_left = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < pages).then_some(taken + 1));
        is_left.ok()?;
        match is_last {
            false => Some(self.first.fetch_add(1, Ordering::Relaxed)),
            true => (pages - 1).checked_sub(self.last.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::Turns;

    #[test]
    fn from_either_end_every_page_is_taken_once() {
        for pages in [0, 1, 2, 7, 1_000] {
            let turns = Turns::default();
            let taken = |is_last| std::iter::from_fn(|| turns.take(pages, is_last)).collect::<Vec<_>>();
            let (first, last) = thread::scope(|scope| {
                let second = scope.spawn(|| taken(true));
                (taken(false), second.join().unwrap())
            });
            let all: Vec<u32> = first.into_iter().chain(last.into_iter().rev()).collect();
            assert_eq!(all, (0..pages).collect::<Vec<_>>());
        }
    }
}
