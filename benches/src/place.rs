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
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        std::fs::create_dir_all(&target)?;
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        Ok(Self { directory, next: Cell::new(0) })
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
