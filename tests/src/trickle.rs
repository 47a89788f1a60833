//! A storage that does as little as it may: one byte a call, and every other call interrupted.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_history::{Lock, LockError, MemoryStorage, Source, Storage};

/// Memory that reads and writes at most so many bytes a call, and says `Interrupted` at every second one.
#[derive(Default)]
pub struct Trickle {
    inner: MemoryStorage,
    most: usize,
    calls: AtomicU64,
}

impl Trickle {
    /// On top of these files.
    #[must_use]
    pub fn new(inner: MemoryStorage, most: usize) -> Self {
        Self { inner, most, calls: AtomicU64::new(0) }
    }

    fn interrupted(&self) -> io::Result<()> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl Source for Trickle {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.inner.len(file)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted()?;
        let count = buffer.len().min(self.most);
        self.inner.read_at(file, offset, &mut buffer[..count])
    }
}

impl Storage for Trickle {
    fn place(&self) -> PathBuf {
        "(trickle)".into()
    }

    fn create_directory(&self) -> io::Result<()> {
        self.inner.create_directory()
    }

    fn create(&self, file: &str) -> io::Result<()> {
        self.inner.create(file)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.interrupted()?;
        let count = bytes.len().min(self.most);
        self.inner.write_at(file, offset, &bytes[..count])
    }

    fn set_len(&self, file: &str, length: u64) -> io::Result<()> {
        self.inner.set_len(file, length)
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        self.inner.sync(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.inner.remove(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        self.inner.lock()
    }
}
