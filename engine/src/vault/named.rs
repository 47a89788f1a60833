//! Which secrets entries name.

use std::collections::BTreeMap;

use flow_history_flow::{Flow, SecretRef};
use flow_history_replay::{Body, Seq};

use crate::Error;
use crate::files::Files;

/// The secrets that some entries name, each with the first that does.
#[derive(Default)]
pub(crate) struct Named(pub(crate) BTreeMap<[u8; 16], (SecretRef, Seq)>);

impl Named {
    /// Adds those of a flow, which an entry left.
    pub(crate) fn add_flow(&mut self, flow: &Flow, seq: Seq) {
        flow.iter().for_each(|(_, component)| component.visit_secrets(&mut |secret| self.add(secret, seq)));
    }

    /// Adds those of an entry.
    pub(crate) fn add_entry(&mut self, body: &Body, seq: Seq) {
        if let Body::Change(operations) = body {
            operations
                .iter()
                .for_each(|operation| operation.visit_secrets(&mut |secret| self.add(secret, seq)));
        }
    }

    /// Those that some entries name, the first and the last included. Of entries that were pruned, those that the flow
    /// names which is kept in their place.
    pub(crate) fn between(files: &Files, first: Seq, last: Seq) -> Result<Self, Error> {
        let mut named = Self::default();
        if first > last {
            return Ok(named);
        }
        let oldest = files.log()?.oldest();
        if first <= oldest && oldest > Seq::ZERO {
            named.add_flow(&files.read(|log| files.flow_at(log, oldest))?, oldest);
        }
        let index = files.index_reaching(last)?;
        for seq in (first.0.max(oldest.0 + 1)..=last.0).map(Seq) {
            if let Some(entry) = index.entry(seq).map_err(|error| files.log_error(error))? {
                named.add_entry(&entry.body, seq);
            }
        }
        Ok(named)
    }

    /// Whether nothing that was added names it.
    pub(crate) fn lacks(&self, id: &[u8; 16]) -> bool {
        !self.0.contains_key(id)
    }

    fn add(&mut self, secret: &SecretRef, seq: Seq) {
        self.0.entry(secret.id).or_insert_with(|| (secret.clone(), seq));
    }
}
