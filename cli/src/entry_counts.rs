//! What one entry changed, in numbers, without its flow.

use std::collections::BTreeSet;

use flow_history::{
    Body, ChangeKind, ComponentDifference, ComponentId, Difference, Entry, History, Operation, Seq, Summary,
};

use crate::difference::Counts;
use crate::failure::Failure;

/// Components that are looked up one by one; where an entry touched more, the flow before it is put together instead.
const LOOKED_UP: usize = 16;

/// Counts what an entry changed, by the components that it touched as they were before it and after.
pub(crate) fn of(history: &History, entry: &Entry) -> Result<Counts, Failure> {
    let Body::Change(operations) = &entry.body else { return Ok(Counts::from(Summary::default())) };
    let ids: BTreeSet<&ComponentId> = operations.iter().map(Operation::id).collect();
    if ids.len() <= LOOKED_UP {
        let before = history.at(entry.seq.previous().unwrap_or(Seq::ZERO))?;
        let after = history.at(entry.seq)?;
        let mut components = Vec::with_capacity(ids.len());
        for id in ids {
            let (before, after) = (before.component(id)?, after.component(id)?);
            if before != after {
                components.push(ComponentDifference { id: id.clone(), before, after, fields: Vec::new() });
            }
        }
        // Whether something stands elsewhere only those around it tell.
        if components.iter().all(|component| component.kind() != ChangeKind::Reordered) {
            return Ok(Counts::from(Difference { components }.summary()));
        }
    }
    let line = history.log().from(entry.seq).to(entry.seq).next().transpose()?;
    Ok(Counts::from(line.map_or_else(Summary::default, |line| line.summary)))
}
