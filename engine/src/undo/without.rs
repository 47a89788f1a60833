//! What the flow would be without some entries.

use std::collections::HashSet;

use flow_history_flow::{Flow, Misfit, Operation};
use flow_history_replay::{Body, Seq, taken_by};

use crate::{Error, History};

/// A flow as it would be, had some entries never been made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Without {
    /// The flow.
    pub flow: Flow,
    /// The entries that were left out: those asked for, and the undos and redos of them.
    pub left_out: Vec<Seq>,
    /// The operations of other entries that fit no longer.
    pub misfits: Vec<(Seq, Misfit)>,
}

/// Folds the log without some entries. Costs the log from the first of them on.
pub(crate) fn replay_without(history: &History, entries: &[Seq]) -> Result<Without, Error> {
    let head = history.find(crate::At::Head)?.seq();
    if let Some(asked) = entries.iter().find(|seq| **seq > head || **seq == Seq::ZERO) {
        return Err(Error::UnknownVersion { asked: *asked, head });
    }
    let Some(first) = entries.iter().min() else {
        return Ok(Without { flow: history.at(head)?.to_flow()?, left_out: Vec::new(), misfits: Vec::new() });
    };
    let mut without: HashSet<Seq> = entries.iter().copied().collect();
    let mut flow = history.at(first.previous().unwrap_or_default())?.to_flow()?;
    let mut left_out = Vec::new();
    let mut misfits = Vec::new();

    let files = history.files();
    let mut replay = files.replay_from(first.previous().unwrap_or_default())?;
    while replay.state().seq < head {
        let Some(entry) = files.next_entry(&mut replay)? else { break };
        let Body::Change(operations) = &entry.body else { continue };
        let intent = entry.header.intent;
        let mut taken = entry.header.links.iter().filter_map(|link| taken_by(intent, link)).peekable();
        // To take back what never was, or to do it again, is nothing.
        let of_left_out = taken.peek().is_some() && taken.all(|seq| without.contains(&seq));
        if without.contains(&entry.seq) || of_left_out {
            without.insert(entry.seq);
            left_out.push(entry.seq);
            continue;
        }
        for (at, operation) in operations.iter().enumerate() {
            let applied = match flow.apply(operation) {
                // A slot that was given out to somebody else, or never: here it does not matter which.
                Err(_) if matches!(operation, Operation::Add { slot: Some(_), .. }) => {
                    flow.apply(&without_slot(operation))
                }
                other => other,
            };
            if let Err(misfit) = applied {
                misfits.push((entry.seq, misfit.at(at)));
            }
        }
    }
    files.count(&replay);
    Ok(Without { flow, left_out, misfits })
}

fn without_slot(operation: &Operation) -> Operation {
    match operation {
        Operation::Add { component, .. } => Operation::Add { component: component.clone(), slot: None },
        other => other.clone(),
    }
}
