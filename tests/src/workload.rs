//! What a host does to a history on a disk that loses power, with what must and may be there afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    Author, Component, Durability, Error, Flow, FlowVersionId, History, LiveStamps, Mark, Operation, Scope,
    Seq, Storage, Tuning, Value,
};

use crate::disk::{Disk, Step};
use crate::secrets::{Secrets, vault_key};
use crate::{Chance, Gene, SeededClock, SimDisk};

/// One thing that a workload does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// A change by chance.
    Change,
    /// A change that takes about half of a small segment.
    Big,
    /// A mark.
    Mark,
    /// Undo of the newest change.
    Undo,
    /// Redo of what was undone last.
    Redo,
    /// Three changes that become durable together.
    Many,
    /// Everything that was appended becomes durable.
    Flush,
    /// Closing, and opening again.
    Reopen,
    /// What lies before the middle goes.
    Prune,
    /// A secret is sealed, and an entry names it.
    Secret,
    /// A secret is sealed that no entry will name.
    Seal,
    /// One of the secrets is shredded.
    Shred,
}

/// How the history is opened.
#[derive(Clone)]
pub struct Settings {
    /// Sizes and waits.
    pub tuning: Tuning,
    /// When an append returns.
    pub durability: Durability,
    /// Bytes of a sector of the disk.
    pub sector: usize,
    /// Whether there are keys to seal secrets under.
    pub keys: bool,
}

impl Settings {
    /// Small segments that are sealed, no checkpoints, everything done by whoever appends: the same seed takes the same
    /// steps.
    #[must_use]
    pub fn small() -> Self {
        let mut tuning = Tuning::hostile();
        tuning.vouch_after = Duration::from_secs(3_600);
        tuning.derive_from_bytes = u64::MAX;
        tuning.background = false;
        Self { tuning, durability: Durability::Immediate, sector: 512, keys: false }
    }

    /// The same with other sizes and waits.
    #[must_use]
    pub fn tuned(mut self, tune: impl FnOnce(&mut Tuning)) -> Self {
        tune(&mut self.tuning);
        self
    }

    /// Opens a history in a storage.
    ///
    /// # Errors
    /// As the engine.
    pub fn open(&self, storage: impl Storage + 'static, seed: u64) -> Result<History, Error> {
        let options = History::options()
            .tuning(self.tuning.clone())
            .durability(self.durability)
            .clock(SeededClock::new(seed));
        let options = if self.keys { options.vault_keys(vault_key()) } else { options };
        options.open_storage(Arc::new(storage))
    }
}

/// What must and may be there.
#[derive(Clone)]
pub struct Truth {
    /// The flow at each version, from version 0.
    pub flows: Vec<Flow>,
    /// The id of each version, from version 1.
    pub ids: Vec<FlowVersionId>,
    /// Versions that are never the newest after a crash: what was appended together is there together.
    pub inside: BTreeSet<u64>,
    /// Ids that were given out and lost before: they must never come back.
    pub lost: Vec<FlowVersionId>,
    /// The secrets that were named.
    pub secrets: Secrets,
}

impl Default for Truth {
    fn default() -> Self {
        Self {
            flows: vec![Flow::new()],
            ids: Vec::new(),
            inside: BTreeSet::new(),
            lost: Vec::new(),
            secrets: Secrets::default(),
        }
    }
}

impl Truth {
    /// The newest version's number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.ids.len() as u64
    }

    /// The newest flow.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        self.flows.last().unwrap()
    }

    /// The versions after this one are forgotten, and their ids must never come back.
    pub fn lose_after(&mut self, seq: u64) {
        let seq = usize::try_from(seq).unwrap();
        self.flows.truncate(seq + 1);
        self.lost.extend(self.ids.drain(seq.min(self.ids.len())..));
    }

    fn push(&mut self, id: FlowVersionId, flow: Flow) {
        self.flows.push(flow);
        self.ids.push(id);
    }
}

/// Does things on a disk, and says before and after each what may and what must survive.
pub struct Worker {
    disk: SimDisk,
    settings: Settings,
    seed: u64,
    chance: Chance,
    history: Option<History>,
    truth: Truth,
    acknowledged: u64,
}

impl Worker {
    /// Opens the history on a disk where this is true.
    #[must_use]
    pub fn begin(disk: SimDisk, settings: &Settings, seed: u64, truth: Truth) -> Self {
        let acknowledged = truth.seq();
        let chance = Chance::new(seed);
        let mut worker =
            Self { disk, settings: settings.clone(), seed, chance, history: None, truth, acknowledged };
        worker.open();
        let recovered = worker.history().version().seq().0;
        worker.truth.lose_after(recovered);
        worker.acknowledged = recovered;
        worker
    }

    fn open(&mut self) {
        self.seed += 1_000_003;
        self.history = Some(self.settings.open(self.disk.clone(), self.seed).unwrap());
    }

    /// The open history.
    #[must_use]
    pub fn history(&self) -> &History {
        self.history.as_ref().unwrap()
    }

    /// What is true by now.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Closes the history, and says what is true.
    #[must_use]
    pub fn close(mut self) -> Truth {
        let history = self.history.take().unwrap();
        history.close().unwrap();
        self.truth
    }

    /// Operations by chance that fit the flow, and the flow after them.
    fn fitting(&mut self, flow: &Flow) -> (Vec<Operation>, Flow) {
        loop {
            let operation = Gene::random(&mut self.chance).operation(flow);
            let mut after = flow.clone();
            if after.apply(&operation).is_ok() {
                return (vec![operation], after);
            }
        }
    }

    fn big(&mut self, flow: &Flow) -> (Vec<Operation>, Flow) {
        let (mut operations, mut after) = self.fitting(flow);
        let id = format!("big-{}", self.truth.seq());
        // Bytes that no compression makes small, so that a segment of them stays large when it is sealed.
        let text: String =
            (0..1_700).map(|_| char::from(b'a' + self.chance.bits().to_le_bytes()[5] % 26)).collect();
        let big = Operation::add(Component::new(id, "big").field("text", text));
        after.apply(&big).unwrap();
        operations.push(big);
        (operations, after)
    }

    /// Seals a secret and names it, by either of the two ways.
    fn put_secret(&mut self, history: &History, flow: &Flow) -> (FlowVersionId, Flow) {
        let alice = Author::user("alice");
        let plain = format!("secret {} of {}", self.truth.seq(), self.seed);
        let mut after = flow.clone();
        let id = if flow.component("safe").is_some() {
            let change = history.change(&alice, "another").secret("safe", "password", plain.as_str());
            let id = change.append().unwrap();
            let safe = history.at(id).unwrap().component("safe").unwrap().unwrap();
            let secret = safe.get("password").unwrap().clone();
            after.apply(&Operation::set("safe", "password", secret)).unwrap();
            id
        } else {
            let secret = history.seal_secret(plain.as_str()).unwrap();
            let safe = Component::new("safe", "safe").field("password", Value::Secret(secret));
            let operation = Operation::add(safe);
            after.apply(&operation).unwrap();
            history.change(&alice, "a safe").operations(vec![operation]).append().unwrap()
        };
        let safe = after.component("safe").unwrap();
        safe.visit_secrets(&mut |secret| self.truth.secrets.note(secret, &plain));
        (id, after)
    }

    /// Does one thing.
    pub fn act(&mut self, act: Act) {
        let alice = Author::user("alice");
        let history = self.history().clone();
        match act {
            Act::Reopen => {
                drop(history);
                self.history.take().unwrap().close().unwrap();
                self.acknowledge();
                self.open();
                return;
            }
            Act::Flush => {
                history.flush().unwrap();
                self.acknowledge();
                return;
            }
            Act::Prune => return self.prune(&history),
            Act::Seal => {
                history.seal_secret("never named").unwrap();
                return;
            }
            _ => {}
        }
        let before = self.truth.flow().clone();
        // The entries, and the mark that says that the history was opened after a crash.
        self.disk.note(Step::Attempting(self.truth.seq() + 4));
        let mut flows = Vec::new();
        let id = match act {
            Act::Mark => {
                flows.push(before);
                history.mark(&alice, Mark::Deploy).unwrap()
            }
            Act::Undo | Act::Redo => {
                let applied = match act {
                    Act::Undo => history.undo(Scope::Flow, &alice),
                    _ => history.redo(Scope::Flow, &alice),
                };
                let Ok(applied) = applied else { return };
                let mut after = before;
                after.apply_all(&applied.operations).unwrap();
                flows.push(after);
                applied.version
            }
            Act::Secret => {
                let (id, after) = self.put_secret(&history, &before);
                flows.push(after);
                id
            }
            Act::Shred => {
                let whole = self.truth.secrets.whole();
                if whole.is_empty() {
                    return;
                }
                let secret = self.chance.pick(&whole).clone();
                let id = match history.shred(&secret, &alice) {
                    Ok(id) => id,
                    // Only what was pruned named it.
                    Err(Error::UnknownSecret) => return,
                    Err(error) => panic!("{error}"),
                };
                self.truth.secrets.note_shredded(&secret, id.seq().0);
                flows.push(before);
                id
            }
            Act::Many => {
                let mut changes = Vec::new();
                for _ in 0..3 {
                    let (operations, after) = self.fitting(flows.last().unwrap_or(&before));
                    changes.push(history.change(&alice, "together").operations(operations));
                    flows.push(after);
                }
                *history.append_all(changes).unwrap().last().unwrap()
            }
            _ => {
                let (operations, after) =
                    if act == Act::Big { self.big(&before) } else { self.fitting(&before) };
                flows.push(after);
                // By another process the same change at the same moment is another entry.
                history.change(&alice, &self.seed.to_string()).operations(operations).append().unwrap()
            }
        };
        let first = id.seq().0 + 1 - flows.len() as u64;
        // What stands in one frame is there together; buffered, nobody knows what does.
        if self.settings.durability == Durability::Immediate {
            self.truth.inside.extend(self.truth.seq() + 1..id.seq().0);
        }
        while self.truth.seq() + 1 < first {
            let opened = history.find(self.truth.seq() + 1).unwrap();
            let flow = self.truth.flow().clone();
            self.truth.push(opened, flow);
        }
        for flow in flows {
            let seq = self.truth.seq() + 1;
            let of_seq = if seq == id.seq().0 { id } else { history.find(seq).unwrap() };
            self.truth.push(of_seq, flow);
        }
        if self.settings.durability == Durability::Immediate {
            self.acknowledge();
        }
    }

    fn acknowledge(&mut self) {
        self.acknowledged = self.truth.seq();
        self.disk.note(Step::Acknowledged(self.acknowledged));
    }

    fn prune(&mut self, history: &History) {
        self.disk.note(Step::Attempting(self.truth.seq() + 3));
        let upto = self.truth.seq() / 2;
        self.disk.note(Step::Pruning(upto));
        let olga = Author::operator("olga");
        let pruned = history.prune(&olga, Seq(upto), &LiveStamps::GiveUp).unwrap();
        let head = history.version().seq().0;
        if head > self.truth.seq() + 1 {
            self.truth.inside.insert(self.truth.seq() + 1);
        }
        while self.truth.seq() < head {
            let mark = history.find(self.truth.seq() + 1).unwrap();
            let flow = self.truth.flow().clone();
            self.truth.push(mark, flow);
        }
        self.acknowledge();
        self.disk.note(Step::Pruned(pruned.oldest.seq().0));
    }
}

/// Does all of this on an empty disk, and says what happened to it and what is true.
#[must_use]
pub fn work(acts: &[Act], settings: &Settings, seed: u64) -> (Vec<Step>, Truth) {
    let disk = SimDisk::new(Disk::default().with_sectors_of(settings.sector));
    let mut worker = Worker::begin(disk.clone(), settings, seed, Truth::default());
    acts.iter().for_each(|act| worker.act(*act));
    let truth = worker.close();
    (disk.steps(), truth)
}
