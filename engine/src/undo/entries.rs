//! Reading entries backwards, each with its inverse and the flow before it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use flow_history_flow::{Flow, Name, Operation, Slot};
use flow_history_replay::{Body, Entry, Header, Intent, Link, Seq, Told, taken_by};

use crate::past::Past;
use crate::writer::Recent;
use crate::{Error, History};

/// Entries that are folded at once: whoever walks backwards soon wants the one before.
const FOLDED_AT_ONCE: u64 = 256;

/// An entry and what takes it back.
pub(super) struct Known {
    pub(super) entry: Arc<Entry>,
    pub(super) inverses: Arc<Vec<Operation>>,
    /// The slot and the kind of what each of its operations is about, where that is there after it: what is in another slot, or
    /// of another kind, is another component, whatever its id.
    pub(super) touched: Arc<[Option<(Slot, Name)>]>,
    /// The flows around it, where they were put together.
    pub(super) around: Option<Around>,
}

/// The flow before an entry, and the one after it, which few ask for.
pub(super) struct Around {
    pub(super) before: Flow,
    after: OnceLock<Flow>,
}

/// What an entry says of itself, without what it does.
#[derive(Clone)]
pub(super) struct Glance {
    pub(super) seq: Seq,
    pub(super) header: Arc<Header>,
}

/// The entries up to a head, read as they are asked for: the newest from memory, others from the log.
pub(super) struct Entries<'h> {
    history: &'h History,
    head: Seq,
    flow: Flow,
    known: HashMap<Seq, Arc<Known>>,
    glanced: HashMap<Seq, Glance>,
    /// The entry that was glanced at first, where it only sets values: it is nearly always the one that is taken, and is not
    /// read a second time.
    first: Option<Entry>,
    flushed: bool,
    /// Whether an entry was read on its flow already: whoever wants a second one walks, and folding many at once is quicker.
    walks: bool,
}

impl Known {
    pub(super) fn seq(&self) -> Seq {
        self.entry.seq
    }

    pub(super) fn operations(&self) -> &[Operation] {
        match &self.entry.body {
            Body::Change(operations) => operations,
            _ => &[],
        }
    }

    pub(super) fn is_change(&self) -> bool {
        matches!(self.entry.body, Body::Change(_))
    }

    /// Whether all that it does is to remove components.
    pub(super) fn only_removes(&self) -> bool {
        self.operations().iter().all(|operation| matches!(operation, Operation::Remove { .. }))
    }

    /// The flow after it, where the one before is known.
    pub(super) fn after(&self) -> Option<&Flow> {
        let Around { before, after } = self.around.as_ref()?;
        if after.get().is_none() {
            let mut flow = before.clone();
            flow.apply_all(self.operations()).ok()?;
            let _somebody_was_quicker = after.set(flow);
        }
        after.get()
    }

    fn flows(&self) -> Option<(Flow, Flow)> {
        Some((self.around.as_ref()?.before.clone(), self.after()?.clone()))
    }
}

/// What takes a change back that only removes components: each is as it was before. `None` where it does anything else.
fn brings_back(operations: &[Operation], before: &Flow) -> Option<Vec<Operation>> {
    let back = |operation: &Operation| {
        let Operation::Remove { id } = operation else { return None };
        let slot = before.slot(id)?;
        Some(Operation::Add { component: Arc::clone(before.component_in(slot)?), slot: Some(slot) })
    };
    operations.iter().rev().map(back).collect()
}

impl Glance {
    fn of(entry: &Entry) -> Self {
        Self { seq: entry.seq, header: Arc::new(entry.header.clone()) }
    }

    /// The entries that it took, where it is an undo or a redo.
    pub(super) fn taken(&self) -> impl Iterator<Item = Seq> {
        self.header.links.iter().filter_map(|link: &Link| taken_by(self.header.intent, link))
    }
}

impl<'h> Entries<'h> {
    /// Those of a history up to the entry that made this flow.
    pub(super) fn new(history: &'h History, head: Seq, flow: Flow) -> Self {
        Self {
            history,
            head,
            flow,
            known: HashMap::new(),
            glanced: HashMap::new(),
            first: None,
            flushed: false,
            walks: false,
        }
    }

    /// An entry.
    pub(super) fn get(&mut self, seq: Seq) -> Result<Arc<Known>, Error> {
        if let Some(known) = self.at_hand_or_flushed(seq)? {
            return Ok(known);
        }
        if let Some(known) = self.read_alone(seq) {
            let known = Arc::new(known);
            self.known.insert(seq, Arc::clone(&known));
            return Ok(known);
        }
        if let Some(known) = self.read_on_its_flow(seq) {
            return Ok(known);
        }
        self.fold_up_to(seq)?;
        self.known.get(&seq).cloned().ok_or(Error::UnknownVersion { asked: seq, head: self.head })
    }

    /// What an entry says of itself: all that somebody needs who walks down a stack.
    pub(super) fn glance(&mut self, seq: Seq) -> Result<Glance, Error> {
        if let Some(glance) = self.glanced.get(&seq) {
            return Ok(glance.clone());
        }
        let glance = match self.at_hand_or_flushed(seq)? {
            Some(known) => Glance::of(&known.entry),
            None if self.glanced.is_empty() => match self.read_sets(seq) {
                Some(Told::Sets(entry)) => {
                    let glance = Glance::of(&entry);
                    self.first = Some(entry);
                    glance
                }
                Some(Told::Header(header)) => Glance { seq, header: Arc::new(header) },
                None => Glance::of(&self.get(seq)?.entry),
            },
            None => match self.read_header(seq) {
                Some(header) => Glance { seq, header: Arc::new(header) },
                None => Glance::of(&self.get(seq)?.entry),
            },
        };
        self.glanced.insert(seq, glance.clone());
        Ok(glance)
    }

    /// Where anything is not as expected, `None`: folding says what is wrong.
    fn read_header(&self, seq: Seq) -> Option<Header> {
        self.history.files().index_reaching(seq).ok()?.header(seq).ok()?
    }

    /// An entry that is at hand; `None` where it can be read.
    fn at_hand_or_flushed(&mut self, seq: Seq) -> Result<Option<Arc<Known>>, Error> {
        if seq == Seq::ZERO || seq > self.head {
            return Err(Error::UnknownVersion { asked: seq, head: self.head });
        }
        if let Some(known) = self.at_hand(seq) {
            return Ok(Some(known));
        }
        if std::mem::replace(&mut self.flushed, true) {
            return Ok(None);
        }
        // What is on a stack may still be on its way to the disk.
        if let Ok(writer) = self.history.writer() {
            writer.flush()?;
        }
        Ok(self.at_hand(seq))
    }

    /// The first entry that is asked for, on the flow before it, which is put together as a view does it: without the chain
    /// and the headers of what led there. Where anything is not as expected, `None`: folding says what is wrong.
    fn read_on_its_flow(&mut self, seq: Seq) -> Option<Arc<Known>> {
        if std::mem::replace(&mut self.walks, true) {
            return None;
        }
        let before = self.history.at(seq.previous()?).ok()?.to_flow().ok()?;
        // What it removes is told by the flow, rather than id by id from the log.
        let index = self.history.files().index_reaching(seq).ok()?.with_near(before.clone());
        let entry = index.entry(seq).ok()??;
        let operations = match &entry.body {
            Body::Change(operations) => operations.as_slice(),
            _ => &[],
        };
        let after = OnceLock::new();
        let (inverses, touched) = match brings_back(operations, &before) {
            Some(inverses) => (inverses, vec![None; operations.len()]),
            None => {
                let mut flow = before.clone();
                let inverses = flow.apply_all(operations).ok()?;
                (inverses, after.get_or_init(|| flow).touched_by(operations))
            }
        };
        let around = Some(Around { before, after });
        let (inverses, touched) = (Arc::new(inverses), touched.into());
        let known = Known { entry: Arc::new(entry), inverses, touched, around };
        let known = Arc::new(known);
        self.known.insert(seq, Arc::clone(&known));
        Some(known)
    }

    /// An entry that only sets values of components, read with these components and without the flow around them: what
    /// somebody did long ago is read as quickly as what was done just now. Where anything is not as expected, `None`:
    /// folding says what is wrong.
    fn read_alone(&mut self, seq: Seq) -> Option<Known> {
        let first = self.first.take_if(|entry| entry.seq == seq);
        let read = || match self.read_sets(seq) {
            Some(Told::Sets(entry)) => Some(entry),
            _ => None,
        };
        let entry = first.or_else(read)?;
        let files = self.history.files();
        let index = files.index_reaching(seq).ok()?;
        let operations = match &entry.body {
            Body::Change(operations) => operations.as_slice(),
            _ => &[],
        };
        let past = Past::new(files, index, seq.previous()?);
        let (mut inverses, mut touched) = (Vec::with_capacity(operations.len()), Vec::new());
        let mut flow = Flow::new();
        for operation in operations {
            let Operation::Set { id, .. } = operation else { return None };
            // It stands where it stood before: to give values moves nothing.
            let (slot, component) = past.find(id).ok()??;
            touched.push(Some((slot, component.kind.clone())));
            if flow.component(id).is_none() {
                // What contains it has no part in what its fields are.
                let mut component = (*component).clone();
                component.parent = None;
                flow.apply(&Operation::add(component)).ok()?;
            }
            inverses.push(flow.apply(operation).ok()?);
        }
        inverses.reverse();
        let (inverses, touched) = (Arc::new(inverses), touched.into());
        Some(Known { entry: Arc::new(entry), inverses, touched, around: None })
    }

    /// An entry that only sets values; of any other its header. Where anything is not as expected, `None`.
    fn read_sets(&self, seq: Seq) -> Option<Told> {
        self.history.files().index_reaching(seq).ok()?.sets_or_header(seq).ok()?
    }

    fn at_hand(&mut self, seq: Seq) -> Option<Arc<Known>> {
        if let Some(known) = self.known.get(&seq) {
            return Some(Arc::clone(known));
        }
        let recent = self.history.writer().ok()?.recent(seq)?;
        let Recent { entry, inverses, touched, .. } = recent;
        let known = Arc::new(Known { entry, inverses, touched: touched.into(), around: None });
        self.known.insert(seq, Arc::clone(&known));
        Some(known)
    }

    fn fold_up_to(&mut self, seq: Seq) -> Result<(), Error> {
        let files = self.history.files();
        let mut replay = files.replay_from(Seq(seq.0.saturating_sub(FOLDED_AT_ONCE)))?;
        while replay.state().seq < seq {
            let before = replay.state().flow.clone();
            let Some((entry, pushed)) = files.next_step(&mut replay)? else { break };
            let (entry, inverses) = (Arc::new(entry), Arc::new(pushed.inverses));
            let touched = match &entry.body {
                Body::Change(operations) => replay.state().flow.touched_by(operations).into(),
                _ => Arc::default(),
            };
            let around = Some(Around { before, after: OnceLock::from(replay.state().flow.clone()) });
            self.known.insert(entry.seq, Arc::new(Known { entry, inverses, touched, around }));
        }
        files.count(&replay);
        Ok(())
    }

    /// The flow before an entry.
    pub(super) fn before(&mut self, seq: Seq) -> Result<Flow, Error> {
        if let Some(around) = self.known.get(&seq).and_then(|known| known.around.as_ref()) {
            return Ok(around.before.clone());
        }
        Ok(self.around(seq)?.0)
    }

    /// The flow before and after an entry: rolled back from the head where all entries since are at hand.
    pub(super) fn around(&mut self, seq: Seq) -> Result<(Flow, Flow), Error> {
        if let Some(around) = self.known.get(&seq).and_then(|known| known.flows()) {
            return Ok(around);
        }
        let mut after = self.flow.clone();
        let mut at = self.head;
        while at >= seq {
            let Some(known) = self.at_hand(at) else { break };
            let mut before = after.clone();
            if before.apply_all(known.inverses.iter()).is_err() {
                break;
            }
            match at.previous() {
                Some(previous) if at > seq => at = previous,
                _ => return Ok((before, after)),
            }
            after = before;
        }
        // What was at hand without its flows is read again with them.
        self.known.remove(&seq);
        if let Ok(writer) = self.history.writer() {
            writer.flush()?;
        }
        if let Some(around) = self.read_on_its_flow(seq).and_then(|known| known.flows()) {
            return Ok(around);
        }
        self.fold_up_to(seq)?;
        let folded = self.known.get(&seq).and_then(|known| known.flows());
        folded.ok_or(Error::UnknownVersion { asked: seq, head: self.head })
    }

    /// Whether any of the entries that made what an undo or a redo took or did again fits: of a gesture each may be of
    /// another session.
    pub(super) fn any_root(&mut self, of: &Glance, fits: impl Fn(&Header) -> bool) -> Result<bool, Error> {
        let mut pending = vec![of.clone()];
        while let Some(glance) = pending.pop() {
            if !matches!(glance.header.intent, Intent::Undo | Intent::Redo) {
                if fits(&glance.header) {
                    return Ok(true);
                }
                continue;
            }
            // INVARIANT: what was taken is older, so that this ends.
            let taken: Vec<Seq> = glance.taken().filter(|taken| *taken < glance.seq).collect();
            for seq in taken {
                pending.push(self.glance(seq)?);
            }
        }
        Ok(false)
    }
}
