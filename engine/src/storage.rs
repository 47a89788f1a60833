//! Where a history's files lie: the only door to the disk.

use std::io;
use std::path::PathBuf;

use flow_history_flow::mistake;
use flow_history_replay::Source;

/// The files of one history, to read and to write: a [`Source`] and every write, sync and rename.
///
/// Files are named, not opened: a history that is open but idle holds no descriptor but that of its lock.
pub trait Storage: Source {
    /// Where this is, for messages.
    fn place(&self) -> PathBuf;

    /// Makes the directory where there is none, with the directories above it synced so that it stays.
    ///
    /// # Errors
    /// Whatever the system says.
    fn create_directory(&self) -> io::Result<()>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where there is one, and whatever else the system says.
    fn create(&self, file: &str) -> io::Result<()>;

    /// Writes up to all of the bytes at a place in a file and returns how many were written.
    ///
    /// # Errors
    /// Whatever the system says.
    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts a file off, or lengthens it with zeros.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, file: &str, length: u64) -> io::Result<()>;

    /// Returns when what was written to a file, and its length, would survive a power cut.
    ///
    /// # Errors
    /// Whatever the system says. After an error nothing is known of what was written since the last success.
    fn sync(&self, file: &str) -> io::Result<()>;

    /// Gives a file another name; a file of that name is replaced.
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn remove(&self, file: &str) -> io::Result<()>;

    /// Returns when the names of the files would survive a power cut.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_directory(&self) -> io::Result<()>;

    /// Lets go of files that are kept open, where somebody else may have put others in their places.
    fn look_again(&self) {}

    /// Takes the lock that only one writer can hold, until what is returned is dropped.
    ///
    /// # Errors
    /// [`LockError`].
    fn lock(&self) -> Result<Box<dyn Lock>, LockError>;
}

/// The lock of a history, held until this is dropped.
pub trait Lock: Send + Sync {
    /// Whether it is still the lock that others would have to take. Where its file was deleted or replaced it is not, and
    /// somebody else may write by now.
    fn is_held(&self) -> bool {
        true
    }
}

/// Why the lock of a history cannot be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another writer holds it.
    Held {
        /// Its process, where that can be told.
        holder: Option<u32>,
    },
    /// The system refused.
    Io(io::Error),
}

/// Writes all of the bytes. Interrupted and short writes are continued; a write of nothing is an error.
pub(crate) fn write_all(storage: &dyn Storage, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match storage.write_at(file, offset + written as u64, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A call to the storage that failed, and whether it was one that syncs: a failed write leaves things as they were, after
/// a failed sync nothing is known.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) operation: &'static str,
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) sync: bool,
    pub(crate) source: io::Error,
}

impl Failed {
    pub(crate) fn write<'f>(
        operation: &'static str,
        file: &'f str,
        offset: u64,
    ) -> impl FnOnce(io::Error) -> Self + use<'f> {
        move |source| Self { operation, file: file.to_owned(), offset, sync: false, source }
    }

    pub(crate) fn sync(file: &str) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |source| Self { operation: "sync", file: file.to_owned(), offset: 0, sync: true, source }
    }
}

/// Writes a whole file aside, syncs it, and renames it into place.
pub(crate) fn replace_file(storage: &dyn Storage, file: &str, bytes: &[u8]) -> Result<(), Failed> {
    replace_checked(storage, file, bytes, |failed| failed, |_| Ok(()))
}

/// As [`replace_file`]; what was written aside is read back and checked, by whatever the caller checks it with, before it
/// takes anything's place.
pub(crate) fn replace_checked<E>(
    storage: &dyn Storage,
    file: &str,
    bytes: &[u8],
    failed: impl Fn(Failed) -> E,
    check: impl FnOnce(&str) -> Result<(), E>,
) -> Result<(), E> {
    let aside = format!("{file}.tmp");
    let rename = || storage.rename(&aside, file).map_err(Failed::write("rename", &aside, 0));
    let written = write_aside(storage, &aside, bytes)
        .map_err(&failed)
        .and_then(|()| check(&aside))
        .and_then(|()| rename().map_err(&failed));
    if written.is_err() {
        // Whatever could not be finished is not left behind; if even that fails, the next writer removes it.
        let _ = storage.remove(&aside);
        return written;
    }
    // ORDER: the bytes are durable before the name leads to them, and the name before anyone relies on it.
    if mistake::is_made("the directory is not synced after a rename") {
        return Ok(());
    }
    storage.sync_directory().map_err(Failed::sync("")).map_err(failed)
}

fn write_aside(storage: &dyn Storage, aside: &str, bytes: &[u8]) -> Result<(), Failed> {
    create_anew(storage, aside)?;
    write_all(storage, aside, 0, bytes).map_err(Failed::write("write", aside, 0))?;
    if mistake::is_made("a file is renamed before its data is synced") {
        return Ok(());
    }
    storage.sync(aside).map_err(Failed::sync(aside))
}

/// Makes an empty file in place of whatever an earlier writer left under a name that means nothing yet.
pub(crate) fn create_anew(storage: &dyn Storage, file: &str) -> Result<(), Failed> {
    match storage.remove(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failed::write("remove", file, 0)(error));
        }
        _ => {}
    }
    storage.create(file).map_err(Failed::write("create", file, 0))
}
