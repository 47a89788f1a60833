//! Files of which one is another: cheap to make, however many times.

use std::io;
use std::sync::Arc;

use flow_history::Source;

use crate::disk::Files;

/// Files, and one that is damaged.
pub struct Overlay {
    files: Arc<Files>,
    name: String,
    bytes: Option<Vec<u8>>,
}

impl Overlay {
    /// These files, with other bytes in one of them; or without it.
    #[must_use]
    pub fn new(files: &Arc<Files>, name: &str, bytes: Option<Vec<u8>>) -> Self {
        Self { files: Arc::clone(files), name: name.to_owned(), bytes }
    }

    fn bytes(&self, file: &str) -> io::Result<&[u8]> {
        let bytes = if file == self.name { self.bytes.as_ref() } else { self.files.get(file) };
        bytes.map(Vec::as_slice).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Source for Overlay {
    fn list(&self) -> io::Result<Vec<String>> {
        let gone = |name: &&String| **name != self.name || self.bytes.is_some();
        Ok(self.files.keys().filter(gone).cloned().collect())
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.bytes(file).map(|bytes| bytes.len() as u64)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes(file)?.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
