//! What can still be read of a damaged log.
//!
//! Reading a log refuses where anything is wrong with it. Here everything is read that is not: each run of segments that
//! continue one another, whatever became of those between.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history_flow::{ComponentId, Slot};

use crate::log::{Listed, check_continues, read_base, read_identity, read_segment_header};
use crate::shelf::OwnShelf;
use crate::{
    BaseHeader, FileName, Identity, Log, LogError, Replay, SegmentIndex, SegmentSummary, Seq, SlotIds,
    Source, State, Whole,
};

impl Log {
    /// The runs of segments that continue one another, oldest first; of an undamaged log there is one. Each is a log to
    /// read from; what its last segment holds behind damage is not looked at.
    ///
    /// # Errors
    /// [`LogError::NotAHistory`] where there is no segment whose header is sound; [`LogError::Unsupported`] and
    /// [`LogError::Io`].
    pub fn salvage(source: &Arc<dyn Source>) -> Result<Vec<Self>, LogError> {
        let listed = Listed::of(&**source)?;
        let known = match read_identity(&**source) {
            Ok(identity) => identity,
            Err(LogError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        let mut sealed: BTreeMap<u64, SegmentIndex> = BTreeMap::new();
        for number in listed.sealed.iter().copied() {
            let file = FileName::SealedSegment(number).to_string();
            match SegmentIndex::open(Arc::clone(source), &file, number) {
                Ok(index) => _ = sealed.insert(index.header().first_number, index),
                Err(LogError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut runs: Vec<Self> = Vec::new();
        let mut history = known.as_ref().map(|identity| identity.history);
        let mut number = known.as_ref().map_or(1, |identity| identity.first_segment);
        let mut goes_on = false;
        while number <= listed.last() {
            let summary = match sealed.get(&number) {
                Some(index) => Some(SegmentSummary::of_sealed(index)),
                None => match read_segment_header(&**source, number) {
                    Ok(summary) => Some(summary),
                    Err(LogError::Damaged(_)) => None,
                    Err(error) => return Err(error),
                },
            };
            let of_history = |summary: &SegmentSummary| history.is_none_or(|of| summary.header.history == of);
            let Some(summary) = summary.filter(of_history) else {
                goes_on = false;
                number += 1;
                continue;
            };
            history = Some(summary.header.history);
            number = summary.header.number + 1;
            let (identity, base) = begins(&**source, &summary, known.as_ref());
            match runs.last_mut().filter(|run| {
                let continued = |before| check_continues((&identity, None), Some(before), &summary).is_ok();
                goes_on && run.segments.last().is_some_and(continued)
            }) {
                Some(run) => {
                    run.identity.last_segment = summary.header.number;
                    run.segments.push(summary);
                }
                None => {
                    let segments = vec![summary];
                    let (source, shelf) = (Arc::clone(source), Arc::<OwnShelf>::default());
                    runs.push(Self { source, shelf, identity, segments, leftovers: Vec::new(), base });
                }
            }
            goes_on = true;
        }
        match runs.is_empty() {
            true => Err(LogError::NotAHistory { found: "no part of a log that can be read" }),
            false => Ok(runs),
        }
    }

    /// Whether this begins where its history begins, or with what was pruned, so that it can be folded from its start.
    #[must_use]
    pub fn has_start(&self) -> bool {
        self.base.is_some() || self.segments.first().is_some_and(|first| first.header.first_seq == Seq(1))
    }

    /// The version before its first entry.
    #[must_use]
    pub fn begins_after(&self) -> Seq {
        let first = self.segments.first().map(|segment| segment.header.first_seq);
        first.and_then(Seq::previous).unwrap_or_default()
    }

    /// Folds from a state as far as everything is sound: the state there, with the ids of what was removed, as far as
    /// these entries and `removed` tell; and why no further, where that is not the end.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn fold_sound(
        &self,
        start: State,
        removed: BTreeMap<Slot, ComponentId>,
    ) -> Result<(Whole, Option<LogError>), LogError> {
        let (reached, error) = self.fold_up_to(start.clone(), removed.clone(), Seq(u64::MAX))?;
        let Some(error) = error else { return Ok((reached, None)) };
        // A frame is believed as a whole: where damage was found inside of one, its first entries are not.
        let whole = self.frames_end_by(reached.0.seq);
        if whole == reached.0.seq || whole < start.seq {
            return Ok((reached, Some(error)));
        }
        let (reached, _) = self.fold_up_to(start, removed, whole)?;
        Ok((reached, Some(error)))
    }

    fn fold_up_to(
        &self,
        start: State,
        removed: BTreeMap<Slot, ComponentId>,
        upto: Seq,
    ) -> Result<(Whole, Option<LogError>), LogError> {
        let mut ids = SlotIds::after(removed, &start.flow);
        let mut replay = Replay::from_state(self, start);
        let mut failure = None;
        while replay.state().seq < upto {
            match replay.next_entry() {
                Ok(None) => break,
                Ok(Some(entry)) => ids.follow(&entry.body),
                Err(error @ LogError::Io { .. }) => return Err(error),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let state = replay.into_state();
        let removed = ids.removed_from(&state.flow);
        Ok(((state, removed), failure))
    }

    /// The last entry of the last sound frame that ends at or before this entry.
    fn frames_end_by(&self, seq: Seq) -> Seq {
        let Ok(mut walk) = self.walk(self.segment_of(seq)) else { return seq };
        let mut end = walk.segment.header.first_seq.previous().unwrap_or_default();
        while let Ok(Some((frame, _))) = walk.next_frame() {
            if frame.last_seq() > seq {
                break;
            }
            end = frame.last_seq();
        }
        end
    }
}

/// What a run that begins with this segment says of itself, and what it begins with where that was pruned.
fn begins(
    source: &dyn Source,
    first: &SegmentSummary,
    known: Option<&Identity>,
) -> (Identity, Option<BaseHeader>) {
    let number = first.first_number();
    let identity = Identity {
        history: first.header.history,
        first_segment: number,
        last_segment: first.header.number,
        created: known.map_or(0, |identity| identity.created),
        // How far the log reached is what is in doubt.
        reaches: Seq::ZERO,
    };
    let base = read_base(source, &identity)
        .ok()
        .flatten()
        .filter(|base| base.seq.next() == Some(first.header.first_seq) && base.chain == first.header.chain);
    (identity, base)
}
