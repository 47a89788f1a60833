//! Files in memory, for tests and for histories that need not outlive the process.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flow_history_replay::Source;
use parking_lot::Mutex;

use crate::storage::{Lock, LockError, Storage};

/// A history's files in memory. Clones share them, as two processes share a directory.
#[derive(Clone, Default, Debug)]
pub struct MemoryStorage {
    shared: Arc<Mutex<Files>>,
}

#[derive(Default, Debug)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    locked: bool,
}

impl MemoryStorage {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These files.
    #[must_use]
    pub fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { shared: Arc::new(Mutex::new(Files { files, locked: false })) }
    }

    /// A copy of all files.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.shared.lock().files.clone()
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Source for MemoryStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.lock().files.keys().cloned().collect())
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.shared.lock().files.get(file).map(|bytes| bytes.len() as u64).ok_or_else(missing)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let shared = self.shared.lock();
        let bytes = shared.files.get(file).ok_or_else(missing)?;
        let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Ok(count)
    }
}

impl Storage for MemoryStorage {
    fn place(&self) -> PathBuf {
        PathBuf::from("(memory)")
    }

    fn create_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, file: &str) -> io::Result<()> {
        let mut shared = self.shared.lock();
        if shared.files.contains_key(file) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        shared.files.insert(file.to_owned(), Vec::new());
        Ok(())
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.shared.lock();
        let held = shared.files.get_mut(file).ok_or_else(missing)?;
        let offset = usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let end = offset + bytes.len();
        if held.len() < end {
            held.resize(end, 0);
        }
        held.iter_mut().skip(offset).zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(bytes.len())
    }

    fn set_len(&self, file: &str, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.shared.lock().files.get_mut(file).map(|bytes| bytes.resize(length, 0)).ok_or_else(missing)
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        self.len(file).map(drop)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut shared = self.shared.lock();
        let bytes = shared.files.remove(from).ok_or_else(missing)?;
        shared.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.shared.lock().files.remove(file).map(drop).ok_or_else(missing)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        let mut shared = self.shared.lock();
        if std::mem::replace(&mut shared.locked, true) {
            return Err(LockError::Held { holder: Some(std::process::id()) });
        }
        Ok(Box::new(MemoryLock { shared: Arc::clone(&self.shared) }))
    }
}

struct MemoryLock {
    shared: Arc<Mutex<Files>>,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.shared.lock().locked = false;
    }
}
