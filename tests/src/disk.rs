//! What lies on a disk, and what is left of it when the power goes.
//!
//! What is written, and every name that changes, is pending until it is synced. When the power goes, what is pending is
//! kept, lost, torn or turned to garbage, each sector of each write on its own and only where it was written (a disk that
//! spoils the neighbours of what it writes is outside the fault model); the length of a file is that before or after
//! whatever became of its bytes; names that were not synced stay or go.
//!
//! The faults lie beside the true bytes, as a list: the same power cut can be looked at again with any of them off.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::Chance;

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What happened to a disk, in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// An empty file was made.
    Create(String),
    /// Bytes were written.
    Write(String, usize, Vec<u8>),
    /// A length was set.
    SetLength(String, usize),
    /// A file was synced.
    Sync(String),
    /// A file was given another name.
    Rename(String, String),
    /// A file was removed.
    Remove(String),
    /// The names were synced.
    SyncDirectory,
    /// The workload began to append this version.
    Attempting(u64),
    /// The engine said that this version is durable.
    Acknowledged(u64),
    /// The workload began to prune, up to this version at most.
    Pruning(u64),
    /// The engine said that this is the oldest version that is kept.
    Pruned(u64),
}

/// The state of a disk: what would be read now, and what would be left if the power went now.
#[derive(Clone)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    sector: usize,
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A write, or the length that was set.
#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Put(String, usize),
    Take(String),
    Move(String, String, usize),
}

/// What becomes of one thing that is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is as if it had been synced.
    Kept,
    /// It is as if it had never been done.
    Lost,
    /// So many bytes of a sector are kept; of a length, whatever the bytes made of it.
    Torn(usize),
    /// A sector holds bytes that nobody wrote, by this seed.
    Garbage(u64),
}

/// One thing that is pending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Thing {
    /// A piece of a write of a file: the file, which change, from where to where in it.
    Sector(usize, usize, usize, usize),
    /// A length that was set.
    Length(usize, usize),
    /// The length of a file after everything.
    LastLength(usize),
    /// A change of a name.
    Name(usize),
}

/// A power cut: what becomes of each thing that is pending.
#[derive(Clone, Debug)]
pub struct Outcome {
    things: Vec<(Thing, Fate)>,
    /// Whether names behind one that is lost are lost too.
    names_in_order: bool,
}

impl Default for Disk {
    fn default() -> Self {
        Self::of(Files::new())
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    /// A disk of 512-byte sectors on which these files are durable.
    #[must_use]
    pub fn of(files: Files) -> Self {
        let names: BTreeMap<String, usize> = files.keys().cloned().zip(0..).collect();
        let file = |bytes: Vec<u8>| File { now: bytes.clone(), durable: bytes, pending: Vec::new() };
        let files = files.into_values().map(file).collect();
        Self { files, durable_names: names.clone(), names, pending_names: Vec::new(), sector: 512 }
    }

    /// The same disk with sectors of another size.
    #[must_use]
    pub fn with_sectors_of(self, sector: usize) -> Self {
        Self { sector, ..self }
    }

    /// What a process that is not interrupted reads.
    #[must_use]
    pub fn now(&self) -> Files {
        self.names.iter().map(|(name, at)| (name.clone(), self.files[*at].now.clone())).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    pub(crate) fn bytes(&self, name: &str) -> io::Result<&Vec<u8>> {
        self.names.get(name).map(|at| &self.files[*at].now).ok_or_else(missing)
    }

    /// Whether anything is not durable.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.pending_names.is_empty() || self.files.iter().any(|file| !file.pending.is_empty())
    }

    /// Does one step.
    ///
    /// # Errors
    /// As a file system.
    pub fn take(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Create(name) => {
                if self.names.contains_key(name) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.files.push(File::default());
                let at = self.files.len() - 1;
                self.names.insert(name.clone(), at);
                self.pending_names.push(NameChange::Put(name.clone(), at));
            }
            Step::Write(name, offset, bytes) => {
                let file = self.file(name)?;
                put(&mut file.now, *offset, bytes);
                file.pending.push(Change::Write(*offset, bytes.clone()));
            }
            Step::SetLength(name, length) => {
                let file = self.file(name)?;
                file.now.resize(*length, 0);
                file.pending.push(Change::Length(*length));
            }
            Step::Sync(name) => {
                let file = self.file(name)?;
                file.durable.clone_from(&file.now);
                file.pending.clear();
            }
            Step::Rename(from, to) => {
                let at = self.names.remove(from).ok_or_else(missing)?;
                self.names.insert(to.clone(), at);
                self.pending_names.push(NameChange::Move(from.clone(), to.clone(), at));
            }
            Step::Remove(name) => {
                self.names.remove(name).ok_or_else(missing)?;
                self.pending_names.push(NameChange::Take(name.clone()));
            }
            Step::SyncDirectory => {
                self.durable_names.clone_from(&self.names);
                self.pending_names.clear();
            }
            Step::Attempting(_) | Step::Acknowledged(_) | Step::Pruning(_) | Step::Pruned(_) => {}
        }
        Ok(())
    }

    /// What a file forgets that was not synced, as a kernel does that could not write it back.
    ///
    /// # Errors
    /// Where there is no such file.
    pub fn forget(&mut self, name: &str) -> io::Result<()> {
        let file = self.file(name)?;
        file.now.clone_from(&file.durable);
        file.pending.clear();
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let at = *self.names.get(name).ok_or_else(missing)?;
        Ok(&mut self.files[at])
    }

    /// Everything that is pending. Pieces that change no byte whatever became of those before are left out, as are files
    /// that no name can lead to.
    fn things(&self) -> Vec<Thing> {
        let given = self.pending_names.iter().filter_map(|change| match change {
            NameChange::Put(_, at) | NameChange::Move(_, _, at) => Some(at),
            NameChange::Take(_) => None,
        });
        let reachable: BTreeSet<usize> =
            self.names.values().chain(self.durable_names.values()).chain(given).copied().collect();
        let mut things = Vec::new();
        for at in reachable {
            let file = &self.files[at];
            let mut kept = file.durable.clone();
            for (index, change) in file.pending.iter().enumerate() {
                match change {
                    Change::Length(length) => {
                        kept.resize(*length, 0);
                        things.push(Thing::Length(at, index));
                    }
                    Change::Write(offset, written) => {
                        let mut from = 0;
                        while from < written.len() {
                            let to = (from + self.sector - (offset + from) % self.sector).min(written.len());
                            let piece = &written[from..to];
                            let is = |bytes: &[u8]| {
                                let there = bytes.get(offset + from..).unwrap_or_default();
                                let beyond = piece.get(there.len()..).unwrap_or_default();
                                let overlap = there.len().min(piece.len());
                                there[..overlap] == piece[..overlap] && beyond.iter().all(|byte| *byte == 0)
                            };
                            if !is(&file.durable) || !is(&kept) {
                                things.push(Thing::Sector(at, index, from, to));
                            }
                            from = to;
                        }
                        put(&mut kept, *offset, written);
                    }
                }
            }
            if file.now.len() != file.durable.len() {
                things.push(Thing::LastLength(at));
            }
        }
        things.extend((0..self.pending_names.len()).map(Thing::Name));
        things
    }

    /// Every power cut there can be in which each thing that is pending is kept or lost; `None` where there are more than
    /// so many.
    #[must_use]
    pub fn every_outcome(&self, most: usize) -> Option<Vec<Outcome>> {
        let things = self.things();
        if things.len() >= 20 || 1 << things.len() > most {
            return None;
        }
        let fate = |mask: usize, at: usize| if mask >> at & 1 == 1 { Fate::Kept } else { Fate::Lost };
        let outcome = |mask: usize| Outcome {
            things: things.iter().enumerate().map(|(at, thing)| (*thing, fate(mask, at))).collect(),
            names_in_order: false,
        };
        Some((0..1 << things.len()).map(outcome).collect())
    }

    /// A power cut. Seed 0 loses everything that is pending, seed 1 keeps it all; every other seed weighs keeping, losing,
    /// tearing and garbage in its own way.
    #[must_use]
    pub fn outcome(&self, seed: u64) -> Outcome {
        let mut chance = Chance::new(seed);
        let mut odds = Odds {
            lost: 1 + chance.below(4),
            kept: 1 + chance.below(4),
            torn: chance.below(3),
            garbage: chance.below(2),
        };
        match seed {
            0 => odds = Odds { lost: 1, kept: 0, torn: 0, garbage: 0 },
            1 => odds = Odds { lost: 0, kept: 1, torn: 0, garbage: 0 },
            _ => {}
        }
        // A file system with a log of its own keeps a beginning of the changes to names; others any of them.
        let names_in_order = chance.once_in(2);
        let mut fate = |thing: Thing| match (thing, odds.throw(&mut chance)) {
            (Thing::Sector(_, _, from, to), Fate::Torn(_)) => Fate::Torn(chance.below(to - from)),
            (Thing::Sector(..), Fate::Garbage(_)) => Fate::Garbage(chance.bits()),
            (Thing::Name(_) | Thing::Length(..), Fate::Torn(_)) => Fate::Kept,
            (Thing::Name(_) | Thing::Length(..), Fate::Garbage(_)) => Fate::Lost,
            (Thing::LastLength(_), Fate::Garbage(_)) => Fate::Torn(0),
            (_, fate) => fate,
        };
        Outcome {
            things: self.things().into_iter().map(|thing| (thing, fate(thing))).collect(),
            names_in_order,
        }
    }

    /// What is left when the power goes in this way.
    #[must_use]
    pub fn left(&self, outcome: &Outcome) -> Files {
        let mut changed: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        let mut names = self.durable_names.clone();
        let mut names_go_on = true;
        for (thing, fate) in &outcome.things {
            match *thing {
                Thing::Sector(at, index, from, to) => {
                    let Some(Change::Write(offset, written)) = self.files[at].pending.get(index) else {
                        continue;
                    };
                    let bytes = changed.entry(at).or_insert_with(|| self.files[at].durable.clone());
                    let piece = &written[from..to];
                    match fate {
                        Fate::Kept => put(bytes, offset + from, piece),
                        Fate::Lost => {}
                        Fate::Torn(count) => put(bytes, offset + from, &piece[..*count]),
                        Fate::Garbage(seed) => {
                            let mut chance = Chance::new(*seed);
                            let garbage: Vec<u8> =
                                piece.iter().map(|_| chance.bits().to_le_bytes()[3]).collect();
                            put(bytes, offset + from, &garbage);
                        }
                    }
                }
                Thing::Length(at, index) => {
                    let bytes = changed.entry(at).or_insert_with(|| self.files[at].durable.clone());
                    if let (Some(Change::Length(length)), Fate::Kept) =
                        (self.files[at].pending.get(index), fate)
                    {
                        bytes.resize(*length, 0);
                    }
                }
                Thing::LastLength(at) => {
                    let bytes = changed.entry(at).or_insert_with(|| self.files[at].durable.clone());
                    match fate {
                        Fate::Kept => bytes.resize(self.files[at].now.len(), 0),
                        Fate::Lost => bytes.resize(self.files[at].durable.len(), 0),
                        Fate::Torn(_) | Fate::Garbage(_) => {}
                    }
                }
                Thing::Name(index) => {
                    let kept = *fate == Fate::Kept;
                    names_go_on &= kept || !outcome.names_in_order;
                    if kept && names_go_on {
                        self.pending_names[index].apply_to(&mut names);
                    }
                }
            }
        }
        let bytes = |at: usize| changed.get(&at).unwrap_or(&self.files[at].durable).clone();
        names.into_iter().map(|(name, at)| (name, bytes(at))).collect()
    }

    /// What is left by a power cut of this seed.
    #[must_use]
    pub fn lose_power(&self, seed: u64) -> Files {
        self.left(&self.outcome(seed))
    }

    /// The faults of a power cut in words.
    #[must_use]
    pub fn tell(&self, outcome: &Outcome) -> Vec<String> {
        let name = |at: usize| {
            let of = |names: &BTreeMap<String, usize>| {
                names.iter().find(|(_, other)| **other == at).map(|(name, _)| name.clone())
            };
            of(&self.names).or_else(|| of(&self.durable_names)).unwrap_or_default()
        };
        let faults = outcome.things.iter().filter(|(_, fate)| *fate != Fate::Kept);
        let tell = |(thing, fate): &(Thing, Fate)| match *thing {
            Thing::Sector(at, index, from, to) => {
                let offset = match self.files[at].pending.get(index) {
                    Some(Change::Write(offset, _)) => *offset,
                    _ => 0,
                };
                format!("{} bytes {}..{}: {fate:?}", name(at), offset + from, offset + to)
            }
            Thing::Length(at, _) | Thing::LastLength(at) => format!("length of {}: {fate:?}", name(at)),
            Thing::Name(index) => format!("{:?}: {fate:?}", self.pending_names[index]),
        };
        faults.map(tell).collect()
    }
}

impl Outcome {
    /// How many faults there are.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.things.iter().filter(|(_, fate)| *fate != Fate::Kept).count()
    }

    /// The same power cut without those faults that it fails without: one after the other is turned off, and stays off
    /// where `fails` still says so.
    #[must_use]
    pub fn least(mut self, fails: impl Fn(&Outcome) -> bool) -> Self {
        for at in 0..self.things.len() {
            let fate = self.things[at].1;
            if fate == Fate::Kept {
                continue;
            }
            self.things[at].1 = Fate::Kept;
            if !fails(&self) {
                self.things[at].1 = fate;
            }
        }
        self
    }
}

impl NameChange {
    fn apply_to(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Put(name, at) => drop(names.insert(name.clone(), *at)),
            NameChange::Take(name) => drop(names.remove(name)),
            NameChange::Move(from, to, at) => {
                if names.get(from) == Some(at) {
                    names.remove(from);
                }
                names.insert(to.clone(), *at);
            }
        }
    }
}

struct Odds {
    lost: usize,
    kept: usize,
    torn: usize,
    garbage: usize,
}

impl Odds {
    fn throw(&self, chance: &mut Chance) -> Fate {
        let at = chance.below(self.lost + self.kept + self.torn + self.garbage);
        match at {
            _ if at < self.lost => Fate::Lost,
            _ if at < self.lost + self.kept => Fate::Kept,
            _ if at < self.lost + self.kept + self.torn => Fate::Torn(0),
            _ => Fate::Garbage(0),
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    if bytes.len() < offset + piece.len() {
        bytes.resize(offset + piece.len(), 0);
    }
    bytes[offset..offset + piece.len()].copy_from_slice(piece);
}
