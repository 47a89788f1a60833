//! All pages of a checkpoint to a flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use flow_history_flow::{Assembly, Component, Flow, Misfit, Reason, Slot};

use crate::checkpoint::{Buffers, Checkpoint};
use crate::columns::Pool;
use crate::directory::{Entry, Kind};
use crate::index::{children, ids};
use crate::limits::PAGES_FOR_TWO;
use crate::{CheckpointError, Part, ReadAt};

type Components = Vec<(Slot, Arc<Component>)>;

impl<R: ReadAt> Checkpoint<R> {
    /// The flow, slots and next slot included. Reads each page of components once. Where there are many, a second thread
    /// helps: one decodes while the other decodes and puts the flow together.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], [`CheckpointError::FileMissing`] and [`CheckpointError::Io`];
    /// [`CheckpointError::ParentMissing`], [`CheckpointError::Cycle`] and [`CheckpointError::Misfit`] where the components
    /// are no flow.
    pub fn to_flow(&self) -> Result<Flow, CheckpointError> {
        let pages = self.component_pages();
        let next = AtomicU32::new(0);
        let turns = Turns { next: &next, pages };
        let mut assembly = Assembly::new(self.header.next_slot);
        if pages as usize >= PAGES_FOR_TWO {
            thread::scope(|scope| {
                let (sender, receiver) = sync_channel(4);
                // A thread that cannot be started is one that does not help.
                let _second = thread::Builder::new().spawn_scoped(scope, move || self.help(turns, &sender));
                let mut reading = Reading::default();
                while let Some(number) = turns.take() {
                    for components in receiver.try_iter() {
                        add(&mut assembly, components?)?;
                    }
                    add(&mut assembly, reading.components(self, number)?)?;
                }
                receiver.iter().try_for_each(|components| add(&mut assembly, components?))
            })?;
        } else {
            let mut reading = Reading::default();
            while let Some(number) = turns.take() {
                add(&mut assembly, reading.components(self, number)?)?;
            }
        }
        assembly.finish().map_err(|(slot, misfit)| match misfit.reason {
            Reason::ParentMissing { parent } => CheckpointError::ParentMissing { slot, parent },
            Reason::Cycle { .. } => CheckpointError::Cycle { slot },
            _ => unfit(slot, misfit),
        })
    }

    /// Decodes pages until none is left, or nobody wants them any more and the receiver is gone.
    fn help(&self, turns: Turns<'_>, sender: &SyncSender<Result<Components, CheckpointError>>) {
        let mut reading = Reading::default();
        while let Some(number) = turns.take() {
            if sender.send(reading.components(self, number)).is_err() {
                return;
            }
        }
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

/// The pages that nobody took yet.
#[derive(Clone, Copy)]
struct Turns<'t> {
    next: &'t AtomicU32,
    pages: u32,
}

impl Turns<'_> {
    fn take(self) -> Option<u32> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.pages).then_some(number)
    }
}

/// What one thread keeps from page to page.
#[derive(Default)]
struct Reading {
    buffers: Buffers,
    pool: Pool,
}

impl Reading {
    fn components<R: ReadAt>(
        &mut self,
        checkpoint: &Checkpoint<R>,
        number: u32,
    ) -> Result<Components, CheckpointError> {
        checkpoint.page_with(number, &mut self.buffers)?.components_sharing(&mut self.pool)
    }
}

fn add(assembly: &mut Assembly, components: Components) -> Result<(), CheckpointError> {
    for (slot, component) in components {
        assembly.add(slot, component).map_err(|misfit| unfit(slot, misfit))?;
    }
    Ok(())
}

fn unfit(slot: Slot, source: Misfit) -> CheckpointError {
    CheckpointError::Misfit { slot, source }
}
