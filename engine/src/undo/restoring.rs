//! The operations that make a part of the flow as it was.

use std::collections::BTreeSet;

use flow_history_flow::{
    ComponentId, FacetTable, Flow, Name, Operation, Terms, merge_among, operations_between, removal_of,
};

use super::gone::Gone;
use super::proposal::Part;
use super::taking::Taking;
use crate::Error;

/// The operations that make a part of `now` as it was in `then`. What comes back gets its old slot, so that its history
/// goes on.
pub(super) fn restore(
    part: &Part,
    now: &Flow,
    then: &Flow,
    (terms, gone): (&Terms, &Gone),
) -> Result<Taking, Error> {
    let mut taking = made_as(part, &gone.out_of_all(now)?, &gone.out_of_all(then)?, terms)?;
    if !gone.is_empty() {
        let notes = gone.leave_out(&mut taking.operations, then, terms);
        taking.conflicts.extend(notes);
    }
    Ok(taking)
}

fn made_as(part: &Part, now: &Flow, then: &Flow, terms: &Terms) -> Result<Taking, Error> {
    let mut taking = Taking::default();
    let free = terms.left_out.is_empty() && terms.renamed.is_empty();
    match part {
        Part::Flow if free => taking.operations = whole(now, then),
        Part::Flow => {
            let ids = now.iter().chain(then.iter()).map(|(_, component)| &component.id);
            taking.add(merge_among(now, then, now, ids, terms));
        }
        Part::Subtree(id) => {
            let mut ids = BTreeSet::new();
            for flow in [now, then] {
                ids.extend(removal_of(flow, id).iter().map(|operation| operation.id().clone()));
            }
            taking.add(merge_among(now, then, now, &ids, terms));
        }
        Part::Component(id) => {
            let mut ids = BTreeSet::from([id.clone()]);
            if then.component(id).is_none() {
                ids.extend(removal_of(now, id).iter().map(|operation| operation.id().clone()));
            }
            taking.add(merge_among(now, then, now, &ids, terms));
        }
        Part::Fields(id, fields) => {
            // Where the component is gone, that is in the way: the base has it, without the fields.
            let base = if now.component(id).is_some() { now.clone() } else { cleared(then, id, fields)? };
            let mine = with_fields(&base, then, id, fields)?;
            taking.add(merge_among(&base, &mine, now, [id], terms));
        }
        Part::Facet(facet) => {
            let table = FacetTable::of(now);
            let mut mine = now.clone();
            let mut ids = Vec::new();
            for (_, old) in then.iter() {
                let Some(held) = now.component(&old.id).filter(|held| *held != old) else { continue };
                let names = held.fields.iter().chain(old.fields.iter()).map(|(name, _)| name);
                let names: Vec<Name> =
                    names.filter(|name| table.facet(&held.kind, name) == *facet).cloned().collect();
                mine = with_fields(&mine, then, &old.id, &names)?;
                ids.push(old.id.clone());
            }
            taking.add(merge_among(now, &mine, now, &ids, terms));
        }
    }
    Ok(taking)
}

fn whole(now: &Flow, then: &Flow) -> Vec<Operation> {
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

fn cleared(flow: &Flow, id: &ComponentId, fields: &[Name]) -> Result<Flow, Error> {
    let mut flow = flow.clone();
    if flow.component(id).is_some() {
        for field in fields {
            flow.apply(&Operation::clear(id, field))?;
        }
    }
    Ok(flow)
}

/// A flow with some fields of a component as in another.
fn with_fields(flow: &Flow, then: &Flow, id: &ComponentId, fields: &[Name]) -> Result<Flow, Error> {
    let mut flow = flow.clone();
    let Some(old) = then.component(id) else { return Ok(flow) };
    for field in fields {
        let wanted = old.get(field);
        if flow.component(id).is_some_and(|held| held.get(field) != wanted) {
            flow.apply(&match wanted {
                Some(value) => Operation::set(id, field, value.clone()),
                None => Operation::clear(id, field),
            })?;
        }
    }
    Ok(flow)
}
