//! A history as a plain list of flows, with plain stacks for undo and redo.

use std::collections::{BTreeMap, BTreeSet};

use flow_history::{Flow, FlowVersionId, Intent, Misfit, Operation, Seq, Slot};

/// What the engine must be equal to, version by version. It knows no file, no segment and no checkpoint.
#[derive(Clone)]
pub struct Model {
    /// The flow at each version, from version 0.
    pub flows: Vec<Flow>,
    /// What the log says of each entry, from version 1.
    pub lines: Vec<Line>,
    /// What each label names.
    pub labels: BTreeMap<String, Seq>,
    /// What is kept whatever is pruned.
    pub pins: BTreeSet<Seq>,
    undo: Vec<Unit>,
    redo: Vec<Unit>,
}

/// What the log says of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The name of the version that it made.
    pub id: FlowVersionId,
    /// Who.
    pub author: String,
    /// Why.
    pub intent: Intent,
}

#[derive(Clone)]
struct Unit {
    seq: Seq,
    inverses: Vec<Operation>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            flows: vec![Flow::new()],
            lines: Vec::new(),
            labels: BTreeMap::new(),
            pins: BTreeSet::new(),
            undo: Vec::new(),
            redo: Vec::new(),
        }
    }
}

impl Model {
    /// The newest version's number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The newest flow.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        self.flows.last().unwrap()
    }

    /// Whether there is anything to undo, and to redo.
    #[must_use]
    pub fn can(&self) -> (bool, bool) {
        (!self.undo.is_empty(), !self.redo.is_empty())
    }

    /// A change that can be undone.
    ///
    /// # Errors
    /// What does not fit.
    pub fn change(&mut self, operations: &[Operation], line: Line) -> Result<(), Misfit> {
        let inverses = self.apply(operations, line)?;
        self.undo.push(Unit { seq: Seq(self.seq()), inverses });
        self.redo.clear();
        Ok(())
    }

    /// A change that undo knows nothing of.
    ///
    /// # Errors
    /// What does not fit.
    pub fn system_change(&mut self, operations: &[Operation], line: Line) -> Result<(), Misfit> {
        self.apply(operations, line).map(drop)
    }

    /// Takes the newest unit back.
    ///
    /// # Errors
    /// What does not fit.
    pub fn undo(&mut self, line: Line) -> Result<(), Misfit> {
        let unit = self.undo.pop().unwrap();
        let inverses = self.apply(&unit.inverses, line)?;
        self.redo.push(Unit { seq: Seq(self.seq()), inverses });
        Ok(())
    }

    /// Takes back what an engine says that it took back: a unit that need not be the newest, where what is on no stack
    /// came in between.
    ///
    /// # Errors
    /// What does not fit.
    pub fn undo_as(&mut self, taken: Seq, operations: &[Operation], line: Line) -> Result<(), Misfit> {
        let at = self.undo.iter().position(|unit| unit.seq == taken).unwrap();
        let inverses = self.apply(operations, line)?;
        self.undo.remove(at);
        self.redo.push(Unit { seq: Seq(self.seq()), inverses });
        Ok(())
    }

    /// Does again what an engine says that it did again.
    ///
    /// # Errors
    /// What does not fit.
    pub fn redo_as(&mut self, taken: Seq, operations: &[Operation], line: Line) -> Result<(), Misfit> {
        let at = self.redo.iter().position(|unit| unit.seq == taken).unwrap();
        let inverses = self.apply(operations, line)?;
        self.redo.remove(at);
        self.undo.push(Unit { seq: Seq(self.seq()), inverses });
        Ok(())
    }

    /// Does the unit that was undone last again.
    ///
    /// # Errors
    /// What does not fit.
    pub fn redo(&mut self, line: Line) -> Result<(), Misfit> {
        let unit = self.redo.pop().unwrap();
        let inverses = self.apply(&unit.inverses, line)?;
        self.undo.push(Unit { seq: Seq(self.seq()), inverses });
        Ok(())
    }

    /// An entry that changes no component.
    pub fn mark(&mut self, line: Line) {
        self.flows.push(self.flow().clone());
        self.lines.push(line);
    }

    fn apply(&mut self, operations: &[Operation], line: Line) -> Result<Vec<Operation>, Misfit> {
        let mut flow = self.flow().clone();
        let inverses = flow.apply_all(operations)?;
        self.flows.push(flow);
        self.lines.push(line);
        Ok(inverses)
    }
}

/// All of a flow, slots included: two flows are equal whatever their slots are, and histories must not be.
#[must_use]
pub fn slots_of(flow: &Flow) -> (Slot, Vec<Operation>) {
    (flow.next_slot(), flow.to_operations())
}
