//! Writing checkpoints: off the append path, aside first, and never in the way of anything.

use std::sync::Arc;

use flow_history_checkpoint::{About, encode};
use flow_history_replay::{FileName, Seq, State};

use crate::Error;
use crate::storage::{Storage, replace_file};

/// Writes a checkpoint of a state and returns its size.
pub(crate) fn write_checkpoint(storage: &Arc<dyn Storage>, state: &State) -> Result<(Seq, u64), Error> {
    let derived = |why: String| Error::Checkpoint(why);
    let aside = state.aside_to_bytes().map_err(|error| derived(error.to_string()))?;
    let about = About { history: state.history.0, sequence: state.seq.0, chain: state.chain.0 };
    let bytes = encode(&state.flow, &about, &aside).map_err(|error| derived(error.to_string()))?;
    let file = FileName::Checkpoint(state.seq.0).to_string();
    replace_file(&**storage, &file, &bytes).map_err(|failed| {
        Error::io(failed.operation, storage.place().join(&failed.file), failed.offset, failed.source)
    })?;
    Ok((state.seq, bytes.len() as u64))
}
