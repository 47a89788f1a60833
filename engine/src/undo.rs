//! Undo, redo and restore: new entries, never rewritten ones.

use std::sync::Arc;

use flow_history_flow::{Flow, Operation, operations_between};
use flow_history_replay::{
    Author, Beneath, Body, Entry, FlowVersionId, Header, Intent, Link, Replay, Seq, Stacks, Tops,
};

use crate::selector::At;
use crate::writer::Draft;
use crate::{Error, History};

/// What undo, redo and restore look at.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Scope {
    /// The whole flow, whoever changed it.
    Flow,
}

/// What an undo, redo or restore did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The version that it made; the head where nothing had to change.
    pub version: FlowVersionId,
    /// The operations that were applied, in order, for a host to apply to its running flow.
    pub operations: Vec<Operation>,
    /// The entry that was undone or done again, or the version that was restored.
    pub taken: Seq,
}

/// A unit that is to be taken back.
struct Unit {
    header: Header,
    operations: Vec<Operation>,
    inverses: Arc<Vec<Operation>>,
}

impl Unit {
    fn of(entry: &Entry, inverses: Arc<Vec<Operation>>) -> Result<Self, Error> {
        match &entry.body {
            Body::Change(operations) => {
                Ok(Self { header: entry.header.clone(), operations: operations.clone(), inverses })
            }
            _ => Err(Error::NothingToUndo),
        }
    }
}

/// How often a plan is made again because somebody appended in between. Each time they got further, so somebody does.
const TRIES_MAX: usize = 1_000;

pub(crate) fn undo(history: &History, Scope::Flow: Scope, author: &Author) -> Result<Applied, Error> {
    take(history, author, Intent::Undo)
}

pub(crate) fn redo(history: &History, Scope::Flow: Scope, author: &Author) -> Result<Applied, Error> {
    take(history, author, Intent::Redo)
}

fn take(history: &History, author: &Author, intent: Intent) -> Result<Applied, Error> {
    let writer = history.writer()?;
    let mut result = Err(Error::NothingToUndo);
    for _ in 0..TRIES_MAX {
        let (planned_on, stacks, flow, frozen) = writer.to_plan_on(|state| {
            (state.version(), state.stacks.clone(), state.flow.clone(), state.marks.frozen)
        });
        let top = match intent {
            Intent::Undo => stacks.flow.undo.ok_or(Error::NothingToUndo)?,
            _ => stacks.flow.redo.ok_or(Error::NothingToRedo)?,
        };
        if let Some(at) = frozen.filter(|at| top < *at) {
            return Err(Error::Frozen { at });
        }
        let unit = read_unit(history, top)?;
        check_unchanged_since(&unit, &flow, top)?;
        let beneath = beneath(&unit, top, &stacks, intent);
        let mut header = Header::new(Arc::new(author.clone()), intent, writer.clock().now());
        header.links = vec![if intent == Intent::Undo { Link::Undoes(top) } else { Link::Redoes(top) }];
        header.beneath = Some(beneath);
        let operations = (*unit.inverses).clone();
        let draft = Draft {
            header,
            body: Body::Change(operations.clone()),
            expected: None,
            planned_on: Some(planned_on),
        };
        result = writer.append(draft).map(|version| Applied { version, operations, taken: top });
        if !matches!(result, Err(Error::Conflict { .. })) {
            break;
        }
    }
    result
}

/// What lies beneath the new undo or redo on the stacks that it moves.
fn beneath(unit: &Unit, top: Seq, stacks: &Stacks, intent: Intent) -> Beneath {
    let of_unit = unit.header.beneath.clone();
    let owner = of_unit.as_ref().map_or_else(|| Arc::clone(&unit.header.author.id), |b| Arc::clone(&b.owner));
    let own = stacks.of_author(&owner);
    let (flow_below, own_below) = of_unit.map(|b| (b.flow, b.author)).unwrap_or_default();
    let moved = |now: Tops, below: Tops| match intent {
        // A stack whose top is another unit keeps it.
        Intent::Undo => {
            Tops { undo: if now.undo == Some(top) { below.undo } else { now.undo }, redo: now.redo }
        }
        _ => Tops { undo: now.undo, redo: if now.redo == Some(top) { below.redo } else { now.redo } },
    };
    Beneath { flow: moved(stacks.flow, flow_below), author: moved(own, own_below), owner }
}

/// Reads a unit with its inverse: from memory where it is one of the newest, from the log otherwise.
fn read_unit(history: &History, seq: Seq) -> Result<Unit, Error> {
    let writer = history.writer()?;
    if let Some(recent) = writer.recent(seq) {
        return Unit::of(&recent.entry, recent.inverses);
    }
    // What is on a stack may still be on its way to the disk.
    writer.flush()?;
    let files = history.files();
    let step = files.read(|log| {
        let before = files.state_at(log, seq.previous().unwrap_or_default())?;
        Replay::from_state(log, (*before).clone()).step()
    })?;
    let (entry, pushed) = step.ok_or(Error::NothingToUndo)?;
    Unit::of(&entry, Arc::new(pushed.inverses))
}

/// Refuses where something that is on no stack, an entry of the system for instance, changed what would be set.
fn check_unchanged_since(unit: &Unit, flow: &Flow, entry: Seq) -> Result<(), Error> {
    let mut before = flow.clone();
    // If nothing relevant changed, taking the unit back and doing it again leads back to the same flow.
    before.apply_all(unit.inverses.iter())?;
    before.apply_all(unit.operations.iter())?;
    for operation in unit.operations.iter() {
        let id = operation.id();
        let (left, now) = (before.component(id), flow.component(id));
        if left == now {
            continue;
        }
        let field = match (left, now) {
            (Some(left), Some(now)) => left
                .fields
                .iter()
                .find(|(name, value)| now.get(name) != Some(value))
                .map(|(name, _)| name.clone()),
            _ => None,
        };
        return Err(Error::FieldChangedSince { id: id.clone(), field, entry });
    }
    Ok(())
}

pub(crate) fn restore(
    history: &History,
    Scope::Flow: Scope,
    version: At,
    author: &Author,
) -> Result<Applied, Error> {
    let writer = history.writer()?;
    let view = history.at(version)?;
    let mut result = Err(Error::NothingToUndo);
    for _ in 0..TRIES_MAX {
        let (flow, head) = writer.to_plan_on(|state| (state.flow.clone(), state.version()));
        let operations = restoring(&flow, &view.flow);
        if operations.is_empty() {
            // What it is so already in may still be on its way to the disk.
            writer.flush()?;
            if writer.head().id != head {
                continue;
            }
            return Ok(Applied { version: head, operations, taken: view.seq() });
        }
        let mut header = Header::new(Arc::new(author.clone()), Intent::Restore, writer.clock().now());
        header.links = vec![Link::Restores(view.seq())];
        let draft =
            Draft { header, body: Body::Change(operations.clone()), expected: Some(head), planned_on: None };
        result = writer.append(draft).map(|version| Applied { version, operations, taken: view.seq() });
        if !matches!(result, Err(Error::Conflict { .. })) {
            break;
        }
    }
    result
}

/// The operations that make a flow what it was. What comes back gets its old slot back, where that is free, so that its
/// history goes on.
fn restoring(now: &Flow, then: &Flow) -> Vec<Operation> {
    let mut operations = operations_between(now, then);
    for operation in &mut operations {
        if let Operation::Add { component, slot } = operation {
            *slot = then
                .slot(&component.id)
                .filter(|slot| now.component_in(*slot).is_none() && *slot < now.next_slot());
        }
    }
    operations
}
