//! How a history is opened.

use std::path::Path;
use std::sync::Arc;

use crate::storage::Storage;
use crate::tuning::Tuning;
use crate::writer::Durability;
use crate::{Authorizer, Clock, Error, FileStorage, History, SystemClock, VaultKeys};

/// How a history is opened, where it is not as usual.
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tuning: Tuning,
    pub(crate) durability: Durability,
    pub(crate) must_exist: bool,
    pub(crate) authorizer: Option<Arc<dyn Authorizer>>,
    pub(crate) vault_keys: Option<Arc<dyn VaultKeys>>,
    pub(crate) predecessor: Option<Arc<dyn Storage>>,
    group_read: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            tuning: Tuning::default(),
            durability: Durability::default(),
            must_exist: false,
            authorizer: None,
            vault_keys: None,
            predecessor: None,
            group_read: false,
        }
    }
}

impl Options {
    /// The usual ones.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the time and randomness from elsewhere.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Uses other sizes and waits.
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Says when an append returns.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Refuses to create a history where there is none.
    pub fn must_exist(mut self, must_exist: bool) -> Self {
        self.must_exist = must_exist;
        self
    }

    /// Asks who may do what before undo, redo, revert and restore, and before something is shown to somebody; everything
    /// is allowed where nobody is asked.
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = Some(authorizer);
        self
    }

    /// Asks for keys when a secret is sealed or read; without them neither can be done, and everything else can.
    pub fn vault_keys(mut self, keys: Arc<dyn VaultKeys>) -> Self {
        self.vault_keys = Some(keys);
        self
    }

    /// Looks for what the history succeeded here, and not where it was then.
    pub fn predecessor(mut self, storage: Arc<dyn Storage>) -> Self {
        self.predecessor = Some(storage);
        self
    }

    /// Makes new files readable for the group: 0640 and 0750 instead of 0600 and 0700.
    pub fn group_read(mut self, group_read: bool) -> Self {
        self.group_read = group_read;
        self
    }

    /// Opens the history in a directory to write, and creates it where nothing or an empty directory is.
    ///
    /// # Errors
    /// [`Error::Locked`] where another handle writes it; [`Error::NotAHistory`], [`Error::Unsupported`],
    /// [`Error::Damaged`] and [`Error::Io`]. Nothing is created, changed or shortened by trying.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<History, Error> {
        let storage = self.file_storage(dir.as_ref());
        self.open_storage(Arc::new(storage))
    }

    pub(crate) fn file_storage(&self, dir: &Path) -> FileStorage {
        FileStorage::new(dir).group_read(self.group_read)
    }

    /// Opens the history in a directory to read, whether or not somebody writes it. Never creates anything.
    ///
    /// # Errors
    /// [`Error::NotAHistory`], [`Error::Unsupported`], [`Error::Damaged`] and [`Error::Io`].
    pub fn open_read_only(self, dir: impl AsRef<Path>) -> Result<History, Error> {
        self.open_storage_read_only(Arc::new(FileStorage::read_only(dir)))
    }

    /// Opens the history in a storage to write.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open_storage(self, storage: Arc<dyn Storage>) -> Result<History, Error> {
        History::open_to_write(storage, &self)
    }

    /// Opens the history in a storage to read.
    ///
    /// # Errors
    /// As [`Options::open_read_only`].
    pub fn open_storage_read_only(self, storage: Arc<dyn Storage>) -> Result<History, Error> {
        History::open_to_read(storage, &self)
    }
}
