//! The flow of a version, and nothing else of it: what is read of an entry is what it does to the flow.
//!
//! Checksums are checked, the hash chain is not: what was sealed was compared with it then, and a frame is summed. Whoever
//! needs an entry believed for its own sake, or a verdict on the log, asks a [`Replay`](crate::Replay), which is also what
//! says why something here cannot be folded.

use flow_history_flow::{ComponentId, Flow, Inverse, Name, Operation, Order, Slot, Value};

use crate::effects::{Act, Effect, Known, Stretches, WHOLE};
use crate::sealed::Broken;
use crate::{Log, LogError, Seq, State};

/// The flow of a version, to be folded on. A [`Loose`](crate::Loose) does the same for many entries at once.
#[derive(Clone)]
pub struct Folded {
    seq: Seq,
    flow: Flow,
    /// The names that entries up to here gave numbers to.
    names: Vec<Name>,
    entries: u64,
}

impl From<&State> for Folded {
    fn from(state: &State) -> Self {
        let names = state.vocabulary.names_from(0).to_vec();
        Self { seq: state.seq, flow: state.flow.clone(), names, entries: 0 }
    }
}

impl Folded {
    pub(crate) fn of(seq: Seq, flow: Flow, names: Vec<Name>, entries: u64) -> Self {
        Self { seq, flow, names, entries }
    }

    /// The version.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Its flow.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// How many entries were folded to get here.
    #[must_use]
    pub fn entries_folded(&self) -> u64 {
        self.entries
    }

    /// Folds the entries after this one up to a later one.
    ///
    /// # Errors
    /// [`LogError`], and then this is of no version at all. Why exactly, a [`Replay`](crate::Replay) says.
    pub fn run_to(&mut self, log: &Log, to: Seq) -> Result<(), LogError> {
        let mut stretches = Stretches::new(log, self.seq, to);
        while let Some(stretch) = stretches.next()? {
            let effects = stretch.effects(self.flow.next_slot(), WHOLE)?;
            self.names.extend(effects.names);
            for effect in effects.row {
                self.apply(effect).map_err(|why| stretch.broken(why))?;
            }
            self.entries += stretch.entries();
            self.seq = stretch.to();
        }
        Ok(())
    }

    /// Slots are named as they are when an operation comes, not before its entry.
    fn apply(&mut self, Effect { slot, act }: Effect<'_>) -> Result<(), Broken> {
        let Self { flow, names, .. } = self;
        let id_of = |slot| id_in(flow, slot);
        let known = Known { name_of: |number: u32| names.get(number as usize), id_of };
        match act {
            Act::Text(number, text) => {
                let field = known.numbered(number)?;
                flow.put_in(slot, field, Value::Text(text.into())).map_err(|_| UNFIT)
            }
            Act::Put(put) => {
                let (field, value) = (known.name(&put.0)?, known.value(&put.1)?);
                flow.put_in(slot, &field, value).map_err(|_| UNFIT)
            }
            Act::Edit(editing) => {
                let (path, edit) = known.edit(&editing)?;
                flow.set_in(slot, &path, &edit).map_err(|_| UNFIT)
            }
            Act::Remove => {
                let id = id_in(flow, slot.0).map_err(Broken)?;
                apply_found(flow, &Operation::Remove { id }, Some(slot))
            }
            Act::Move { parent, order } => {
                let (id, parent) = (id_in(flow, slot.0).map_err(Broken)?, known.parent(parent)?);
                let order = Order::from_bytes(order);
                apply_found(flow, &Operation::Move { id, parent, order }, Some(slot))
            }
            Act::Add(adding) => {
                let again = adding.again.then_some(slot);
                let component = known.component(&adding, None, |_| false)?;
                let found = flow.slot(&component.id);
                apply_found(flow, &Operation::Add { component, slot: again }, found)
            }
        }
    }
}

fn id_in(flow: &Flow, slot: u32) -> Result<ComponentId, &'static str> {
    flow.component_in(Slot(slot)).map(|component| component.id.clone()).ok_or("a slot is empty")
}

fn apply_found(flow: &mut Flow, operation: &Operation, found: Option<Slot>) -> Result<(), Broken> {
    flow.apply_found(operation, found, Inverse::Unwanted).map(drop).map_err(|_| UNFIT)
}

const UNFIT: Broken = Broken("an operation does not fit the flow");
