//! The systems that `compare` stands side by side, ours among them: one file each.
//!
//! A peer does a row as its own interface does it; where it has none for it, an adapter does it that a competent user
//! would write, and the table says so; where even that makes no sense, there is a dash.

use std::path::Path;

use crate::plain::{Change, PlainFlow};

mod ours; //  flow-history itself
#[cfg(any(feature = "sqlite", feature = "redb", feature = "lmdb", feature = "fjall"))]
mod keyed; // a table of changes, an index, checkpoints: over any ordered store
#[cfg(any(feature = "loro", feature = "automerge"))]
mod framed; // a synced file of frames, for peers that keep nothing on a disk themselves
#[cfg(feature = "automerge")]
mod automerge;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "git2")]
mod git2;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(any(
    feature = "tephra",
    feature = "umadb",
    feature = "sierradb",
    feature = "raft-engine",
    feature = "okaywal"
))]
mod log_only; // stores of entries that know no flow: folded by the harness
#[cfg(feature = "loro")]
mod loro;
#[cfg(feature = "okaywal")]
mod okaywal;
#[cfg(feature = "raft-engine")]
mod raft_engine;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "sierradb")]
mod sierradb;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "tephra")]
mod tephra;
#[cfg(feature = "umadb")]
mod umadb;

/// Why a row has no figure.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The peer cannot do it, and why.
    Cannot(&'static str),
    /// It went wrong, and how.
    Broke(String),
}

/// What a peer answers.
pub type Outcome<T> = Result<T, Failure>;

/// An error of a peer, in its own words.
pub(crate) fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Broke(error.to_string())
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cannot(why) => f.write_str(why),
            Self::Broke(how) => write!(f, "failed: {how}"),
        }
    }
}

/// What an acknowledgement means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The change would survive a power cut.
    Durable,
    /// The change is in the memory of the process or of the system.
    Buffered,
}

/// Appends one change, from a thread of its own.
pub type Appender = Box<dyn FnMut(Change) -> Outcome<()> + Send>;

/// A system to be measured.
pub trait Peer {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Whether it is another with other settings, which --quick leaves out unless it is named.
    fn is_variant(&self) -> bool {
        false
    }

    /// Version and settings, in a line.
    fn about(&self) -> String;

    /// What it gives that we do not, in a line.
    fn gives(&self) -> &'static str;

    /// How a row is done that its own interface does not do; `None` where it does.
    fn adapter(&self, row: &str) -> Option<&'static str>;

    /// Creates a store in a directory that is not there yet, or opens what is there, ready to append.
    ///
    /// # Errors
    /// What it says.
    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>>;
}

const NOT_OFFERED: Failure = Failure::Cannot("it has nothing for it");

/// A store of one peer, open to write.
pub trait Store {
    /// The newest version: the number of changes.
    ///
    /// # Errors
    /// What it says.
    fn newest(&mut self) -> Outcome<u64>;

    /// Appends a change, acknowledged as the store was opened.
    ///
    /// # Errors
    /// What it says.
    fn append(&mut self, change: Change) -> Outcome<()>;

    /// So many that append at the same time.
    ///
    /// # Errors
    /// What it says.
    fn appenders(&mut self, _count: usize) -> Outcome<Vec<Appender>> {
        Err(NOT_OFFERED)
    }

    /// Appends changes, each durable at the end, of which so many may be on their way.
    ///
    /// # Errors
    /// What it says.
    fn pipeline(&mut self, _changes: Vec<Change>, _in_flight: usize) -> Outcome<()> {
        Err(NOT_OFFERED)
    }

    /// Opens a version and reads one component; whether it is there.
    ///
    /// # Errors
    /// What it says.
    fn component(&mut self, _version: u64, _id: &str) -> Outcome<bool> {
        Err(NOT_OFFERED)
    }

    /// Puts together the whole flow of a version; how many components it has.
    ///
    /// # Errors
    /// What it says.
    fn flow(&mut self, _version: u64) -> Outcome<usize> {
        Err(NOT_OFFERED)
    }

    /// What differs between two versions; how many components do.
    ///
    /// # Errors
    /// What it says.
    fn difference(&mut self, _before: u64, _after: u64) -> Outcome<usize> {
        Err(NOT_OFFERED)
    }

    /// Takes back the newest change, acknowledged as the store was opened.
    ///
    /// # Errors
    /// What it says.
    fn undo(&mut self) -> Outcome<()> {
        Err(NOT_OFFERED)
    }

    /// The newest changes of a component, with who and when; how many.
    ///
    /// # Errors
    /// What it says.
    fn component_log(&mut self, _id: &str, _limit: usize) -> Outcome<usize> {
        Err(NOT_OFFERED)
    }

    /// The newest changes, with who and when; how many.
    ///
    /// # Errors
    /// What it says.
    fn log_page(&mut self, _limit: usize) -> Outcome<usize> {
        Err(NOT_OFFERED)
    }

    /// Reads all changes from the disk, and folds them to the newest flow; how many changes.
    ///
    /// # Errors
    /// What it says.
    fn replay(&mut self) -> Outcome<u64> {
        Err(NOT_OFFERED)
    }

    /// All that a version holds, for the harness to compare.
    ///
    /// # Errors
    /// What it says.
    fn contents(&mut self, version: u64) -> Outcome<PlainFlow>;

    /// Drops what the process keeps of what was read, where that can be asked for.
    fn forget(&mut self) {}

    /// Makes everything durable.
    ///
    /// # Errors
    /// What it says.
    fn flush(&mut self) -> Outcome<()>;

    /// Ends, with whatever the peer does to make its files small.
    ///
    /// # Errors
    /// What it says.
    fn close(self: Box<Self>) -> Outcome<()>;
}

/// All peers that were built in, ours first.
#[must_use]
pub fn built() -> Vec<Box<dyn Peer>> {
    #[allow(unused_mut, reason = "a build without peers adds none")]
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(ours::Ours::default()), Box::new(ours::Ours::cached())];
    #[cfg(feature = "sqlite")]
    peers.push(Box::new(sqlite::Sqlite));
    #[cfg(feature = "redb")]
    peers.push(Box::new(redb::Redb));
    #[cfg(feature = "lmdb")]
    peers.push(Box::new(lmdb::Lmdb));
    #[cfg(feature = "fjall")]
    peers.push(Box::new(fjall::Fjall));
    #[cfg(feature = "loro")]
    peers.extend([
        Box::new(loro::Loro { entries: false }) as Box<dyn Peer>,
        Box::new(loro::Loro { entries: true }),
    ]);
    #[cfg(feature = "automerge")]
    peers.push(Box::new(automerge::Automerge));
    #[cfg(feature = "git2")]
    peers.push(Box::new(git2::Git2));
    #[cfg(feature = "tephra")]
    peers.extend([
        Box::new(tephra::Tephra { tagged: false }) as Box<dyn Peer>,
        Box::new(tephra::Tephra { tagged: true }),
    ]);
    #[cfg(feature = "umadb")]
    peers.extend([
        Box::new(umadb::UmaDb { tagged: false }) as Box<dyn Peer>,
        Box::new(umadb::UmaDb { tagged: true }),
    ]);
    #[cfg(feature = "sierradb")]
    peers.extend([
        Box::new(sierradb::SierraDb { as_it_comes: false }) as Box<dyn Peer>,
        Box::new(sierradb::SierraDb { as_it_comes: true }),
    ]);
    #[cfg(feature = "raft-engine")]
    peers.push(Box::new(raft_engine::RaftEngine));
    #[cfg(feature = "okaywal")]
    peers.push(Box::new(okaywal::OkayWal));
    peers
}

/// Peers that this build leaves out, each with how to have it.
#[must_use]
pub fn left_out() -> Vec<&'static str> {
    [
        ("sqlite", cfg!(feature = "sqlite")),
        ("redb", cfg!(feature = "redb")),
        ("loro", cfg!(feature = "loro")),
        ("git2", cfg!(feature = "git2")),
        ("lmdb", cfg!(feature = "lmdb")),
        ("fjall", cfg!(feature = "fjall")),
        ("automerge", cfg!(feature = "automerge")),
        ("tephra", cfg!(feature = "tephra")),
        ("umadb", cfg!(feature = "umadb")),
        ("sierradb", cfg!(feature = "sierradb")),
        ("raft-engine", cfg!(feature = "raft-engine")),
        ("okaywal", cfg!(feature = "okaywal")),
    ]
    .into_iter()
    .filter(|(_, built)| !built)
    .map(|(name, _)| name)
    .collect()
}
