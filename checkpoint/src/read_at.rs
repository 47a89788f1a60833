//! Where the bytes of a checkpoint come from.

use std::io;
use std::sync::Arc;

/// Bytes that can be read at any place, by many threads at once: a file behind `pread`, or memory.
///
/// This crate opens no file. Whoever owns the files implements this for theirs.
#[expect(clippy::len_without_is_empty, reason = "an empty file is no special case of anything here")]
pub trait ReadAt: Send + Sync {
    /// Fills the buffer with the bytes from this offset on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where there are fewer, and whatever the system says.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// The number of bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn len(&self) -> io::Result<u64>;

    /// Says that these bytes will be read soon, so that a system that has them on a disk may begin to fetch them. Waits for
    /// nothing, and nothing depends on it.
    fn will_read(&self, _offset: u64, _length: u64) {}
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = from.and_then(|from| from.get(..buf.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buf)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.as_slice())
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn will_read(&self, offset: u64, length: u64) {
        (**self).will_read(offset, length);
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Arc<R> {
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn will_read(&self, offset: u64, length: u64) {
        (**self).will_read(offset, length);
    }
}
