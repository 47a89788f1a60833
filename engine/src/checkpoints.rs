//! Writing checkpoints: off the append path, aside first, and never in the way of anything.

use std::sync::Arc;

use flow_history_checkpoint::{About, Basis, encode, encode_after};
use flow_history_replay::{FileName, Seq, State};

use crate::Error;
use crate::files::open_checkpoint;
use crate::storage::{Storage, replace_file};

/// Writes a checkpoint of a state, which shares what did not change with the newest one before it, and returns its size.
pub(crate) fn write_checkpoint(storage: &Arc<dyn Storage>, state: &State) -> Result<(Seq, u64), Error> {
    let derived = |why: String| Error::Checkpoint(why);
    let aside = state.aside_to_bytes().map_err(|error| derived(error.to_string()))?;
    let about = About { history: state.history.0, sequence: state.seq.0, chain: state.chain.0 };
    let bytes = match basis_for(storage, state) {
        // What was touched since is not known here: pages are made, and shared where they come out the same.
        Some(basis) => encode_after(&state.flow, &about, &aside, &basis, |_| true),
        None => encode(&state.flow, &about, &aside),
    };
    let bytes = bytes.map_err(|error| derived(error.to_string()))?;
    let file = FileName::Checkpoint(state.seq.0).to_string();
    replace_file(&**storage, &file, &bytes).map_err(|failed| {
        Error::io(failed.operation, storage.place().join(&failed.file), failed.offset, failed.source)
    })?;
    Ok((state.seq, bytes.len() as u64))
}

/// The newest checkpoint before a state, if it can be opened and no file that it shares pages with is missing. Of which
/// line of the history it is does not matter: only pages of the same content are shared.
fn basis_for(storage: &Arc<dyn Storage>, state: &State) -> Option<Basis> {
    let names = storage.list().ok()?;
    let checkpoints: Vec<u64> = names
        .iter()
        .filter_map(|name| match FileName::parse(name) {
            Some(FileName::Checkpoint(seq)) if seq < state.seq.0 => Some(seq),
            _ => None,
        })
        .collect();
    let newest = open_checkpoint(storage, Seq(*checkpoints.iter().max()?)).ok()?;
    newest.refers_to().iter().all(|earlier| checkpoints.contains(earlier)).then(|| newest.basis())
}
