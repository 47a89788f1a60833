//! What can go wrong, as facts, sorted by what the caller can do about it.

use std::path::PathBuf;
use std::{fmt, io};

use flow_history_flow::{ComponentId, Conflict, Misfit};
use flow_history_replay::{Damage, EncodeError, FlowVersionId, LogError, PushError, Seq};

use crate::authorizer::Denial;
use crate::storage::Failed;

/// Why a call failed. Nothing was written unless the variant says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An operation does not fit the flow. The version did not move.
    Misfit(Misfit),
    /// A part of the entry's header is over its limit.
    Header(EncodeError),
    /// A change without operations; record a mark instead.
    EmptyChange,
    /// The head is not the version that the change expects.
    Conflict {
        /// The version that the change expects.
        expected: FlowVersionId,
        /// The head.
        actual: FlowVersionId,
    },
    /// The idempotency key was used before, for something else.
    KeyReused {
        /// The key.
        key: String,
        /// The version that it was used for.
        first: FlowVersionId,
    },
    /// The scope has nothing that could be undone.
    NothingToUndo,
    /// The scope has nothing that could be done again.
    NothingToRedo,
    /// Undo reached a mark that says it stops there.
    Frozen {
        /// The mark.
        at: Seq,
    },
    /// Something is in the way of an undo, redo, revert or restore, and its mode does not resolve it. Another mode may.
    Conflicts {
        /// The entries that were to be taken back or done again, or the version that was to be restored.
        entries: Vec<Seq>,
        /// What is in the way, and what would resolve it.
        conflicts: Vec<Conflict>,
    },
    /// What a plan touches has moved since it was made. Plan again.
    Stale {
        /// The version that it was made on.
        base: FlowVersionId,
        /// The head.
        head: FlowVersionId,
        /// The components about which another plan would say something else.
        components: Vec<ComponentId>,
    },
    /// Whoever asked may not.
    Denied {
        /// Who may not do what, by which policy.
        denial: Box<Denial>,
        /// The entries that were to be taken back or done again, or the version that was to be restored.
        entries: Vec<Seq>,
    },
    /// The host will not touch a component now.
    Vetoed {
        /// Which.
        component: ComponentId,
        /// Why, in the host's words.
        reason: String,
    },
    /// The history was opened without anything that gives keys; nothing can be sealed or read.
    NoVaultKeys,
    /// The host could not give a key.
    VaultKey {
        /// Its name, where it was asked for by name.
        key: Option<String>,
        /// Why, in the host's words.
        source: crate::KeyError,
    },
    /// The key that the host gave is not the one that a secret was sealed under.
    WrongVaultKey {
        /// Its name.
        key: String,
    },
    /// The secret was shredded. Nobody can read it any more; give it anew.
    SecretGone {
        /// The mark that says who did it and when.
        mark: Seq,
    },
    /// There is no such secret here: none was sealed under this name, its file is missing, or it is of another history.
    UnknownSecret,
    /// The secret is over its limit.
    SecretTooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most that it may have.
        max: usize,
    },
    /// The entry is a mark: there is nothing to take back.
    NotAChange {
        /// Which.
        entry: Seq,
    },
    /// The handle was opened to read only.
    ReadOnly,
    /// The handle is closed.
    Closed,
    /// A sync failed earlier: what it covered may be lost, and nothing more is accepted. Reopen the history.
    Poisoned {
        /// What the system said then.
        cause: String,
    },
    /// More bytes wait to become durable than the handle may hold. Wait for some of them and try again.
    Busy {
        /// Bytes that wait.
        waiting: usize,
        /// The most that may.
        max: usize,
    },
    /// The disk has no room for the entry. What was there stands; free space and try again on the same handle.
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused.
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Another handle writes this history.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process that holds the lock, where it can be told.
        holder: Option<u32>,
    },
    /// There is no history there, and this call does not create one.
    NotAHistory {
        /// The directory.
        dir: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// The files are newer than this library. They were not touched.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u16,
        /// The newest that this library reads.
        max: u16,
    },
    /// A file is damaged. What lies before the damage can still be read.
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// Which file, where, and what is wrong.
        damage: Box<Damage>,
    },
    /// There is no version of this number.
    UnknownVersion {
        /// The number.
        asked: Seq,
        /// The newest version.
        head: Seq,
    },
    /// There are not so many versions before the newest.
    BeforeStart {
        /// How many before the newest were asked for.
        back: u64,
        /// The newest version.
        head: Seq,
    },
    /// No version has this label.
    UnknownLabel {
        /// The label.
        label: String,
        /// A label that is close to it.
        nearest: Option<String>,
    },
    /// The time lies before the first entry.
    BeforeFirst {
        /// The time, in milliseconds since 1970.
        asked: i64,
        /// The time of the first entry, where there is one.
        first: Option<i64>,
    },
    /// The id is of another history, or of a version that this copy of the history never had.
    Foreign {
        /// The id.
        id: FlowVersionId,
    },
    /// The process was forked from the one that opened the history. Only that one may write; nothing was written here.
    Forked {
        /// The process that opened it.
        opened_by: u32,
    },
    /// What was to be pruned is still needed. Nothing was pruned.
    HeldBack {
        /// The version before which everything was to go.
        asked: Seq,
        /// What needs an older one.
        by: Vec<crate::Hold>,
    },
    /// Something is already where something new was to be made.
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The version was pruned.
    Pruned {
        /// The oldest version that is kept.
        oldest: Seq,
    },
    /// The flow cannot be stored as a checkpoint.
    Checkpoint(String),
}

/// What a caller can do about an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Advice {
    /// Change what was asked to be written.
    FixTheChange,
    /// Ask for something that exists.
    FixTheQuestion,
    /// Try the same again, perhaps a little later.
    Retry,
    /// Free space on the disk, then try again with the same handle.
    FreeSpace,
    /// Open the history again.
    Reopen,
    /// Restore the damaged file from a copy.
    Restore,
    /// Use a newer version of this library.
    Upgrade,
    /// Use another directory, or open another way.
    OpenAnother,
    /// See what the system says.
    SeeTheSystem,
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Error::Misfit(_)
            | Error::Header(_)
            | Error::EmptyChange
            | Error::KeyReused { .. }
            | Error::NothingToUndo
            | Error::NothingToRedo
            | Error::Frozen { .. }
            | Error::Conflicts { .. }
            | Error::Denied { .. }
            | Error::SecretTooLarge { .. }
            | Error::NotAChange { .. } => Advice::FixTheChange,
            Error::UnknownVersion { .. }
            | Error::UnknownLabel { .. }
            | Error::BeforeStart { .. }
            | Error::BeforeFirst { .. }
            | Error::Foreign { .. }
            | Error::HeldBack { .. }
            | Error::SecretGone { .. }
            | Error::UnknownSecret
            | Error::Pruned { .. } => Advice::FixTheQuestion,
            Error::Conflict { .. }
            | Error::Stale { .. }
            | Error::Vetoed { .. }
            | Error::VaultKey { .. }
            | Error::Busy { .. }
            | Error::Locked { .. } => Advice::Retry,
            Error::Full { .. } => Advice::FreeSpace,
            Error::Closed | Error::Poisoned { .. } | Error::Forked { .. } => Advice::Reopen,
            Error::Damaged { .. } => Advice::Restore,
            Error::Unsupported { .. } => Advice::Upgrade,
            Error::ReadOnly
            | Error::NoVaultKeys
            | Error::WrongVaultKey { .. }
            | Error::NotAHistory { .. }
            | Error::NotEmpty { .. } => Advice::OpenAnother,
            Error::Io { .. } | Error::Checkpoint(_) => Advice::SeeTheSystem,
        }
    }

    /// The error of a failed call to the system.
    pub(crate) fn io(operation: &'static str, path: PathBuf, offset: u64, source: io::Error) -> Self {
        Error::Io { operation, path, offset, source }
    }

    /// The error of a failed call to the storage of a history in this place.
    pub(crate) fn of_storage(dir: &std::path::Path, failed: Failed) -> Self {
        Self::io(failed.operation, dir.join(&failed.file), failed.offset, failed.source)
    }

    pub(crate) fn of_log(dir: &std::path::Path, error: LogError) -> Self {
        match error {
            LogError::Io { operation, file, offset, source } => {
                Error::Io { operation, path: dir.join(file), offset, source }
            }
            LogError::NotAHistory { found } => Error::NotAHistory { dir: dir.to_owned(), found },
            LogError::Unsupported { file, found, max } => {
                Error::Unsupported { path: dir.join(file), found, max }
            }
            LogError::Pruned { oldest } => Error::Pruned { oldest },
            LogError::Damaged(damage) => Error::Damaged { dir: dir.to_owned(), damage },
            other => Error::Io {
                operation: "read",
                path: dir.to_owned(),
                offset: 0,
                source: io::Error::other(other.to_string()),
            },
        }
    }
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        Error::Misfit(misfit)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Misfit(misfit) => fmt::Display::fmt(misfit, f),
            Error::Header(error) => fmt::Display::fmt(error, f),
            Error::EmptyChange => {
                f.write_str("a change needs at least one operation; nothing else needs a mark")
            }
            Error::Conflict { expected, actual } => {
                write!(
                    f,
                    "the change expects version {} and the head is version {}",
                    expected.seq(),
                    actual.seq()
                )
            }
            Error::KeyReused { key, first } => {
                write!(
                    f,
                    "the idempotency key {key:?} was used for version {}, for something else",
                    first.seq()
                )
            }
            Error::NothingToUndo => f.write_str("there is nothing to undo"),
            Error::NothingToRedo => f.write_str("there is nothing to redo"),
            Error::Frozen { at } => write!(f, "undo stops at the freeze mark of version {at}"),
            Error::Conflicts { entries, conflicts } => {
                let entry = entries.first().copied().unwrap_or_default();
                write!(f, "{} in the way of version {entry}", conflicts.len())?;
                let mut unresolved = conflicts.iter().filter(|conflict| conflict.resolved.is_none());
                match unresolved.next().or(conflicts.first()) {
                    Some(first) => write!(f, ": {first}"),
                    None => Ok(()),
                }
            }
            Error::Stale { base, head, .. } => {
                write!(
                    f,
                    "what the plan of version {} touches has moved; the head is version {}",
                    base.seq(),
                    head.seq()
                )
            }
            Error::Denied { denial, .. } => fmt::Display::fmt(denial, f),
            Error::Vetoed { component, reason } => {
                let id: String = component.chars().take(80).collect();
                write!(f, "the host will not touch {id:?} now: {reason}")
            }
            Error::NotAChange { entry } => {
                write!(f, "version {entry} is a mark; there is nothing to take back")
            }
            Error::NoVaultKeys => {
                f.write_str("the history was opened without keys for its secrets; give Options::vault_keys")
            }
            Error::VaultKey { key: Some(key), source } => {
                write!(f, "the host did not give the key {key:?}: {source}")
            }
            Error::VaultKey { key: None, source } => write!(f, "the host did not give a key: {source}"),
            Error::WrongVaultKey { key } => {
                write!(f, "the host gave another key as {key:?} than the secret was sealed under")
            }
            Error::SecretGone { mark } => {
                write!(f, "the secret was shredded, as version {mark} says; give it anew")
            }
            Error::UnknownSecret => f.write_str(
                "there is no such secret in this history; `verify` says whether its file is missing",
            ),
            Error::SecretTooLarge { bytes, max } => {
                write!(f, "a secret may have {max} bytes and this one has {bytes}")
            }
            Error::ReadOnly => f.write_str("the history was opened to read only"),
            Error::Closed => f.write_str("the history is closed"),
            Error::Poisoned { cause } => {
                write!(f, "an earlier sync failed ({cause}); open the history again to go on")
            }
            Error::Busy { waiting, max } => {
                write!(f, "{waiting} bytes wait to become durable and {max} may; wait for some of them")
            }
            Error::Full { path, .. } => {
                write!(f, "there is no room for {}; free space and try again", path.display())
            }
            Error::Io { operation, path, offset, source } => {
                write!(f, "cannot {operation} {} at offset {offset}: {source}", path.display())
            }
            Error::Locked { dir, holder: Some(pid) } => {
                write!(f, "process {pid} is writing the history {}", dir.display())
            }
            Error::Locked { dir, holder: None } => {
                write!(f, "another process is writing the history {}", dir.display())
            }
            Error::NotAHistory { dir, found } => {
                write!(f, "{} is not a history: it is {found}", dir.display())
            }
            Error::Unsupported { path, found, max } => {
                write!(f, "{} has format {found}; this program reads up to {max}", path.display())
            }
            Error::Damaged { dir, damage } => write!(f, "the history {} is damaged: {damage}", dir.display()),
            Error::UnknownVersion { asked, head } => {
                write!(f, "there is no version {asked}; the newest is {head}")
            }
            Error::BeforeStart { back, head } => {
                write!(f, "there is no version {back} before the newest, which is {head}")
            }
            Error::UnknownLabel { label, nearest: Some(nearest) } => {
                write!(f, "no version has the label {label:?}; there is {nearest:?}")
            }
            Error::UnknownLabel { label, nearest: None } => write!(f, "no version has the label {label:?}"),
            Error::BeforeFirst { .. } => f.write_str("the time lies before the first entry"),
            Error::Foreign { id } => {
                write!(f, "{id} names a version of another history, or one that this copy never had")
            }
            Error::Forked { opened_by } => write!(
                f,
                "the history was opened by process {opened_by}, which this one was forked from; open it here once that \
                 one has closed it"
            ),
            Error::HeldBack { asked, by } => {
                write!(f, "what lies before version {asked} is still needed:")?;
                for (at, hold) in by.iter().take(8).enumerate() {
                    write!(f, "{} {hold}", if at == 0 { "" } else { "," })?;
                }
                match by.len() {
                    0..=8 => Ok(()),
                    more => write!(f, ", and {} more", more - 8),
                }
            }
            Error::NotEmpty { dir } => {
                write!(f, "{} is not empty; name a directory that is missing or empty", dir.display())
            }
            Error::Pruned { oldest } => write!(f, "the version was pruned; the oldest kept is {oldest}"),
            Error::Checkpoint(why) => write!(f, "the flow cannot be stored as a checkpoint: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Full { source, .. } | Error::Io { source, .. } => Some(source),
            Error::Misfit(misfit) => Some(misfit),
            Error::Header(error) => Some(error),
            Error::VaultKey { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

impl From<PushError> for Error {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Misfit(misfit) => Error::Misfit(misfit),
            PushError::Encode(error) => Error::Header(error),
            PushError::Pruned { oldest } => Error::Pruned { oldest },
            PushError::StillNamed { before } => Error::HeldBack { asked: before, by: Vec::new() },
            PushError::NoSuchVersion(asked) => Error::UnknownVersion { asked, head: Seq::ZERO },
            PushError::Full => Error::Header(EncodeError::TooMany { part: "entries", max: usize::MAX }),
            _ => Error::EmptyChange,
        }
    }
}

/// Whether an error of a write says that there is no room, as against one that says that the disk is broken.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
