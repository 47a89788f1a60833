//! A disk that loses power, as a storage that keeps account of every step.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flow_history::{Lock, LockError, Source, Storage};

use crate::disk::{Disk, Step};

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
    lies: Option<Lie>,
}

/// A sync that fails once; what it covered is gone, and every later sync says that all is well: what Linux did to
/// PostgreSQL in 2018.
struct Lie {
    /// Syncs until the one that fails.
    after: u64,
    told: bool,
}

impl SimDisk {
    /// A disk in this state, with no step taken.
    #[must_use]
    pub fn new(disk: Disk) -> Self {
        Self { held: Arc::new(Mutex::new(Held { disk, ..Held::default() })) }
    }

    /// Has the sync of this number, counted from now, fail and forget what it covered; the next ones claim success.
    pub fn lie_once_after(&self, syncs: u64) {
        self.held.lock().unwrap().lies = Some(Lie { after: syncs, told: false });
    }

    /// Whether the sync that was to fail has failed.
    #[must_use]
    pub fn lied(&self) -> bool {
        self.held.lock().unwrap().lies.as_ref().is_some_and(|lie| lie.told)
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

    /// The disk as it is now.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.held.lock().unwrap().disk.clone()
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
        Ok(self.held.lock().unwrap().disk.names().cloned().collect())
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.held.lock().unwrap().disk.bytes(file).map(|bytes| bytes.len() as u64)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let held = self.held.lock().unwrap();
        let rest = held.disk.bytes(file)?.get(place_of(offset)..).unwrap_or_default();
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
        let mut held = self.held.lock().unwrap();
        if let Some(lie) = held.lies.as_mut().filter(|lie| !lie.told) {
            lie.after = lie.after.saturating_sub(1);
            lie.told = lie.after == 0;
            if lie.told {
                held.disk.forget(file)?;
                return Err(io::Error::from_raw_os_error(5));
            }
        }
        drop(held);
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
