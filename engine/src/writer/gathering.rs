//! Validating entries and gathering them into groups.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use flow_history_flow::Operation;
use flow_history_replay::{
    Body, Chain, FRAME_HEADER_BYTES, FlowVersionId, Header, Intent, PushError, Pushed, SegmentReason, Seq,
    State, Tops,
};
use parking_lot::MutexGuard;

use super::{Durability, Head, Writer};
use crate::active_segment::Beginning;
use crate::group::{Failure, Group, Ticket};
use crate::{Author, Error, Mark};

/// A group's frame is closed to new members when it has this many bytes.
const GROUP_BYTES: usize = 1 << 20;

/// The largest change that is kept so.
const RECENT_OPERATIONS: usize = 64;

pub(super) struct Building {
    pub(super) state: State,
    pub(super) open: OpenGroup,
    /// Groups that are full and wait for a leader.
    pub(super) full: VecDeque<TakenGroup>,
    pub(super) leading: bool,
    /// The size of the last group, whose members a leader expects back.
    pub(super) last_group: u32,
    pub(super) durable: Seq,
    pub(super) waiting_bytes: usize,
    /// Why the next segment is begun, when it is.
    pub(super) reason: SegmentReason,
    /// Whether the first entry must be a mark that says that the history was not closed.
    pub(super) needs_opened: bool,
    /// Whether anything was written since the history was opened or closed last.
    pub(super) dirty: bool,
    pub(super) closed: bool,
    pub(super) poison: Option<Failure>,
}

pub(super) struct OpenGroup {
    pub(super) group: Arc<Group>,
    pub(super) frame: Vec<u8>,
    pub(super) entries: u32,
    pub(super) pushed: Vec<PushedEntry>,
    pub(super) beginning: (Seq, Chain, i64),
}

/// A group on its way to the disk.
pub(super) struct TakenGroup {
    pub(super) group: Arc<Group>,
    pub(super) frame: Vec<u8>,
    pub(super) payload_bytes: usize,
    pub(super) entries: u32,
    pub(super) pushed: Vec<PushedEntry>,
    pub(super) beginning: Beginning,
    pub(super) chain: Chain,
    pub(super) last_seq: Seq,
    pub(super) head: Head,
    pub(super) checkpoint: Option<State>,
}

/// An entry of a group, with what takes it back, and what undo needs if it is to be kept at hand.
pub(super) struct PushedEntry {
    pub(super) pushed: Pushed,
    pub(super) kept: Option<(Header, Arc<Vec<Operation>>)>,
}

/// What a caller wants written.
pub(crate) struct Draft {
    pub(crate) header: Header,
    pub(crate) body: Body,
    pub(crate) expected: Option<FlowVersionId>,
    /// What must still be on top of the flow's stacks: an undo that was planned on another top is planned again.
    pub(crate) planned_on: Option<Tops>,
}

impl OpenGroup {
    pub(super) fn begin(state: &State) -> Self {
        Self {
            group: Arc::default(),
            frame: vec![0; FRAME_HEADER_BYTES],
            entries: 0,
            pushed: Vec::new(),
            beginning: (state.seq.next().unwrap_or(state.seq), state.chain, state.log_time),
        }
    }
}

impl Writer {
    /// Appends an entry and waits until it is durable, or as durable as the history was opened for.
    pub(crate) fn append(&self, draft: Draft) -> Result<FlowVersionId, Error> {
        if let Durability::Buffered { max_delay } = self.durability {
            return self.append_buffered(draft, max_delay);
        }
        let (group, id) = self.join(draft, false)?;
        self.wait_for(&group)?;
        Ok(id)
    }

    /// Hands an entry over, to become durable soon.
    pub(crate) fn submit(&self, draft: Draft) -> Result<Ticket, Error> {
        let (group, id) = self.join(draft, true)?;
        self.lead_in_background(Duration::ZERO);
        let writer = self.own.upgrade().ok_or(Error::Closed)?;
        Ok(Ticket { group, id, writer })
    }

    /// Appends entries that become durable together; all of them or none are accepted.
    pub(crate) fn append_all(&self, drafts: Vec<Draft>) -> Result<Vec<FlowVersionId>, Error> {
        let mut building = self.enter()?;
        self.push_opened_mark(&mut building)?;
        // A group that is begun is not closed in the middle: whatever fails is taken back out of it.
        let (entries, bytes) = (building.open.entries, building.open.frame.len());
        let mut ids = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match Self::push(&mut building, draft) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    let building = &mut *building;
                    while building.open.entries > entries {
                        if let Some(entry) = building.open.pushed.pop() {
                            building.state.take_back(entry.pushed);
                        }
                        building.open.entries -= 1;
                    }
                    building.waiting_bytes -= building.open.frame.len() - bytes;
                    building.open.frame.truncate(bytes);
                    return Err(error);
                }
            }
        }
        let group = Arc::clone(&building.open.group);
        self.publish_if_buffered(&building);
        drop(building);
        if ids.is_empty() || self.durability != Durability::Immediate {
            return Ok(ids);
        }
        self.wait_for(&group)?;
        Ok(ids)
    }

    /// Returns when everything appended so far is durable.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        loop {
            let building = self.building.lock();
            if let Some(poison) = &building.poison {
                return Err(poison.to_error());
            }
            let group = match building.full.back() {
                _ if building.open.entries > 0 => Arc::clone(&building.open.group),
                Some(last) => Arc::clone(&last.group),
                None if building.leading => {
                    let mut building = building;
                    self.ended.wait(&mut building);
                    continue;
                }
                None => return Ok(()),
            };
            drop(building);
            return self.wait_for(&group);
        }
    }

    fn append_buffered(&self, draft: Draft, max_delay: Duration) -> Result<FlowVersionId, Error> {
        let mut building = self.enter()?;
        if building.waiting_bytes > self.tuning.in_flight_bytes_max {
            // Memory is bounded: whoever appends faster than the disk takes waits for it here.
            drop(building);
            self.flush()?;
            building = self.enter()?;
        }
        self.push_opened_mark(&mut building)?;
        let id = Self::push(&mut building, draft)?;
        self.close_full_group(&mut building);
        let first = building.open.entries <= 1 && building.full.is_empty();
        let many = building.full.len() > 1;
        self.publish_if_buffered(&building);
        drop(building);
        if first || many {
            self.lead_in_background(if many { Duration::ZERO } else { max_delay });
        }
        Ok(id)
    }

    fn publish_if_buffered(&self, building: &Building) {
        if self.durability != Durability::Immediate {
            self.published.publish(building.state.version());
        }
    }

    /// Validates an entry and puts it into the group that is gathering.
    fn join(&self, draft: Draft, bounded: bool) -> Result<(Arc<Group>, FlowVersionId), Error> {
        let mut building = self.enter()?;
        if bounded && building.waiting_bytes > self.tuning.in_flight_bytes_max {
            let (waiting, max) = (building.waiting_bytes, self.tuning.in_flight_bytes_max);
            return Err(Error::Busy { waiting, max });
        }
        self.push_opened_mark(&mut building)?;
        let id = Self::push(&mut building, draft)?;
        let group = Arc::clone(&building.open.group);
        if building.open.entries >= building.last_group {
            self.joined.notify_one();
        }
        self.close_full_group(&mut building);
        Ok((group, id))
    }

    pub(super) fn enter(&self) -> Result<MutexGuard<'_, Building>, Error> {
        let building = self.building.lock();
        if let Some(poison) = &building.poison {
            return Err(poison.to_error());
        }
        if building.closed {
            return Err(Error::Closed);
        }
        Ok(building)
    }

    fn push(building: &mut Building, draft: Draft) -> Result<FlowVersionId, Error> {
        let Draft { mut header, body, expected, planned_on } = draft;
        if let Some(expected) = expected {
            let actual = building.state.version();
            if expected != actual {
                return Err(Error::Conflict { expected, actual });
            }
            header.expected_base = Some(expected.seq());
        }
        if planned_on.is_some_and(|tops| tops != building.state.stacks.flow) {
            let actual = building.state.version();
            return Err(Error::Conflict { expected: actual, actual });
        }
        let open = &mut building.open;
        let start = open.frame.len();
        open.frame.extend([0; 4]);
        let pushed = match building.state.push(&mut header, &body, &mut open.frame) {
            Ok(pushed) => pushed,
            Err(error) => {
                open.frame.truncate(start);
                return Err(match error {
                    PushError::NoSuchVersion(asked) => {
                        Error::UnknownVersion { asked, head: building.state.seq }
                    }
                    other => other.into(),
                });
            }
        };
        let length = u32::try_from(open.frame.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(place) = open.frame.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        open.entries += 1;
        building.waiting_bytes += open.frame.len() - start;
        building.dirty = true;
        let id = pushed.id;
        let kept = match body {
            Body::Change(operations) if operations.len() <= RECENT_OPERATIONS => {
                Some((header, Arc::new(operations)))
            }
            _ => None,
        };
        open.pushed.push(PushedEntry { pushed, kept });
        Ok(id)
    }

    /// The first entry after an end that was not clean says so, with random bytes that make every later chain value one
    /// that no lost version can have had.
    fn push_opened_mark(&self, building: &mut Building) -> Result<(), Error> {
        if !building.needs_opened {
            return Ok(());
        }
        let author = Arc::new(Author::system("flow-history"));
        let header = Header::new(author, Intent::Mark, self.clock.now());
        let body = Body::Mark(Mark::Opened { random: self.clock.random() });
        Self::push(building, Draft { header, body, expected: None, planned_on: None })?;
        building.needs_opened = false;
        Ok(())
    }

    fn close_full_group(&self, building: &mut Building) {
        if building.open.frame.len() >= GROUP_BYTES {
            let taken = self.take_open(building);
            building.full.push_back(taken);
        }
    }

    pub(super) fn take_open(&self, building: &mut Building) -> TakenGroup {
        let next = OpenGroup::begin(&building.state);
        let open = std::mem::replace(&mut building.open, next);
        let (seq, chain, log_time) = open.beginning;
        TakenGroup {
            group: open.group,
            payload_bytes: open.frame.len() - FRAME_HEADER_BYTES,
            frame: open.frame,
            entries: open.entries,
            pushed: open.pushed,
            beginning: Beginning { reason: building.reason, seq, chain, log_time },
            chain: building.state.chain,
            last_seq: building.state.seq,
            head: Head::of(&building.state),
            checkpoint: self.checkpoint_if_due(&building.state),
        }
    }
}
