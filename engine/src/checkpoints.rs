//! Writing checkpoints: off the append path, aside first, and never in the way of anything. And retiring them.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_history_checkpoint::{About, Basis, encode, encode_after};
use flow_history_flow::mistake;
use flow_history_replay::{FileName, Seq, State};

use crate::catalog;
use crate::files::{Files, open_checkpoint};
use crate::storage::{Storage, replace_file};
use crate::telemetry::{self, Phase};
use crate::writer::Writer;
use crate::{Error, History};

/// How many checkpoints are written at once before other work has its turn.
const AT_ONCE: usize = 4;

/// Has checkpoints written in the background, and after the last of those that are due the catalog.
pub(crate) fn checkpoint_when_due(writer: &Arc<Writer>, files: &Arc<Files>) {
    let (of_writer, files) = (Arc::downgrade(writer), Arc::clone(files));
    writer.when_checkpoint_due(move || {
        if let Some(writer) = of_writer.upgrade() {
            checkpoint_at_leisure(&writer, &files);
        }
    });
}

/// Says whether it will be done.
fn checkpoint_at_leisure(writer: &Arc<Writer>, files: &Arc<Files>) -> bool {
    let (of_writer, files) = (Arc::downgrade(writer), Arc::clone(files));
    writer.background().at_leisure(move || {
        let Some(writer) = of_writer.upgrade() else { return };
        let mut count = 0_usize;
        while write_next_checkpoint(&writer, &files) {
            count += 1;
            // While the history is closed nothing new is taken on, and what waits is written here.
            if count.is_multiple_of(AT_ONCE) && checkpoint_at_leisure(&writer, &files) {
                return;
            }
        }
    })
}

/// Writes one checkpoint that is due, and says whether another is. By one thread at a time.
pub(crate) fn write_next_checkpoint(writer: &Writer, files: &Files) -> bool {
    let Some(plan) = writer.next_checkpoint() else { return false };
    let _entered = telemetry::enter(Phase::Checkpoint);
    // One that cannot be written costs time when the history is read, and nothing else; it is tried again.
    let written = write_checkpoint(&files.storage, &plan.state, plan.basis).ok();
    let is_another_due = writer.checkpoint_done(&plan, written);
    files.forget_checkpoints();
    if written.is_none() {
        return false;
    }
    let state = &plan.state;
    if let Some(replaced) = plan.replaces.filter(|replaced| *replaced != state.seq) {
        let _ = files.storage.remove(&FileName::Checkpoint(replaced.0).to_string());
    }
    if !is_another_due {
        retire(files, state.seq, writer.tuning().checkpoints_kept);
        files.forget_checkpoints();
        let _ = bring_up_catalog(files, state, writer.tuning().catalog_from_bytes);
    }
    is_another_due
}

/// Makes the catalog anew, where there are so many bytes of log. Derived as well: whoever misses it makes it again.
fn bring_up_catalog(files: &Files, state: &State, from_bytes: u64) -> Result<(), String> {
    let sized = |seq: Seq| {
        let file = FileName::Checkpoint(seq.0).to_string();
        Some((seq, files.storage.len(&file).ok()?))
    };
    let checkpoints: Vec<_> = files.checkpoints().unwrap_or_default().into_iter().filter_map(sized).collect();
    let log = files.open_log().map_err(|error| error.to_string())?;
    if log.segments().iter().map(|segment| segment.bytes).sum::<u64>() < from_bytes {
        return Ok(());
    }
    catalog::rebuild(&files.storage, &log, state, &checkpoints)
}

impl History {
    /// Makes the catalog anew, as it is made after every checkpoint. Whoever deleted it, or doubts it, may do so; nothing
    /// else needs it to be there.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]; [`Error::Checkpoint`] where it cannot be written.
    pub fn rebuild_catalog(&self) -> Result<(), Error> {
        self.writer()?;
        self.flush_buffered()?;
        let state = self.look_at_head(State::clone)?;
        bring_up_catalog(self.files(), &state, 0).map_err(Error::Checkpoint)
    }
}

/// Writes a checkpoint of a state, which shares what did not change with an earlier one, and returns its size.
fn write_checkpoint(storage: &Arc<dyn Storage>, state: &State, basis: Seq) -> Result<u64, Error> {
    let derived = |why: String| Error::Checkpoint(why);
    let aside = state.aside_to_bytes().map_err(|error| derived(error.to_string()))?;
    let about = About { history: state.history.0, sequence: state.seq.0, chain: state.chain.0 };
    let bytes = match basis_for(storage, state, basis) {
        // What was touched since is not known here: pages are made, and shared where they come out the same.
        Some(basis) => encode_after(&state.flow, &about, &aside, &basis, |_| {
            !mistake::is_made("pages that changed are taken from an earlier checkpoint")
        }),
        None => encode(&state.flow, &about, &aside),
    };
    let bytes = bytes.map_err(|error| derived(error.to_string()))?;
    let file = FileName::Checkpoint(state.seq.0).to_string();
    replace_file(&**storage, &file, &bytes).map_err(|failed| Error::of_storage(&storage.place(), failed))?;
    Ok(bytes.len() as u64)
}

/// An earlier checkpoint, if it can be opened and no file that it shares pages with is missing. Of which line of the
/// history it is does not matter: only pages of the same content are shared.
fn basis_for(storage: &Arc<dyn Storage>, state: &State, basis: Seq) -> Option<Basis> {
    if basis == Seq::ZERO || basis >= state.seq {
        return None;
    }
    let there = |seq: &u64| storage.len(&FileName::Checkpoint(*seq).to_string()).is_ok();
    let earlier = open_checkpoint(storage, basis).ok()?;
    earlier.refers_to().iter().all(there).then(|| earlier.basis())
}

/// Removes checkpoints that are old and close to others: the newest stay, and of older ones some in each twofold of age,
/// so that their number grows with the logarithm of the history's length. What others share pages with stays.
fn retire(files: &Files, head: Seq, kept: usize) {
    let Ok(checkpoints) = files.checkpoints() else { return };
    let old = checkpoints.len().saturating_sub(kept);
    let surplus = surplus(checkpoints.get(..old).unwrap_or_default(), head, kept.div_ceil(2));
    if surplus.is_empty() {
        return;
    }
    let staying = checkpoints.iter().filter(|seq| !surplus.contains(seq));
    let Some(shared) = shared_by(files, staying.copied()) else { return };
    for seq in surplus.iter().filter(|seq| !shared.contains(&seq.0)) {
        // Left behind, it takes room and nothing else.
        let _ = files.storage.remove(&FileName::Checkpoint(seq.0).to_string());
    }
}

/// The checkpoints whose pages these share; `None` where one cannot be read, which may refer to anything.
pub(crate) fn shared_by(files: &Files, staying: impl Iterator<Item = Seq>) -> Option<BTreeSet<u64>> {
    let mut shared = BTreeSet::new();
    for seq in staying {
        shared.extend(open_checkpoint(&files.storage, seq).ok()?.refers_to());
    }
    Some(shared)
}

/// Of ascending versions, those beyond so many in each twofold of age: every second one goes, the newest of a twofold
/// first looked at, so that what stays is spread evenly.
fn surplus(old: &[Seq], head: Seq, most: usize) -> BTreeSet<Seq> {
    let mut surplus = BTreeSet::new();
    let octave = |seq: &Seq| head.0.saturating_sub(seq.0).max(1).ilog2();
    for of_age in old.chunk_by(|one, other| octave(one) == octave(other)) {
        let mut stay: Vec<Seq> = of_age.to_vec();
        while stay.len() > most.max(1) {
            let (keep, go): (Vec<_>, Vec<_>) = stay.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
            surplus.extend(go.into_iter().map(|(_, seq)| seq));
            stay = keep.into_iter().map(|(_, seq)| seq).collect();
        }
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::surplus;
    use flow_history_replay::Seq;

    #[test]
    fn what_stays_grows_with_the_logarithm() {
        let mut staying = Vec::new();
        for count in [100_u64, 1_000, 10_000, 100_000] {
            let all: Vec<Seq> = (1..=count).map(|at| Seq(at * 1_000)).collect();
            let gone = surplus(&all, Seq(count * 1_000 + 500), 8);
            staying.push(all.len() - gone.len());
            assert!(!gone.contains(&all[0]), "the oldest stays");
        }
        assert!(staying.windows(2).all(|pair| pair[1] - pair[0] <= 4 * 8), "{staying:?}");
    }
}
