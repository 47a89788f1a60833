//! A disk whose system keeps nothing of it yet: a storage that counts how often a reader has to wait.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use flow_history::{Lock, LockError, MemoryStorage, Source, Storage};

const PAGE_BYTES: u64 = 4 << 10;

/// Files in memory, to read, of which pages have to be fetched: a read waits for those that nobody read before and that it
/// was not said would be read.
#[derive(Default)]
pub struct ColdDisk {
    inner: MemoryStorage,
    fetched: Mutex<HashSet<(String, u64)>>,
    waits: Mutex<Vec<(String, u64)>>,
}

impl ColdDisk {
    /// These files.
    #[must_use]
    pub fn new(inner: MemoryStorage) -> Self {
        Self { inner, ..Self::default() }
    }

    /// Keeps nothing of the files any more.
    pub fn cool(&self) {
        self.fetched.lock().unwrap().clear();
        self.waits.lock().unwrap().clear();
    }

    /// The file and the offset of each read that had to wait since.
    pub fn waits(&self) -> Vec<(String, u64)> {
        self.waits.lock().unwrap().clone()
    }

    /// Says whether anything was not there yet.
    fn fetch(&self, file: &str, offset: u64, length: u64) -> bool {
        let mut fetched = self.fetched.lock().unwrap();
        let pages = offset / PAGE_BYTES..(offset + length).div_ceil(PAGE_BYTES);
        pages.filter(|page| fetched.insert((file.to_owned(), *page))).count() > 0
    }
}

impl Source for ColdDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.inner.len(file)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read_at(file, offset, buffer)?;
        if self.fetch(file, offset, count as u64) {
            self.waits.lock().unwrap().push((file.to_owned(), offset));
        }
        Ok(count)
    }

    fn will_read(&self, file: &str, offset: u64, length: u64) {
        self.fetch(file, offset, length);
    }
}

impl Storage for ColdDisk {
    fn place(&self) -> PathBuf {
        "(cold disk)".into()
    }

    fn create_directory(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn create(&self, _file: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_at(&self, _file: &str, _offset: u64, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _file: &str, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self, _file: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _file: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        Err(LockError::Io(io::ErrorKind::ReadOnlyFilesystem.into()))
    }
}
