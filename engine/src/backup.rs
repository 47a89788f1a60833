//! A copy of a history that somebody writes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use flow_history_flow::mistake;
use flow_history_replay::{CLOSING_BYTES, FileName, FlowVersionId, Identity, Log, LogError, Seq, What};

use crate::files::Files;
use crate::storage::{Failed, Storage, create_anew, replace_file, write_all};
use crate::vault::{Vault, copy_secrets, settle_copied};
use crate::verify::read_all;
use crate::{Error, FileStorage, History};

/// How often a copy is begun again because a file went away under it.
const TRIES: u32 = 8;
const CHUNK_BYTES: usize = 256 << 10;

/// What a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Backup {
    /// The newest version in it.
    pub version: FlowVersionId,
    /// Files copied.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl History {
    /// Copies the history into a directory: everything that is durable at this moment, while others go on appending. The
    /// copy is read back whole and verified before this returns.
    ///
    /// The directory may be missing or empty. Opened to write, the copy goes on with versions whose names never collide
    /// with those of the original.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] where something is there already, and nothing is written; [`Error::Damaged`] where the
    /// original, or what was read back, is not sound; [`Error::Full`] and [`Error::Io`]. What a copy that failed leaves
    /// in the directory is no history.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<Backup, Error> {
        self.backup_to(&(Arc::new(FileStorage::new(dir)) as Arc<dyn Storage>))
    }

    /// Copies the history into a storage.
    ///
    /// # Errors
    /// As [`History::backup`].
    pub fn backup_to(&self, to: &Arc<dyn Storage>) -> Result<Backup, Error> {
        let mut tries = 0;
        loop {
            let version = self.durable_version()?;
            let oldest = self.files().log()?.oldest();
            let copied = copy(self.files(), self.vault(), version, to);
            tries += 1;
            match copied {
                // A secret was shredded under it, or pruned. A copy that does not say so would have lost it.
                Err(Error::Damaged { damage, .. })
                    if tries < TRIES
                        && damage.what == What::Missing
                        && (self.is_shredded(&damage.file)? || self.files().log()?.oldest() > oldest) =>
                {
                    remove_all(&**to);
                }
                other => return other,
            }
        }
    }

    fn is_shredded(&self, file: &str) -> Result<bool, Error> {
        let Some(FileName::Secret(id)) = FileName::parse(file) else { return Ok(false) };
        self.look_at_head(|state| state.marks.shredded.contains_key(&id))
    }
}

fn copy(
    files: &Files,
    vault: &Vault,
    version: FlowVersionId,
    to: &Arc<dyn Storage>,
) -> Result<Backup, Error> {
    let failed_at = |failed| Error::of_storage(&to.place(), failed);
    match to.list() {
        Ok(names) if !names.is_empty() => return Err(Error::NotEmpty { dir: to.place() }),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::io("list", to.place(), 0, source)),
    }
    to.create_directory().map_err(|source| Error::io("create the directory", to.place(), 0, source))?;

    if mistake::is_made("the identity of a backup comes first") {
        let log = files.log()?;
        replace_file(&**to, &FileName::Identity.to_string(), &log.identity().encode()).map_err(failed_at)?;
    }
    let mut tries = 0;
    let mut backup = loop {
        tries += 1;
        match try_copy(files, version.seq(), &**to) {
            Ok(backup) => break backup,
            // A segment was sealed, or pruned, between being listed and being read: the next listing has what took its
            // place.
            Err(CopyError::Read(_)) if tries < TRIES => remove_all(&**to),
            Err(CopyError::Read(error)) => return Err(files.log_error(error)),
            Err(CopyError::Write(failed)) => return Err(failed_at(failed)),
        }
    };

    // ORDER: the identity comes last: until everything it speaks of is durable, this is no history.
    to.sync_directory().map_err(Failed::sync("")).map_err(failed_at)?;
    let log = files.log()?;
    let identity = Identity {
        last_segment: backup.last_segment,
        first_segment: backup.first_segment,
        // Where the version itself was pruned meanwhile, the base alone is more than that.
        reaches: version.seq(),
        ..log.identity().clone()
    };
    let bytes = identity.encode();
    replace_file(&**to, &FileName::Identity.to_string(), &bytes).map_err(failed_at)?;
    backup.files += 1;
    backup.bytes += bytes.len() as u64;

    let checked = check(&Files::new(Arc::clone(to)), vault, version);
    if checked.is_err() {
        // What a copy that failed leaves is no history.
        let _ = to.remove(&FileName::Identity.to_string());
    }
    Ok(Backup { version: checked?, files: backup.files, bytes: backup.bytes })
}

/// Reads a copy back whole. It reaches the version that was durable, and more where its last segment was sealed meanwhile.
fn check(copy: &Files, vault: &Vault, version: FlowVersionId) -> Result<FlowVersionId, Error> {
    let (verified, named) = read_all(copy, vault)?;
    // Those that were sealed for an entry that came too late for the copy, or never, go.
    settle_copied(copy, &named).map_err(|failed| Error::of_storage(&copy.place, failed))?;
    let chain = copy.read(|log| log.chain_at(version.seq()))?;
    match chain {
        Some(chain) if FlowVersionId::new(version.seq(), &chain) != version => {
            Err(Error::Foreign { id: version })
        }
        // Pruned meanwhile, so that the copy begins behind it.
        None if verified.head.seq() < version.seq() => Err(Error::Foreign { id: version }),
        _ => Ok(verified.head),
    }
}

enum CopyError {
    Read(LogError),
    Write(Failed),
}

#[derive(Default)]
struct Copied {
    files: u64,
    bytes: u64,
    first_segment: u64,
    last_segment: u64,
}

fn try_copy(files: &Files, seq: Seq, to: &dyn Storage) -> Result<Copied, CopyError> {
    files.forget_log();
    let log = files.open_log().map_err(CopyError::Read)?;
    let extent = log.extent(seq).map_err(CopyError::Read)?;
    let mut copied = Copied { first_segment: log.identity().first_segment, ..Copied::default() };
    if let Some(base) = log.base() {
        let file = FileName::Base(base.number).to_string();
        let bytes = files.storage.len(&file).map_err(|source| {
            CopyError::Read(LogError::Io { operation: "measure", file: file.clone(), offset: 0, source })
        })?;
        copy_file(&log, &file, bytes, to)?;
        to.sync(&file).map_err(Failed::sync(&file)).map_err(CopyError::Write)?;
        copied.files += 1;
        copied.bytes += bytes;
    }
    let upto = log.segments().iter().take_while(|segment| segment.header.number <= extent.segment);
    for segment in upto {
        let file = segment.file().to_string();
        let is_last = segment.header.number == extent.segment;
        let bytes = if is_last { extent.bytes } else { segment.bytes };
        copy_file(&log, &file, bytes, to)?;
        let mut length = bytes;
        if is_last && segment.sealed.is_none() {
            // Behind the last frame of a history that was not closed there is room for the next.
            length += CLOSING_BYTES as u64;
            to.set_len(&file, length)
                .map_err(Failed::write("lengthen", &file, bytes))
                .map_err(CopyError::Write)?;
        }
        to.sync(&file).map_err(Failed::sync(&file)).map_err(CopyError::Write)?;
        copied.files += 1;
        copied.bytes += length;
        copied.last_segment = segment.header.number;
    }
    copy_checkpoints(files, &log, seq, to, &mut copied)?;
    // ORDER: after the log, so that whatever its entries name is there already. Which of them these are is known once the
    // copy was read: until then they are new ones, of which the next writer keeps what is named, should this be cut off.
    let (secrets, bytes) = copy_secrets(files, to, FileName::NewSecret).map_err(|error| match error {
        Ok(read) => CopyError::Read(read),
        Err(failed) => CopyError::Write(failed),
    })?;
    copied.files += secrets;
    copied.bytes += bytes;
    Ok(copied)
}

/// Checkpoints are worth copying and not worth failing for: without them the copy is slower, and nothing else.
fn copy_checkpoints(
    files: &Files,
    log: &Log,
    seq: Seq,
    to: &dyn Storage,
    copied: &mut Copied,
) -> Result<(), CopyError> {
    for checkpoint in files.checkpoints().unwrap_or_default().into_iter().filter(|other| *other <= seq) {
        let file = FileName::Checkpoint(checkpoint.0).to_string();
        let Ok(bytes) = files.storage.len(&file) else { continue };
        match copy_file(log, &file, bytes, to) {
            Ok(()) => {
                to.sync(&file).map_err(Failed::sync(&file)).map_err(CopyError::Write)?;
                copied.files += 1;
                copied.bytes += bytes;
            }
            Err(CopyError::Read(_)) => drop(to.remove(&file)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_file(log: &Log, file: &str, bytes: u64, to: &dyn Storage) -> Result<(), CopyError> {
    create_anew(to, file).map_err(CopyError::Write)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < bytes {
        let wanted = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let chunk = buffer.get_mut(..wanted).unwrap_or_default();
        let read = flow_history_replay::read_up_to(&**log.source(), file, at, chunk).and_then(|count| {
            if count == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        read.map_err(|source| {
            CopyError::Read(LogError::Io { operation: "read", file: file.to_owned(), offset: at, source })
        })?;
        write_all(to, file, at, chunk).map_err(Failed::write("write", file, at)).map_err(CopyError::Write)?;
        at += wanted as u64;
    }
    Ok(())
}

fn remove_all(to: &dyn Storage) {
    for name in to.list().unwrap_or_default() {
        // The directory was empty; whatever else came into it meanwhile is none of ours.
        if FileName::parse(&name).is_some() {
            let _ = to.remove(&name);
        }
    }
}
