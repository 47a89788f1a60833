//! Where a bench writes.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

/// A directory on the disk that the repository is on, which is removed at the end.
pub struct Place {
    directory: tempfile::TempDir,
    next: Cell<u32>,
}

impl Place {
    /// A directory that is not there yet.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new() -> io::Result<Self> {
        Self::inside(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
    }

    /// A directory that is not there yet, inside of another.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn inside(outer: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(outer)?;
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(outer)?;
        Ok(Self { directory, next: Cell::new(0) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A path in it that nothing has been given yet.
    #[must_use]
    pub fn fresh(&self) -> PathBuf {
        self.next.set(self.next.get() + 1);
        self.directory.path().join(self.next.get().to_string())
    }
}

/// The lengths of the files directly in a directory whose names fit, added up.
///
/// # Errors
/// Whatever the system says.
pub fn bytes_in(path: &Path, fits: impl Fn(&str) -> bool) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if fits(&entry.file_name().to_string_lossy()) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// The bytes on the disk of all that is in a directory, however deep: blocks, not lengths, so that small files cost what
/// they cost.
///
/// # Errors
/// Whatever the system says.
pub fn bytes_on_disk(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_on_disk(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}

/// Copies a directory with all that is in it.
///
/// # Errors
/// Whatever the system says.
pub fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
