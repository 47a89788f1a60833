//! Pruning: what is old goes, where the host says that nothing needs it. Only when asked, and only whole segments.
//!
//! ```text
//! base written aside -> synced -> read back and compared -> renamed -> mark appended -> identity names the new first
//! segment -> older segments, checkpoints and the older base removed
//! ```
//!
//! A crash before the identity leaves the whole log and a base that nothing names; one after it leaves files that are no
//! part of the log any more. The next writer removes either.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history_flow::{ComponentId, Slot, mistake};
use flow_history_replay::{
    Author, BaseHeader, Body, FileName, FlowVersionId, Header, Intent, Log, LogError, Mark, Replay, Seq,
    SlotIds, State, What, Whole, encode_base, is_same_state,
};

use crate::checkpoints::shared_by;
use crate::files::Files;
use crate::selector::At;
use crate::storage::replace_checked;
use crate::vault::{Named, set_aside, settle_aside};
use crate::writer::Draft;
use crate::{Error, History};

/// What the host knows of the stamps that are still out there.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LiveStamps {
    /// The oldest version that provenance still kept somewhere may name: nothing from there on may go.
    Since(FlowVersionId),
    /// Nobody knows, and stamps that can no longer be resolved are accepted.
    GiveUp,
}

/// What keeps a version from being pruned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Hold {
    /// A label names it.
    Label {
        /// The label.
        label: String,
        /// The version.
        version: Seq,
    },
    /// It is pinned.
    Pin {
        /// The version.
        version: Seq,
    },
    /// It runs.
    Running {
        /// The version.
        version: Seq,
    },
    /// A stamp may name it.
    Stamp {
        /// The version.
        version: Seq,
    },
}

impl Hold {
    /// The version that it holds.
    #[must_use]
    pub fn version(&self) -> Seq {
        match self {
            Hold::Label { version, .. }
            | Hold::Pin { version }
            | Hold::Running { version }
            | Hold::Stamp { version } => *version,
        }
    }
}

impl std::fmt::Display for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Hold::Label { label, version } => write!(f, "the label {label:?} on version {version}"),
            Hold::Pin { version } => write!(f, "the pin on version {version}"),
            Hold::Running { version } => write!(f, "version {version}, which runs"),
            Hold::Stamp { version } => write!(f, "stamps from version {version} on"),
        }
    }
}

/// What was pruned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Prune {
    /// The oldest version that is kept.
    pub oldest: FlowVersionId,
    /// Entries that went; none where no whole segment lies before what was asked.
    pub entries: u64,
    /// Bytes of files that went, less those of the base that came.
    pub bytes: i64,
}

impl History {
    /// Drops the entries before a version, as far as they fill whole segments: those versions cannot be had any more, and
    /// their IDs resolve to [`Error::Pruned`]. The version itself and all later ones stay as they are; a mark says who did
    /// it, and the hash chain of what went.
    ///
    /// # Errors
    /// [`Error::HeldBack`] where a label, a pin, the running version or a stamp names a version that would go, and says
    /// which; then nothing is pruned. [`Error::Damaged`] where what would go, or what was read back, is not sound;
    /// [`Error::Full`], [`Error::Io`], and those of an append.
    pub fn prune(&self, author: &Author, before: impl Into<At>, stamps: &LiveStamps) -> Result<Prune, Error> {
        let writer = self.writer()?;
        let _alone = writer.upkeep.lock();
        writer.check_holds_lock()?;
        // What holds versions back must not be undone by a crash once they are gone.
        writer.flush()?;
        let asked = self.find(before)?.seq();
        let held = holds(self, asked, stamps)?;
        if !held.is_empty() {
            return Err(Error::HeldBack { asked, by: held });
        }
        let files = self.files();
        let log = files.log()?;
        let Some((number, oldest)) = boundary(&log, asked) else {
            let oldest = self.find(log.oldest())?;
            return Ok(Prune { oldest, entries: 0, bytes: 0 });
        };
        let ((state, removed), mut dropped_names) = told_by_the_log(files, oldest)?;
        let base = FileName::Base(number).to_string();
        let base_bytes = write_base(files, (&state, &removed), number, writer.clock().random())?;

        // What only entries name that go goes with them. Until that is so these files have the names of those of which
        // nobody knows yet, so that after a crash the next writer looks.
        let mut kept_names = Named::default();
        kept_names.add_flow(&state.flow, oldest);
        dropped_names.0.retain(|id, _| kept_names.lacks(id));
        set_aside(files, &dropped_names);
        if mistake::is_made("what is pruned goes before the identity says so") {
            remove_what_went(files, number, oldest)?;
        }
        let mark = Mark::Pruned { oldest, chain: state.chain };
        let header = Header::new(Arc::new(author.clone()), Intent::Mark, writer.clock().now());
        let draft = Draft::of(header, Body::Mark(mark));
        // ORDER: the mark is durable before anything goes, and with it everything that was asked about what holds.
        let marked = writer.append(draft).and_then(|_| writer.flush());
        if let Err(error) = marked.and_then(|()| writer.begin_log_with(number)) {
            settle_aside(files, &dropped_names, |_| true);
            if files.log().is_ok_and(|log| log.base().is_none_or(|base| base.number != number)) {
                // Nothing names it.
                let _ = files.storage.remove(&base);
            }
            return Err(match error {
                // Somebody named an older version just now.
                Error::HeldBack { .. } => Error::HeldBack { asked, by: holds(self, oldest, stamps)? },
                other => other,
            });
        }
        files.forget_index();
        writer.forget_recent_up_to(oldest);
        if !dropped_names.0.is_empty() {
            let first = oldest.next().unwrap_or(oldest);
            // What cannot be told is kept.
            let kept = Named::between(files, first, self.version().seq());
            settle_aside(files, &dropped_names, |id| kept.as_ref().map_or(true, |kept| !kept.lacks(id)));
        }
        let gone = remove_what_went(files, number, oldest)?;
        let dropped = oldest.0.saturating_sub(log.oldest().0);
        let bytes = i64::try_from(gone).unwrap_or(i64::MAX) - i64::try_from(base_bytes).unwrap_or(0);
        Ok(Prune { oldest: state.version(), entries: dropped, bytes })
    }
}

/// The state at a version and the ids of what was removed by then, folded from the log alone: what is about to become the
/// truth must not rest on a checkpoint, and what is about to go must be sound.
fn told_by_the_log(files: &Files, oldest: Seq) -> Result<(Whole, Named), Error> {
    files.read(|log| {
        let (start, removed) = log.whole_start()?;
        let mut ids = SlotIds::after(removed, &start.flow);
        let mut named = Named::default();
        named.add_flow(&start.flow, start.seq);
        let mut replay = Replay::from_state(log, start);
        while replay.state().seq < oldest {
            let Some(entry) = replay.next_entry()? else { break };
            named.add_entry(&entry.body, entry.seq);
            ids.follow(&entry.body);
        }
        let state = replay.into_state();
        let mut removed = ids.removed_from(&state.flow);
        if mistake::is_made("a base forgets what was removed") {
            removed.clear();
        }
        Ok(((state, removed), named))
    })
}

/// Everything that names a version before the one from which on all is kept.
fn holds(history: &History, asked: Seq, stamps: &LiveStamps) -> Result<Vec<Hold>, Error> {
    let marks = history.look_at_head(|state| Arc::clone(&state.marks))?;
    let stamp = match stamps {
        LiveStamps::Since(id) => Some(Hold::Stamp { version: history.resolve(*id)? }),
        LiveStamps::GiveUp => None,
    };
    let labels = marks
        .labels
        .iter()
        .map(|(label, version)| Hold::Label { label: label.to_string(), version: *version });
    let pins = marks.pins.iter().map(|version| Hold::Pin { version: *version });
    let running = marks.running.map(|version| Hold::Running { version });
    Ok(labels.chain(pins).chain(running).chain(stamp).filter(|hold| hold.version() < asked).collect())
}

/// The number of the segment that the log is to begin with, and the version before its first entry.
fn boundary(log: &Log, asked: Seq) -> Option<(u64, Seq)> {
    let begins = |segment: &flow_history_replay::SegmentSummary| {
        let oldest = segment.header.first_seq.previous().unwrap_or_default();
        (oldest <= asked).then(|| (segment.first_number(), oldest))
    };
    log.segments().iter().skip(1).rev().find_map(begins)
}

pub(crate) fn write_base(
    files: &Files,
    (state, removed): (&State, &BTreeMap<Slot, ComponentId>),
    number: u64,
    salt: [u8; 16],
) -> Result<u64, Error> {
    let (storage, file) = (&*files.storage, FileName::Base(number).to_string());
    let bytes = encode_base(state, removed, number, salt).map_err(Error::Checkpoint)?;
    let failed = |failed| Error::of_storage(&files.place, failed);
    // ORDER: what was written is read back and compared before anything relies on it.
    replace_checked(storage, &file, &bytes, failed, |aside| {
        let read = BaseHeader::read_from(storage, aside, number)
            .and_then(|header| header.whole_from(storage, aside))
            .map_err(|error| files.log_error(error))?;
        if is_same_state(&read.0, state) && read.1 == *removed {
            return Ok(());
        }
        Err(files.log_error(LogError::damaged(aside, 0, Some(state.seq), What::Checksum)))
    })?;
    Ok(bytes.len() as u64)
}

/// Removes the files that are no part of the log any more; what cannot be removed takes room and nothing else.
fn remove_what_went(files: &Files, number: u64, oldest: Seq) -> Result<u64, Error> {
    let names = files.storage.list().map_err(|source| Error::io("list", files.place.clone(), 0, source))?;
    let later = files.checkpoints().unwrap_or_default().into_iter().filter(|seq| *seq >= oldest);
    let shared = shared_by(files, later);
    let mut gone = 0;
    for name in names {
        let goes = match FileName::parse(&name) {
            Some(FileName::RawSegment(other) | FileName::SealedSegment(other)) => other < number,
            Some(FileName::Base(other)) => other != number,
            Some(FileName::Checkpoint(seq)) => {
                Seq(seq) < oldest && shared.as_ref().is_some_and(|shared| !shared.contains(&seq))
            }
            _ => false,
        };
        if goes {
            let bytes = files.storage.len(&name).unwrap_or_default();
            if files.storage.remove(&name).is_ok() {
                gone += bytes;
            }
        }
    }
    Ok(gone)
}
