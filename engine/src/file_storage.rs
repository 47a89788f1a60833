//! Files in a directory. The only place in the library that touches the file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(unix)]
use std::time::{Duration, Instant};

use flow_history_flow::mistake;
use flow_history_replay::{FileName, Source};
#[cfg(unix)]
use parking_lot::Mutex;

use crate::open_files;
use crate::storage::{Lock, LockError, Storage};

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A history's files in a directory.
#[derive(Debug)]
pub struct FileStorage {
    directory: PathBuf,
    read_only: bool,
    group_read: bool,
    /// By which the pool of descriptors knows it.
    number: u64,
}

impl FileStorage {
    /// The files in a directory, which need not exist yet.
    #[must_use]
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self::with(directory.as_ref(), false)
    }

    /// The files in a directory, never to be written.
    #[must_use]
    pub fn read_only(directory: impl AsRef<Path>) -> Self {
        Self::with(directory.as_ref(), true)
    }

    fn with(directory: &Path, read_only: bool) -> Self {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { directory: directory.to_owned(), read_only, group_read: false, number }
    }

    /// The same, with new files and directories readable for the group: 0640 and 0750 instead of 0600 and 0700.
    #[must_use]
    pub fn group_read(mut self, group_read: bool) -> Self {
        self.group_read = group_read;
        self
    }

    fn file_mode(&self) -> u32 {
        if self.group_read { 0o640 } else { 0o600 }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// The options that refuse what is no plain file: links are not followed, and a pipe does not block.
    fn plain(&self, options: &mut OpenOptions) -> OpenOptions {
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let follow = mistake::is_made("a link in place of a file is followed");
            let no_follow = if follow { rustix::fs::OFlags::empty() } else { rustix::fs::OFlags::NOFOLLOW };
            let flags = no_follow | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
            options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
            options.mode(self.file_mode());
        }
        options.clone()
    }

    fn open_plain(&self, file: &str, options: &mut OpenOptions) -> io::Result<File> {
        let options = self.plain(options);
        let opened = open_files::with_room(|| options.open(self.path(file)))?;
        if !opened.metadata()?.is_file() {
            return Err(io::Error::other("it is not a plain file"));
        }
        Ok(opened)
    }

    fn with_file<T>(&self, file: &str, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let opened = match open_files::get(self.number, file) {
            Some(opened) => opened,
            None => {
                let mut options = OpenOptions::new();
                options.read(true).write(!self.read_only);
                let opened = Arc::new(self.open_plain(file, &mut options)?);
                // A file that a writer elsewhere puts another in the place of must be opened anew to be seen.
                if !self.read_only || file != FileName::Identity.to_string() {
                    open_files::put(self.number, file, Arc::clone(&opened));
                }
                opened
            }
        };
        act(&opened)
    }

    #[cfg(unix)]
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        // Whatever the process's mask took away is given back: a history that its owner cannot read helps nobody.
        let current = fs::metadata(path)?.permissions().mode() & 0o777;
        if current == mode { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(mode)) }
    }

    #[cfg(not(unix))]
    fn set_mode(&self, _path: &Path, _mode: u32) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(windows)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

/// Has the system begin to read a part of a file into its cache.
#[cfg(target_os = "linux")]
fn fetch(file: &File, offset: u64, length: u64) {
    if let Some(length) = std::num::NonZeroU64::new(length) {
        let _ = rustix::fs::fadvise(file, offset, Some(length), rustix::fs::Advice::WillNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn fetch(_file: &File, _offset: u64, _length: u64) {}

/// Syncs a directory, so that the names in it stay. Elsewhere than on Unix a directory cannot be opened to be synced.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { open_files::with_room(|| File::open(directory))?.sync_all() } else { Ok(()) }
}

impl Source for FileStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in open_files::with_room(|| fs::read_dir(&self.directory))? {
            // A name that is not Unicode is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn len(&self, file: &str) -> io::Result<u64> {
        self.with_file(file, |file| file.metadata().map(|metadata| metadata.len()))
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with_file(file, |file| read_at(file, offset, buffer))
    }

    fn will_read(&self, file: &str, offset: u64, length: u64) {
        // A file that cannot be opened says so when it is read.
        let _ = self.with_file(file, |file| {
            fetch(file, offset, length);
            Ok(())
        });
    }
}

impl Storage for FileStorage {
    fn place(&self) -> PathBuf {
        self.directory.clone()
    }

    fn create_directory(&self) -> io::Result<()> {
        // The directories that are not there yet, the deepest first.
        let missing: Vec<&Path> = self.directory.ancestors().take_while(|path| !path.is_dir()).collect();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, if self.group_read { 0o750 } else { 0o700 });
        if !missing.is_empty() {
            builder.create(&self.directory)?;
        }
        self.set_mode(&self.directory, if self.group_read { 0o750 } else { 0o700 })?;
        // ORDER: a history in a directory whose own name could vanish would vanish with it.
        for made in missing {
            match made.parent() {
                Some(above) if above.as_os_str().is_empty() => sync_directory(Path::new("."))?,
                Some(above) => sync_directory(above)?,
                None => {}
            }
        }
        Ok(())
    }

    fn create(&self, file: &str) -> io::Result<()> {
        open_files::forget(self.number, file);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let created = self.open_plain(file, &mut options)?;
        self.set_mode(&self.path(file), self.file_mode())?;
        open_files::put(self.number, file, Arc::new(created));
        Ok(())
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.with_file(file, |file| write_at(file, offset, bytes))
    }

    fn set_len(&self, file: &str, length: u64) -> io::Result<()> {
        self.with_file(file, |file| file.set_len(length))
    }

    fn sync(&self, file: &str) -> io::Result<()> {
        // On Linux this is fdatasync, on macOS F_FULLFSYNC: the standard library sees to it.
        if mistake::is_made("a sync asks the system for nothing") {
            return Ok(());
        }
        self.with_file(file, File::sync_data)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        open_files::rename(self.number, from, to);
        Ok(())
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        open_files::forget(self.number, file);
        fs::remove_file(self.path(file))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    fn look_again(&self) {
        // Whoever writes knows what became of the files.
        if self.read_only {
            open_files::forget_all(self.number);
        }
    }

    fn lock(&self) -> Result<Box<dyn Lock>, LockError> {
        let name = FileName::Lock.to_string();
        let opened = |created| {
            let mut options = OpenOptions::new();
            self.open_plain(&name, options.read(true).write(true).create_new(created))
        };
        let mut file = match opened(true) {
            // Where the process's mask took the owner's own rights away, nobody could ever open it again.
            Ok(created) => self.set_mode(&self.path(&name), self.file_mode()).map(|()| created),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => opened(false),
            Err(error) => Err(error),
        }
        .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = Read::by_ref(&mut file).take(32).read_to_string(&mut holder);
                return Err(LockError::Held { holder: read.ok().and_then(|_| holder.trim().parse().ok()) });
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        // For people and messages only: what locks is the lock, not the text. Cut after it is written: to free a block that
        // is taken again at once costs a file system as much as all the rest of this.
        let told = format!("{}\n", std::process::id());
        file.rewind()
            .and_then(|()| file.write_all(told.as_bytes()))
            .and_then(|()| file.set_len(told.len() as u64))
            .map_err(LockError::Io)?;
        let named = Named::of(&file, self.path(&name)).map_err(LockError::Io)?;
        Ok(Box::new(FileLock { file, named, process: std::process::id() }))
    }
}

impl Drop for FileStorage {
    fn drop(&mut self) {
        open_files::forget_all(self.number);
    }
}

/// Unlocked by the system when the process ends, however it does. The file itself stays: removing it would let a third
/// writer lock a new one while the second still waits on the old.
struct FileLock {
    file: File,
    named: Named,
    process: u32,
}

impl Lock for FileLock {
    fn is_held(&self) -> bool {
        self.named.is_still(&self.file)
    }
}

/// A name that led to an open file. Asked before each group is written: walking the path costs as much there as making the
/// entry does, so that mostly only the file is looked at, in which deleting and replacing it show.
#[cfg(unix)]
struct Named {
    path: PathBuf,
    /// Device and number of the file.
    file: (u64, u64),
    looked: Mutex<Looked>,
}

/// When the path was walked last, and what the file said of itself then.
#[cfg(unix)]
struct Looked {
    at: Instant,
    /// How many names it had, and when that, or one of them, changed.
    names: (u64, i64, i64),
}

/// The longest that a path goes without being walked: for what does not show in the file, such as a directory put in the
/// place of its own.
#[cfg(unix)]
const WALK_AFTER: Duration = Duration::from_millis(1);

#[cfg(unix)]
impl Named {
    fn of(file: &File, path: PathBuf) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let looked = Looked { at: Instant::now(), names: names_of(&metadata) };
        Ok(Self { path, file: identity(&metadata), looked: Mutex::new(looked) })
    }

    /// Whether it still does.
    fn is_still(&self, file: &File) -> bool {
        let names = file.metadata().ok().map(|metadata| names_of(&metadata));
        let mut looked = self.looked.lock();
        let now = Instant::now();
        if names == Some(looked.names) && now.duration_since(looked.at) < WALK_AFTER {
            return true;
        }
        match fs::symlink_metadata(&self.path) {
            Ok(found) if identity(&found) == self.file => {
                *looked = Looked { at: now, names: names_of(&found) };
                true
            }
            Ok(_) => false,
            // Where nothing is known, that it cannot be looked at is no reason to write no more.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(unix)]
fn names_of(metadata: &fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.nlink(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
struct Named;

#[cfg(not(unix))]
impl Named {
    fn of(_file: &File, _path: PathBuf) -> io::Result<Self> {
        Ok(Self)
    }

    /// Elsewhere a file that is open cannot be deleted.
    fn is_still(&self, _file: &File) -> bool {
        true
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the descriptor is not enough: the lock stays while anybody has a copy of it, and a child that this
        // process has forked has one until it becomes its program. Such a child, in its turn, must not unlock.
        if std::process::id() == self.process {
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{FileStorage, Storage};

    #[test]
    fn a_child_that_was_forked_holds_no_lock_that_was_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(dir.path());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Whether there is such a program does not matter: it is forked first.
                    let _ = Command::new("true").status();
                }
            });
            let held = (0..500).filter(|_| storage.lock().is_err()).count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(held, 0);
        });
    }
}
