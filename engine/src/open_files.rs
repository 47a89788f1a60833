//! The descriptors of the process that are not locks: few, shared by all histories, the longest unused closed first.
//!
//! A host opens thousands of histories under a limit of 1,024 descriptors; an idle one holds only that of its lock.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Most descriptors that are kept at hand.
const OPEN_MAX: usize = 128;

/// File to descriptor, and when it was used last.
type Opened = HashMap<String, (Arc<File>, u64), RandomState>;

struct OpenFiles {
    /// By storage.
    storages: HashMap<u64, Opened, RandomState>,
    count: usize,
    uses: u64,
    /// How many are kept: fewer once the process ran out, so that the host finds some free for itself.
    max: usize,
}

static OPEN_FILES: LazyLock<Mutex<OpenFiles>> = LazyLock::new(|| {
    Mutex::new(OpenFiles { storages: HashMap::default(), count: 0, uses: 0, max: OPEN_MAX })
});

pub(crate) fn get(storage: u64, file: &str) -> Option<Arc<File>> {
    let mut held = OPEN_FILES.lock();
    held.uses += 1;
    let uses = held.uses;
    let (opened, used) = held.storages.get_mut(&storage)?.get_mut(file)?;
    *used = uses;
    Some(Arc::clone(opened))
}

pub(crate) fn put(storage: u64, file: &str, opened: Arc<File>) {
    let mut held = OPEN_FILES.lock();
    if held.count == 0 {
        held.max = OPEN_MAX;
    }
    while held.count > 0 && held.count >= held.max {
        held.close_oldest();
    }
    held.uses += 1;
    let uses = held.uses;
    if held.storages.entry(storage).or_default().insert(file.to_owned(), (opened, uses)).is_none() {
        held.count += 1;
    }
}

pub(crate) fn rename(storage: u64, from: &str, to: &str) {
    let mut held = OPEN_FILES.lock();
    let Some(files) = held.storages.get_mut(&storage) else { return };
    let before = files.len();
    files.remove(to);
    if let Some(moved) = files.remove(from) {
        files.insert(to.to_owned(), moved);
    }
    let gone = before - files.len();
    held.count -= gone;
}

pub(crate) fn forget(storage: u64, file: &str) {
    let mut held = OPEN_FILES.lock();
    let removed = held.storages.get_mut(&storage).and_then(|files| files.remove(file));
    held.count -= usize::from(removed.is_some());
}

pub(crate) fn forget_all(storage: u64) {
    let mut held = OPEN_FILES.lock();
    let gone = held.storages.remove(&storage).map_or(0, |files| files.len());
    held.count -= gone;
}

/// Makes room for one more descriptor where the process has none left; says whether there was any to close.
fn make_room() -> bool {
    let mut held = OPEN_FILES.lock();
    let before = held.count;
    // A few at a time, so that whoever opens many does not come back for each.
    (0..8).for_each(|_| held.close_oldest());
    held.max = held.count.max(1);
    held.count < before
}

/// Opens something; where the process has no descriptor left, some of those kept at hand are closed for it.
pub(crate) fn with_room<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match open() {
            Err(error) if is_out_of_descriptors(&error) && make_room() => {}
            other => return other,
        }
    }
}

#[cfg(unix)]
fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    errno == Some(Errno::MFILE.raw_os_error()) || errno == Some(Errno::NFILE.raw_os_error())
}

#[cfg(not(unix))]
fn is_out_of_descriptors(_error: &io::Error) -> bool {
    false
}

impl OpenFiles {
    fn close_oldest(&mut self) {
        let files =
            self.storages.iter().flat_map(|(storage, files)| files.iter().map(move |file| (storage, file)));
        let oldest = files
            .min_by_key(|(_, (_, (_, used)))| *used)
            .map(|(storage, (file, _))| (*storage, file.clone()));
        if let Some((storage, file)) = oldest
            && let Some(files) = self.storages.get_mut(&storage)
            && files.remove(&file).is_some()
        {
            self.count -= 1;
            if files.is_empty() {
                self.storages.remove(&storage);
            }
        }
    }
}
