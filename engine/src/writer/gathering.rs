//! Validating entries and gathering them into groups.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use flow_history_flow::{Name, Slot, mistake, splice_long_texts};
use flow_history_replay::{
    Body, Chain, ENTRY_BYTES_MAX, EncodeError, Entry, FRAME_ENTRIES_MAX, FRAME_HEADER_BYTES, FlowVersionId,
    Header, Intent, PAYLOAD_BYTES_MAX, PushError, Pushed, SegmentReason, Seq, State, content_of,
};

use super::cadence::Waiting;
use super::pending::Pending;
use super::{Durability, HeadInfo, Writer};
use crate::active_segment::Beginning;
use crate::group::{Failure, Group, Ticket};
use crate::sync::MutexGuard;
use crate::vault::Secrets;
use crate::{Author, Error, Mark, Operation, SecretRef};

/// A group's frame is closed to new members when it has this many bytes.
const GROUP_BYTES: usize = 1 << 20;
/// After how many bytes a group is asked whether it should end, because a checkpoint is due.
const LOOK_EVERY_BYTES: usize = 64 << 10;

/// The largest entry, in bytes, that is kept at hand once it is durable, while others come.
pub(super) const RECENT_BYTES: usize = 4 << 10;
/// The same of the newest entry, until the history is idle: what somebody did just now is what they take back.
const NEWEST_BYTES: usize = 4 << 20;

pub(super) struct Building {
    pub(super) state: State,
    pub(super) open: OpenGroup,
    /// Groups that are full and wait for a leader.
    pub(super) full: VecDeque<TakenGroup>,
    /// Every entry that was validated and is not durable yet, oldest first; of buffered entries nothing is kept.
    pub(super) pending: Pending,
    /// Buffers of groups that were written, to gather the next ones in.
    pub(super) spare: Vec<Vec<u8>>,
    /// The newest version that is durable.
    pub(super) head: HeadInfo,
    pub(super) leading: bool,
    /// Whether entries were handed over while somebody led, that nobody may be waiting for.
    pub(super) unattended: bool,
    /// The group that is being led, or was last.
    pub(super) led: Option<Arc<Group>>,
    /// Whether work that will lead is on its way.
    pub(super) lead_due: bool,
    /// Whether a flush of buffered entries is on its way.
    pub(super) flush_due: bool,
    /// How many callers a leader expects: those of the last group, who are on their way back, and those who came while it
    /// was written. Whoever only handed an entry over is not expected: nothing held them up.
    pub(super) expected: u32,
    pub(super) durable: Seq,
    pub(super) waiting_bytes: usize,
    /// Bytes of log that there were when it was opened, and those that were appended since and are durable.
    pub(super) durable_bytes: u64,
    /// Why the next segment is begun, when it is.
    pub(super) reason: SegmentReason,
    /// Whether the first entry must be a mark that says that the history was not closed.
    pub(super) needs_opened: bool,
    /// Whether anything was written since the history was opened or closed last.
    pub(super) dirty: bool,
    pub(super) closed: bool,
    pub(super) poison: Option<Failure>,
    /// Why buffered entries that were accepted never became durable; the next caller is told.
    pub(super) lost: Option<Failure>,
}

pub(super) struct OpenGroup {
    pub(super) group: Arc<Group>,
    pub(super) frame: Vec<u8>,
    pub(super) entries: u32,
    /// How many callers wait for it.
    pub(super) callers: u32,
    pub(super) beginning: (Seq, Chain, i64),
    /// How many bytes it had when it was last asked whether a checkpoint is due.
    looked_at: usize,
}

/// A group on its way to the disk.
pub(super) struct TakenGroup {
    pub(super) group: Arc<Group>,
    pub(super) frame: Vec<u8>,
    pub(super) payload_bytes: usize,
    pub(super) entries: u32,
    pub(super) callers: u32,
    pub(super) beginning: Beginning,
    pub(super) chain: Chain,
    pub(super) last_seq: Seq,
    pub(super) head: HeadInfo,
    pub(super) checkpoint: Option<Waiting>,
}

/// An entry of a group, with what takes it back; itself, if it is to be kept at hand.
pub(super) struct PushedEntry {
    pub(super) pushed: Pushed,
    pub(super) kept: Option<Arc<Entry>>,
    /// Its bytes.
    pub(super) bytes: usize,
    /// What its operations touched, as after it; of an entry that is kept.
    pub(super) touched: Vec<Option<(Slot, Name)>>,
}

/// What a caller wants written.
pub(crate) struct Draft {
    pub(crate) header: Header,
    pub(crate) body: Body,
    pub(crate) expected: Option<FlowVersionId>,
    /// The version, durable or not, that it was planned on: an undo that was planned on another one is planned again.
    pub(crate) planned_on: Option<FlowVersionId>,
    /// What it has to do with secrets, if anything.
    pub(crate) secrets: Option<Box<Secrets>>,
}

impl Draft {
    /// An entry that expects nothing.
    pub(crate) fn of(header: Header, body: Body) -> Self {
        Self { header, body, expected: None, planned_on: None, secrets: None }
    }
}

/// What became of a draft.
enum Taken {
    /// It is a new entry.
    New(FlowVersionId),
    /// It repeats a request that was taken before, by its idempotency key.
    Before(FlowVersionId),
}

/// An entry that was put into the group that is gathering.
struct Joined {
    group: Arc<Group>,
    id: FlowVersionId,
    /// Whether somebody has to be found who leads.
    wants_leader: bool,
}

/// What is kept of an entry until it is durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// What takes it back, and what undo needs.
    Inverses,
    /// Nothing: should it be refused, the state is read back from the files.
    Nothing,
}

impl Building {
    /// Bytes of log once everything that waits is durable.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.durable_bytes + self.waiting_bytes as u64
    }

    /// Whether anything waits for a leader.
    pub(super) fn has_gathered(&self) -> bool {
        self.open.entries > 0 || !self.full.is_empty()
    }

    /// Whether somebody has to be found who leads what has gathered; it is said once, to whoever then does so. Whoever leads
    /// already sees to it when done: perhaps nobody waits for what has gathered.
    pub(super) fn wants_leader(&mut self) -> bool {
        if !self.has_gathered() {
            return false;
        }
        if self.leading {
            self.unattended = true;
            return false;
        }
        // Leadership is taken when the work begins, not before: the thread may be waiting for somebody to lead.
        !std::mem::replace(&mut self.lead_due, true)
    }

    /// Whether the state is that of the newest durable entry, and nobody is about to change that.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.leading && !self.has_gathered() && self.durable == self.state.seq
    }
}

impl OpenGroup {
    /// A group of nobody yet, gathered in a buffer that an earlier one may have left.
    pub(super) fn begin(state: &State, mut frame: Vec<u8>) -> Self {
        frame.clear();
        frame.resize(FRAME_HEADER_BYTES, 0);
        Self {
            group: Arc::default(),
            frame,
            entries: 0,
            callers: 0,
            beginning: (state.seq.next().unwrap_or(state.seq), state.chain, state.log_time),
            looked_at: 0,
        }
    }
}

impl Writer {
    /// Appends an entry and waits until it is durable, or as durable as the history was opened for.
    pub(crate) fn append(&self, draft: Draft) -> Result<FlowVersionId, Error> {
        if let Durability::Buffered { max_delay } = self.durability {
            return self.append_buffered(draft, max_delay);
        }
        // Beside a sync it costs nothing to ask the system.
        self.check_process().map_err(|forked| forked.to_error())?;
        let joined = self.join(draft, false)?;
        if !mistake::is_made("an append is acknowledged before its sync") {
            self.wait_for(&joined.group)?;
        }
        Ok(joined.id)
    }

    /// Hands an entry over, to become durable soon.
    pub(crate) fn submit(&self, draft: Draft) -> Result<Ticket, Error> {
        let Joined { group, id, wants_leader } = self.join(draft, true)?;
        if wants_leader {
            self.lead_soon();
        }
        let writer = self.own.upgrade().ok_or(Error::Closed)?;
        Ok(Ticket { group, id, writer })
    }

    /// Appends entries that become durable together; all of them or none are accepted.
    pub(crate) fn append_all(&self, drafts: Vec<Draft>) -> Result<Vec<FlowVersionId>, Error> {
        self.check_process().map_err(|forked| forked.to_error())?;
        let mut building = self.enter()?;
        let before = Savepoint::of(&building);
        let mut ids = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match self.push(&mut building, draft, Keep::Inverses) {
                Ok(Taken::New(id) | Taken::Before(id)) => ids.push(id),
                Err(error) => {
                    before.return_to(&mut building);
                    return Err(error);
                }
            }
        }
        let group = Arc::clone(&building.open.group);
        let added = building.open.entries > before.entries;
        building.open.callers += u32::from(added);
        if let Durability::Buffered { max_delay } = self.durability {
            self.let_buffered(building, max_delay);
            return Ok(ids);
        }
        self.close_full_group(&mut building);
        drop(building);
        if added {
            self.wait_for(&group)?;
        } else {
            self.flush()?;
        }
        Ok(ids)
    }

    /// Returns when everything appended so far is durable.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        // In a child of the process the lock may be one that nobody lets go.
        self.check_process().map_err(|forked| forked.to_error())?;
        let flushed = self.flush_keeping_lost();
        // Whoever waited for buffered entries knows now what became of them.
        let lost = self.building.lock().lost.take();
        flushed.and_then(|()| lost.map_or(Ok(()), |lost| Err(lost.to_error())))
    }

    /// As [`Writer::flush`], for a thread of the process that opened the history; nobody is told what was lost.
    pub(super) fn flush_keeping_lost(&self) -> Result<(), Error> {
        loop {
            let mut building = self.building.lock();
            if let Some(poison) = &building.poison {
                return Err(poison.to_error());
            }
            let group = match building.full.back() {
                _ if building.open.entries > 0 => Arc::clone(&building.open.group),
                Some(last) => Arc::clone(&last.group),
                None => match &building.led {
                    Some(led) => Arc::clone(led),
                    None if building.leading => {
                        self.ended.wait(&mut building);
                        continue;
                    }
                    None => return Ok(()),
                },
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
        let id = match self.push(&mut building, draft, Keep::Nothing)? {
            Taken::New(id) => id,
            Taken::Before(id) => return Ok(id),
        };
        self.let_buffered(building, max_delay);
        Ok(id)
    }

    /// Lets entries that were just pushed be buffered: visible now, and on the disk within the delay.
    fn let_buffered(&self, mut building: MutexGuard<'_, Building>, max_delay: Duration) {
        // Nobody waits for a buffered entry: should it be refused later, the state is read back from the files. What a
        // mark or entries that came together kept is let go of.
        building.pending.clear_gathering();
        self.close_full_group(&mut building);
        // Every entry is covered by a flush that begins after it came and within the delay.
        let first = !std::mem::replace(&mut building.flush_due, true);
        let many = building.full.len() > 1;
        self.published.publish(building.state.version());
        drop(building);
        if first {
            self.flush_in_background(max_delay);
        }
        if many {
            self.lead_in_background();
        }
    }

    /// Validates an entry and puts it into the group that is gathering.
    fn join(&self, draft: Draft, bounded: bool) -> Result<Joined, Error> {
        let mut building = self.enter_settled(&draft)?;
        if bounded && building.waiting_bytes > self.tuning.in_flight_bytes_max {
            let (waiting, max) = (building.waiting_bytes, self.tuning.in_flight_bytes_max);
            return Err(Error::Busy { waiting, max });
        }
        let keep = if self.is_buffered() { Keep::Nothing } else { Keep::Inverses };
        let id = match self.push(&mut building, draft, keep)? {
            Taken::New(id) => id,
            Taken::Before(id) => {
                // The first request may still be on its way to the disk; this one is answered when it has arrived, and
                // fails as that one did.
                drop(building);
                self.flush()?;
                if self.building.lock().durable < id.seq() {
                    return Err(Error::Conflict { expected: id, actual: self.published.load() });
                }
                let group = Group::default();
                group.settle(&Ok(()));
                return Ok(Joined { group: Arc::new(group), id, wants_leader: false });
            }
        };
        let group = Arc::clone(&building.open.group);
        if !bounded {
            building.open.callers += 1;
            if building.open.callers >= building.expected {
                self.joined.notify_one();
            }
        }
        if self.is_buffered() {
            building.pending.clear_gathering();
            self.published.publish(building.state.version());
        }
        self.close_full_group(&mut building);
        // Whoever only hands an entry over will not lead.
        let wants_leader = bounded && building.wants_leader();
        Ok(Joined { group, id, wants_leader })
    }

    pub(super) fn enter(&self) -> Result<MutexGuard<'_, Building>, Error> {
        let mut building = self.building.lock();
        if let Some(poison) = &building.poison {
            return Err(poison.to_error());
        }
        if let Some(lost) = building.lost.take() {
            return Err(lost.to_error());
        }
        if building.closed {
            return Err(Error::Closed);
        }
        Ok(building)
    }

    /// Enters, and where a draft expects another version than the newest one waits until that one is durable: an error
    /// must name no version that could still be taken back.
    fn enter_settled(&self, draft: &Draft) -> Result<MutexGuard<'_, Building>, Error> {
        let building = self.enter()?;
        let conflicts = draft.expected.is_some_and(|expected| expected != building.state.version());
        if !conflicts || building.pending.is_empty() || self.durability != Durability::Immediate {
            return Ok(building);
        }
        drop(building);
        self.flush()?;
        self.enter()
    }

    /// Validates an entry, applies it and puts its bytes into the open group; or leaves everything as it was.
    fn push(&self, building: &mut Building, draft: Draft, keep: Keep) -> Result<Taken, Error> {
        if let Some(key) = &draft.header.idempotency_key
            && let Some(first) = building.state.keys.get(key)
        {
            if first.content == content_of(&draft.header, &draft.body) {
                return Ok(Taken::Before(first.id));
            }
            return Err(Error::KeyReused { key: key.to_string(), first: first.id });
        }
        let actual = building.state.version();
        let moved = draft.planned_on.is_some_and(|version| version != actual);
        match draft.expected {
            Some(expected) if expected != actual => {
                let actual = if self.is_buffered() { actual } else { building.head.id };
                return Err(Error::Conflict { expected, actual });
            }
            _ if moved => return Err(Error::Conflict { expected: actual, actual }),
            _ => {}
        }
        let shredded = |secret: &SecretRef| building.state.marks.shredded.get(&secret.id).copied();
        if let Some(mark) = draft.secrets.as_ref().and_then(|secrets| secrets.named.iter().find_map(shredded))
        {
            return Err(Error::SecretGone { mark });
        }
        let before = Savepoint::of(building);
        let pushed = self.push_opened_mark(building).and_then(|()| push_entry(building, draft, keep));
        if pushed.is_err() {
            // A refused entry leaves no trace, not even of the mark that was to stand before it.
            before.return_to(building);
        }
        pushed.map(Taken::New)
    }

    /// The first entry after an end that was not clean says so, with random bytes that make every later chain value one
    /// that no lost version can have had.
    fn push_opened_mark(&self, building: &mut Building) -> Result<(), Error> {
        if !building.needs_opened || mistake::is_made("no mark says that there was a crash") {
            return Ok(());
        }
        let author = Arc::new(Author::system("flow-history"));
        let header = Header::new(author, Intent::Mark, self.clock.now());
        let body = Body::Mark(Mark::Opened { random: self.clock.random() });
        push_entry(building, Draft::of(header, body), Keep::Inverses)?;
        building.needs_opened = false;
        Ok(())
    }

    fn close_full_group(&self, building: &mut Building) {
        let bytes = building.open.frame.len();
        let looks = bytes >= building.open.looked_at + LOOK_EVERY_BYTES;
        if looks {
            building.open.looked_at = bytes;
        }
        // Whoever appends long groups has its checkpoints no further apart for it.
        let ends = looks && self.wants_checkpoint(building);
        if bytes >= GROUP_BYTES || ends {
            let taken = self.take_open(building);
            building.full.push_back(taken);
        }
    }

    pub(super) fn take_open(&self, building: &mut Building) -> TakenGroup {
        debug_assert!(!self.is_buffered() || building.pending.is_empty());
        let spare = building.spare.pop().unwrap_or_default();
        let next = OpenGroup::begin(&building.state, spare);
        let open = std::mem::replace(&mut building.open, next);
        building.pending.begin_group();
        let (seq, chain, log_time) = open.beginning;
        TakenGroup {
            group: open.group,
            payload_bytes: open.frame.len() - FRAME_HEADER_BYTES,
            frame: open.frame,
            entries: open.entries,
            callers: open.callers,
            beginning: Beginning { reason: building.reason, seq, chain, log_time },
            chain: building.state.chain,
            last_seq: building.state.seq,
            head: HeadInfo::of(&building.state),
            checkpoint: self.checkpoint_if_due(building),
        }
    }
}

fn push_entry(building: &mut Building, draft: Draft, keep: Keep) -> Result<FlowVersionId, Error> {
    let Draft { mut header, mut body, expected, .. } = draft;
    // A repeated request is known by its content, which must not depend on what it was made of.
    if let (Body::Change(operations), None) = (&mut body, &header.idempotency_key) {
        splice_long_texts(operations, &building.state.flow);
    }
    header.expected_base = expected.map(|expected| expected.seq());
    let (state, open) = (&mut building.state, &mut building.open);
    if open.entries >= FRAME_ENTRIES_MAX {
        let (part, max) = ("entries together", FRAME_ENTRIES_MAX as usize);
        return Err(Error::Header(EncodeError::TooMany { part, max }));
    }
    if let Body::Change(operations) = &mut body {
        for operation in operations {
            if let Operation::Add { component, .. } = operation
                && let Some(component) = Arc::get_mut(component)
            {
                state.vocabulary.share_names(component);
            }
        }
    }
    let start = open.frame.len();
    open.frame.extend([0; 4]);
    // Any entry fits beside what a group holds that still takes members; only what is put together may be too much.
    let for_good =
        keep == Keep::Nothing && start <= FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX - ENTRY_BYTES_MAX - 4;
    let pushed = if for_good {
        state.push_for_good(&mut header, &body, &mut open.frame).map(|id| (id, None))
    } else {
        state.push(&mut header, &body, &mut open.frame).map(|pushed| (pushed.id, Some(pushed)))
    };
    let (id, pushed) = match pushed {
        Ok(pushed) => pushed,
        Err(error) => {
            open.frame.truncate(start);
            return Err(match error {
                PushError::NoSuchVersion(asked) => {
                    Error::UnknownVersion { asked, head: building.head.id.seq() }
                }
                other => other.into(),
            });
        }
    };
    let length = u32::try_from(open.frame.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(place) = open.frame.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    if let Some(pushed) = pushed {
        if open.frame.len() > FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX {
            open.frame.truncate(start);
            state.take_back(pushed);
            let (part, max) = ("bytes together", PAYLOAD_BYTES_MAX);
            return Err(Error::Header(EncodeError::TooMany { part, max }));
        }
        let bytes = open.frame.len() - start;
        // What is kept is put together here, and let go of by those who append next: whoever leads a group only passes it on.
        let (mut kept, mut touched) = (None, Vec::new());
        if bytes <= NEWEST_BYTES {
            if let Body::Change(operations) = &body {
                touched = state.flow.touched_by(operations);
            }
            kept = Some(Arc::new(Entry::new(pushed.seq, pushed.id, header, body)));
        }
        building.pending.push(PushedEntry { pushed, kept, bytes, touched }, &state.stacks);
    }
    open.entries += 1;
    building.waiting_bytes += open.frame.len() - start;
    building.dirty = true;
    Ok(id)
}

/// What the open group held, to return to when an entry is refused. A group is not closed in between.
struct Savepoint {
    entries: u32,
    frame_bytes: usize,
    needs_opened: bool,
    dirty: bool,
}

impl Savepoint {
    fn of(building: &Building) -> Self {
        Self {
            entries: building.open.entries,
            frame_bytes: building.open.frame.len(),
            needs_opened: building.needs_opened,
            dirty: building.dirty,
        }
    }

    fn return_to(&self, building: &mut Building) {
        while building.open.entries > self.entries {
            if let Some(entry) = building.pending.pop() {
                building.state.take_back(entry.pushed);
            }
            building.open.entries -= 1;
        }
        building.waiting_bytes -= building.open.frame.len() - self.frame_bytes;
        building.open.frame.truncate(self.frame_bytes);
        building.needs_opened = self.needs_opened;
        building.dirty = self.dirty;
    }
}
