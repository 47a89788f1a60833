//! Where the bytes come from.

use std::collections::BTreeMap;
use std::io;

/// The files of one history, to read. The engine's storage is one, and so is a directory that nobody writes to.
pub trait Source: Send + Sync {
    /// The names of all files.
    ///
    /// # Errors
    /// Whatever the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none, and whatever else the system says.
    fn len(&self, file: &str) -> io::Result<u64>;

    /// Reads up to a buffer's length from a place in a file and returns how many bytes came; zero at its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is none, and whatever else the system says.
    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Says that a part of a file will be read soon, so that a system that has it on a disk may begin to fetch it. Waits for
    /// nothing, and nothing depends on it.
    fn will_read(&self, _file: &str, _offset: u64, _length: u64) {}
}

/// Reads until the buffer is full or the file ends; returns how many bytes came. Interrupted reads are read again.
///
/// # Errors
/// As [`Source::read_at`].
pub fn read_up_to(source: &dyn Source, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(file, offset + filled as u64, rest) {
            Ok(0) => break,
            Ok(count) => filled += count.min(rest.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Files in memory.
#[derive(Clone, Default, Debug)]
pub struct MemorySource(pub BTreeMap<String, Vec<u8>>);

impl MemorySource {
    fn file(&self, file: &str) -> io::Result<&Vec<u8>> {
        self.0.get(file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Source for MemorySource {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.file(file).map(|bytes| bytes.len() as u64)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file(file)?;
        let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = from.len().min(buffer.len());
        let (Some(to), Some(from)) = (buffer.get_mut(..count), from.get(..count)) else { return Ok(0) };
        to.copy_from_slice(from);
        Ok(count)
    }
}
