//! What shredded secrets leave of an undo: everything else, with null in their places, and a note of each.
//!
//! The past is looked at as if null had always stood where a secret was that is gone by now. So an undo that could not
//! bring one back is nothing that a later undo stumbles over.

use std::sync::Arc;

use flow_history_flow::{
    Component, ComponentId, Conflict, Edit, Flow, Name, Obstacle, Operation, Resolution, SecretRef, Terms,
    Value,
};
use flow_history_replay::Marks;

use super::entries::Known;
use crate::Error;

/// The secrets that are gone at a version.
pub(super) struct Gone(Arc<Marks>);

impl Gone {
    pub(super) fn at(marks: &Arc<Marks>) -> Self {
        Self(Arc::clone(marks))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.shredded.is_empty()
    }

    fn has(&self, secret: &SecretRef) -> bool {
        self.0.shredded.contains_key(&secret.id)
    }

    fn is_named_by(&self, operation: &Operation) -> bool {
        let mut found = false;
        operation.visit_secrets(&mut |secret| found |= self.has(secret));
        found
    }

    /// Whether a unit gave or took any of them.
    pub(super) fn concerns(&self, unit: &Known) -> bool {
        !self.is_empty()
            && unit
                .operations()
                .iter()
                .chain(unit.inverses.iter())
                .any(|operation| self.is_named_by(operation))
    }

    /// The values of which a unit gave or took any of them, each as a note that it stays away.
    pub(super) fn notes_of(&self, unit: &Known) -> Vec<Conflict> {
        let mut notes = Vec::new();
        for operation in unit.operations().iter().chain(unit.inverses.iter()) {
            let fields: Vec<Name> = match operation {
                Operation::Add { component, .. } => {
                    let gone = |value: &Value| value.without_secrets(&|secret| self.has(secret)).is_some();
                    component.fields.iter().filter(|(_, v)| gone(v)).map(|(field, _)| field.clone()).collect()
                }
                Operation::Set { path, .. } if self.is_named_by(operation) => vec![path.field.clone()],
                _ => Vec::new(),
            };
            for field in fields {
                let note = stays_away(operation.id(), field);
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    /// A flow with null in place of those that these components name.
    pub(super) fn out_of<'i>(
        &self,
        flow: &Flow,
        ids: impl IntoIterator<Item = &'i ComponentId>,
    ) -> Result<Flow, Error> {
        let mut without = flow.clone();
        for id in ids {
            let Some(held) = without.component(id) else { continue };
            let held = Arc::clone(held);
            let Some(left) = held.without_secrets(&|secret| self.has(secret)) else { continue };
            for (field, value) in left.fields.iter().filter(|(field, value)| held.get(field) != Some(*value))
            {
                without.apply(&Operation::set(id, field, value.clone()))?;
            }
        }
        Ok(without)
    }

    /// A flow with null in place of all of them. Costs the size of the flow, where any secret is gone.
    pub(super) fn out_of_all(&self, flow: &Flow) -> Result<Flow, Error> {
        let mut ids = Vec::new();
        if !self.is_empty() {
            let names_one = |component: &Component| {
                let mut found = false;
                component.visit_secrets(&mut |secret| found |= self.has(secret));
                found
            };
            ids.extend(flow.iter().filter(|(_, component)| names_one(component)).map(|(_, c)| c.id.clone()));
        }
        self.out_of(flow, &ids)
    }

    /// Leaves them out of operations, and says of each field that operations bring back from a flow which of them it is
    /// without.
    pub(super) fn leave_out(
        &self,
        operations: &mut [Operation],
        then: &Flow,
        terms: &Terms,
    ) -> Vec<Conflict> {
        let mut notes: Vec<Conflict> = Vec::new();
        for operation in operations {
            let id = operation.id().clone();
            let before =
                terms.renamed.iter().find(|(_, other)| **other == id).map_or(&id, |(before, _)| before);
            let held = then.component(before).cloned();
            let mut note = |component: &Component, only: Option<&str>| {
                for (field, value) in component.fields.iter() {
                    let is_gone = value.without_secrets(&|secret| self.has(secret)).is_some();
                    if is_gone && only.is_none_or(|only| **field == *only) {
                        let conflict = stays_away(&id, field.clone());
                        if !notes.contains(&conflict) {
                            notes.push(conflict);
                        }
                    }
                }
            };
            match operation {
                Operation::Add { component, .. } => {
                    note(component, None);
                    if let Some(held) = &held {
                        note(held, None);
                    }
                    if let Some(left) = component.without_secrets(&|secret| self.has(secret)) {
                        *component = Arc::new(left);
                    }
                }
                Operation::Set { path, edit: Edit::Put(value) | Edit::Place(_, value), .. } => {
                    if let Some(held) = &held {
                        note(held, Some(&path.field));
                    }
                    if let Some(left) = value.without_secrets(&|secret| self.has(secret)) {
                        *value = left;
                    }
                }
                _ => {}
            }
        }
        notes
    }
}

fn stays_away(id: &ComponentId, field: Name) -> Conflict {
    let mut note = Conflict::unresolved(id.clone(), Obstacle::SecretGone { field });
    note.resolved = Some(Resolution::WithoutSecret);
    note
}
