//! A storage that counts, and fails when told to.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flow_history::{Lock, LockError, Source, Storage};

/// A kind of call to a storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Any call that only reads.
    Read,
    /// `create_directory`.
    CreateDirectory,
    /// `create`.
    Create,
    /// `write_at`.
    Write,
    /// `set_len`.
    SetLength,
    /// `sync`.
    Sync,
    /// `rename`.
    Rename,
    /// `remove`.
    Remove,
    /// `sync_directory`.
    SyncDirectory,
    /// `lock`.
    Lock,
}

impl Call {
    /// Those that change something, or promise that a change stays.
    pub const CHANGING: [Call; 8] = [
        Call::CreateDirectory,
        Call::Create,
        Call::Write,
        Call::SetLength,
        Call::Sync,
        Call::Rename,
        Call::Remove,
        Call::SyncDirectory,
    ];

    /// Those after whose failure nothing is known.
    #[must_use]
    pub fn is_sync(self) -> bool {
        self == Call::Sync || self == Call::SyncDirectory
    }
}

/// Which call fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Of these calls,
    pub call: Call,
    /// the one with this number, counted from 1, fails
    pub number: u64,
    /// with this error of the system.
    pub errno: i32,
    /// Whether half of a failing write is made before it fails.
    pub half: bool,
    /// Whether every later one fails too.
    pub forever: bool,
}

/// Another storage, with a fault in it.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Storage>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    calls: Vec<Call>,
    fault: Option<Fault>,
    struck: Vec<String>,
    cold: Option<Cold>,
}

/// A disk of which the system keeps what was fetched since: a read waits for pages that nobody read before, and that it was not
/// said would be read.
#[derive(Default)]
struct Cold {
    fetched: HashSet<(String, u64)>,
    waits: Vec<(String, u64)>,
}

const PAGE_BYTES: u64 = 4 << 10;

impl Cold {
    /// Says whether any of it was not there yet.
    fn fetch(&mut self, file: &str, offset: u64, length: u64) -> bool {
        let pages = offset / PAGE_BYTES..(offset + length).div_ceil(PAGE_BYTES);
        pages.filter(|page| self.fetched.insert((file.to_owned(), *page))).count() > 0
    }
}

impl Faulty {
    /// A storage with no fault yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, held: Arc::default() }
    }

    /// Puts a fault in, counting from now; or takes it out.
    pub fn plan(&self, fault: Option<Fault>) {
        let mut held = self.held.lock().unwrap();
        held.calls.clear();
        held.struck.clear();
        held.fault = fault;
    }

    /// How many calls of a kind there were since the plan was made.
    #[must_use]
    pub fn count(&self, call: Call) -> u64 {
        self.held.lock().unwrap().calls.iter().filter(|other| **other == call).count() as u64
    }

    /// How many calls there were that change something.
    #[must_use]
    pub fn changing(&self) -> u64 {
        Call::CHANGING.iter().map(|call| self.count(*call)).sum()
    }

    /// Has the system keep nothing of the files from now on but what is fetched.
    pub fn cool(&self) {
        self.held.lock().unwrap().cold = Some(Cold::default());
    }

    /// The file and the offset of each read that had to wait since.
    #[must_use]
    pub fn waits(&self) -> Vec<(String, u64)> {
        self.held.lock().unwrap().cold.as_ref().map_or_else(Vec::new, |cold| cold.waits.clone())
    }

    /// On which files the fault struck.
    #[must_use]
    pub fn struck(&self) -> Vec<String> {
        self.held.lock().unwrap().struck.clone()
    }

    /// The error of this call, where it is the one; and whether half of it is done.
    fn call(&self, call: Call, file: &str) -> Option<(io::Error, bool)> {
        let mut held = self.held.lock().unwrap();
        held.calls.push(call);
        let fault = held.fault.filter(|fault| fault.call == call)?;
        let number = held.calls.iter().filter(|other| **other == call).count() as u64;
        let strikes = if fault.forever { number >= fault.number } else { number == fault.number };
        strikes.then(|| {
            held.struck.push(file.to_owned());
            (io::Error::from_raw_os_error(fault.errno), fault.half)
        })
    }

    fn may(&self, call: Call, file: &str) -> io::Result<()> {
        self.call(call, file).map_or(Ok(()), |(error, _)| Err(error))
    }
}

impl Source for Faulty {
    fn list(&self) -> io::Result<Vec<String>> {
        self.may(Call::Read, "")?;
        self.inner.list()
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.may(Call::Read, file)?;
        self.inner.len(file)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.may(Call::Read, file)?;
        let count = self.inner.read_at(file, offset, buffer)?;
        if let Some(cold) = &mut self.held.lock().unwrap().cold
            && cold.fetch(file, offset, count as u64)
        {
            cold.waits.push((file.to_owned(), offset));
        }
        Ok(count)
    }

    fn will_read(&self, file: &str, offset: u64, length: u64) {
        if let Some(cold) = &mut self.held.lock().unwrap().cold {
            cold.fetch(file, offset, length);
        }
        self.inner.will_read(file, offset, length);
    }
}

impl Storage for Faulty {
    fn place(&self) -> PathBuf {
        self.inner.place()
    }

    fn create_directory(&self) -> io::Result<()> {
        self.may(Call::CreateDirectory, "")?;
        self.inner.create_directory()
    }

    fn create(&self, file: &str) -> io::Result<()> {
        self.may(Call::Create, file)?;
        self.inner.create(file)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        match self.call(Call::Write, file) {
            None => self.inner.write_at(file, offset, bytes),
            Some((error, half)) => {
                if half {
                    self.inner.write_at(file, offset, &bytes[..bytes.len() / 2])?;
                }
                Err(error)
            }
        }
    }

    fn set_len(&self, file: &str, length: u64) -> io::Result<()> {
        self.may(Call::SetLength, file)?;
        self.inner.set_len(file, length)
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        self.may(Call::Sync, file)?;
        self.inner.sync(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.may(Call::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.may(Call::Remove, file)?;
        self.inner.remove(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.may(Call::SyncDirectory, "")?;
        self.inner.sync_directory()
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        self.may(Call::Lock, "lock").map_err(LockError::Io)?;
        self.inner.lock()
    }
}
