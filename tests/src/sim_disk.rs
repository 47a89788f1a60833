//! A disk that loses power.
//!
//! What is written, and every name that changes, is pending until it is synced. When the power goes, what is pending is
//! kept, lost, torn or turned to garbage, each 512-byte sector of each write on its own and only where it was written
//! (a disk that spoils the neighbours of what it writes is outside the fault model); the length of a file is that before
//! or after whatever became of its bytes; names that were not synced stay or go.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flow_history::{Lock, LockError, Source, Storage};

use crate::Chance;

const SECTOR: usize = 512;

/// What happened to a disk, in order.
#[derive(Clone, Debug)]
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
}

/// The state of a disk: what would be read now, and what would be left if the power went now.
#[derive(Clone, Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone)]
enum NameChange {
    Put(String, usize),
    Take(String),
    Move(String, String, usize),
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    /// A disk on which these files are durable.
    #[must_use]
    pub fn of(files: BTreeMap<String, Vec<u8>>) -> Self {
        let mut disk = Disk::default();
        for (name, bytes) in files {
            disk.names.insert(name, disk.files.len());
            disk.files.push(File { now: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        disk.durable_names.clone_from(&disk.names);
        disk
    }

    /// What a process that is not interrupted reads.
    #[must_use]
    pub fn now(&self) -> BTreeMap<String, Vec<u8>> {
        self.names.iter().map(|(name, at)| (name.clone(), self.files[*at].now.clone())).collect()
    }

    /// How many writes and names are not durable.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.files.iter().map(|file| file.pending.len()).sum::<usize>() + self.pending_names.len()
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
                file.pending.push(Pending::Write(*offset, bytes.clone()));
            }
            Step::SetLength(name, length) => {
                let file = self.file(name)?;
                file.now.resize(*length, 0);
                file.pending.push(Pending::Length(*length));
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
            Step::Attempting(_) | Step::Acknowledged(_) => {}
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let at = *self.names.get(name).ok_or_else(missing)?;
        Ok(&mut self.files[at])
    }

    /// What is left when the power goes. Seed 0 loses everything that is pending, seed 1 keeps it all; every other seed
    /// weighs keeping, losing, tearing and garbage in its own way.
    #[must_use]
    pub fn lose_power(&self, seed: u64) -> BTreeMap<String, Vec<u8>> {
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
        let names = self.names_after(&odds, &mut chance);
        names.into_iter().map(|(name, at)| (name, self.files[at].after(&odds, &mut chance))).collect()
    }

    fn names_after(&self, odds: &Odds, chance: &mut Chance) -> BTreeMap<String, usize> {
        let mut names = self.durable_names.clone();
        // A file system with a log of its own keeps a beginning of the changes; others any of them.
        let in_order = chance.once_in(2);
        for change in &self.pending_names {
            if matches!(odds.throw(chance), Fate::Lost | Fate::Garbage) {
                if in_order {
                    break;
                }
                continue;
            }
            match change {
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
        names
    }
}

struct Odds {
    lost: usize,
    kept: usize,
    torn: usize,
    garbage: usize,
}

enum Fate {
    Lost,
    Kept,
    Torn,
    Garbage,
}

impl Odds {
    fn throw(&self, chance: &mut Chance) -> Fate {
        let at = chance.below(self.lost + self.kept + self.torn + self.garbage);
        match at {
            _ if at < self.lost => Fate::Lost,
            _ if at < self.lost + self.kept => Fate::Kept,
            _ if at < self.lost + self.kept + self.torn => Fate::Torn,
            _ => Fate::Garbage,
        }
    }
}

impl File {
    fn after(&self, odds: &Odds, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for pending in &self.pending {
            match pending {
                Pending::Length(length) => {
                    if matches!(odds.throw(chance), Fate::Kept | Fate::Torn) {
                        bytes.resize(*length, 0);
                    }
                }
                Pending::Write(offset, written) => {
                    let mut at = 0;
                    while at < written.len() {
                        let end = (at + SECTOR - (offset + at) % SECTOR).min(written.len());
                        let piece = &written[at..end];
                        match odds.throw(chance) {
                            Fate::Lost => {}
                            Fate::Kept => put(&mut bytes, offset + at, piece),
                            Fate::Torn => put(&mut bytes, offset + at, &piece[..chance.below(piece.len())]),
                            Fate::Garbage => {
                                let garbage: Vec<u8> =
                                    piece.iter().map(|_| chance.bits().to_le_bytes()[3]).collect();
                                put(&mut bytes, offset + at, &garbage);
                            }
                        }
                        at = end;
                    }
                }
            }
        }
        let length = match chance.below(3) {
            _ if self.pending.is_empty() => bytes.len(),
            _ if odds.lost == 0 => self.now.len(),
            0 if odds.kept > 0 => self.now.len(),
            1 if odds.kept > 0 => self.durable.len(),
            _ => bytes.len(),
        };
        bytes.resize(length, 0);
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    if bytes.len() < offset + piece.len() {
        bytes.resize(offset + piece.len(), 0);
    }
    bytes[offset..offset + piece.len()].copy_from_slice(piece);
}

/// The disk as a storage that keeps account of every step.
#[derive(Clone, Default)]
pub struct SimDisk {
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    disk: Disk,
    steps: Vec<Step>,
    locked: bool,
}

impl SimDisk {
    /// A disk in this state, with no step taken.
    #[must_use]
    pub fn new(disk: Disk) -> Self {
        Self { held: Arc::new(Mutex::new(Held { disk, steps: Vec::new(), locked: false })) }
    }

    /// Notes something that the workload did.
    pub fn note(&self, step: Step) {
        self.held.lock().unwrap().steps.push(step);
    }

    /// Every step so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.held.lock().unwrap().steps.clone()
    }

    fn take(&self, step: Step) -> io::Result<()> {
        let mut held = self.held.lock().unwrap();
        held.disk.take(&step)?;
        held.steps.push(step);
        Ok(())
    }
}

fn place_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Source for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.held.lock().unwrap().disk.names.keys().cloned().collect())
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.held.lock().unwrap().disk.file(file).map(|file| file.now.len() as u64)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap();
        let bytes = &held.disk.file(file)?.now;
        let rest = bytes.get(place_of(offset)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl Storage for SimDisk {
    fn place(&self) -> PathBuf {
        "(simulated disk)".into()
    }

    fn create_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, file: &str) -> io::Result<()> {
        self.take(Step::Create(file.to_owned()))
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.take(Step::Write(file.to_owned(), place_of(offset), bytes.to_owned())).map(|()| bytes.len())
    }

    fn set_len(&self, file: &str, length: u64) -> io::Result<()> {
        self.take(Step::SetLength(file.to_owned(), place_of(length)))
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        self.take(Step::Sync(file.to_owned()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.take(Step::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.take(Step::Remove(file.to_owned()))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.take(Step::SyncDirectory)
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        let mut held = self.held.lock().unwrap();
        if std::mem::replace(&mut held.locked, true) {
            return Err(LockError::Held { holder: None });
        }
        Ok(Box::new(DiskLock(Arc::clone(&self.held))))
    }
}

/// The lock of a simulated disk.
struct DiskLock(Arc<Mutex<Held>>);

impl Lock for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        self.0.lock().unwrap().locked = false;
    }
}
