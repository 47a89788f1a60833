//! Finding, reading and removing the files of secrets.

use std::collections::BTreeSet;
use std::io;

use flow_history_flow::mistake;
use flow_history_replay::{FileName, LogError, Marks, Seq, read_up_to};

use super::named::Named;
use super::sealed::{FILE_BYTES_MAX, FORMAT, Sealed, Unread, WRAPPED};
use crate::Error;
use crate::files::Files;
use crate::storage::{Failed, Storage, create_anew, write_all};
use crate::sync::Mutex;

/// The names that the file of a secret may have; the first again, because it may be renamed between two looks.
fn names(id: [u8; 16]) -> [String; 3] {
    let lasting = FileName::Secret(id).to_string();
    [lasting.clone(), FileName::NewSecret(id).to_string(), lasting]
}

/// Whether there is a file of a secret.
pub(super) fn exists(files: &Files, id: [u8; 16]) -> Result<bool, Error> {
    for name in names(id) {
        match files.storage.len(&name) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::io("measure", files.place.join(&name), 0, source)),
        }
    }
    Ok(false)
}

/// The file of a secret and what it says; `None` where there is none.
pub(super) fn read(files: &Files, id: [u8; 16]) -> Result<Option<(String, Sealed)>, Error> {
    for name in names(id) {
        if let Some(sealed) = read_named(files, &name, id)? {
            return Ok(Some((name, sealed)));
        }
    }
    Ok(None)
}

fn read_named(files: &Files, name: &str, id: [u8; 16]) -> Result<Option<Sealed>, Error> {
    let failed = |source| Error::io("read", files.place.join(name), 0, source);
    let bytes = match bytes_of(&*files.storage, name) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let damaged = |offset, what| files.log_error(LogError::damaged(name, offset, None, what));
    match Sealed::read(&bytes) {
        Ok(sealed) if sealed.secret.id == id => {
            // A log that begins with a base may be that of a successor, whose older secrets were sealed for its predecessor.
            let log = files.log()?;
            match sealed.history == log.history() || log.base().is_some() {
                true => Ok(Some(sealed)),
                false => Err(damaged(16, flow_history_replay::What::OtherHistory)),
            }
        }
        Ok(_) => Err(damaged(16, flow_history_replay::What::OtherHistory)),
        Err(Unread::Newer(found)) => {
            Err(Error::Unsupported { path: files.place.join(name), found, max: FORMAT })
        }
        Err(Unread::Damaged(offset, what)) => Err(damaged(offset, what)),
    }
}

/// All of a file; of one that is larger than such a file can be, the beginning.
fn bytes_of(storage: &dyn Storage, name: &str) -> io::Result<Vec<u8>> {
    let length = usize::try_from(storage.len(name)?).unwrap_or(usize::MAX).min(FILE_BYTES_MAX + 1);
    let mut bytes = vec![0; length];
    let count = read_up_to(storage, name, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Gives a file the name of one that an entry names.
pub(super) fn give_lasting_name(files: &Files, id: [u8; 16]) -> io::Result<()> {
    files.storage.rename(&FileName::NewSecret(id).to_string(), &FileName::Secret(id).to_string())
}

/// Wipes the wrapped key of a secret and removes its file; when this returns both would survive a power cut.
pub(super) fn wipe(new: &Mutex<BTreeSet<[u8; 16]>>, files: &Files, id: [u8; 16]) -> Result<(), Error> {
    let failed = |failed| Error::of_storage(&files.place, failed);
    // Nobody gives it another name meanwhile.
    let mut new = new.lock();
    new.remove(&id);
    let [lasting, fresh, _] = names(id);
    let mut gone = Ok(());
    for name in [lasting, fresh] {
        gone = gone.and(wipe_named(&*files.storage, &name).map_err(failed));
    }
    gone?;
    if mistake::is_made("what was shredded comes back after a power cut") {
        return Ok(());
    }
    files.storage.sync_directory().map_err(Failed::sync("")).map_err(failed)
}

fn wipe_named(storage: &dyn Storage, name: &str) -> Result<(), Failed> {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match storage.len(name) {
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(Failed::write("measure", name, 0)(error)),
        // ORDER: the key first. A file system that keeps what was removed then keeps nothing that opens.
        Ok(length) if length >= (WRAPPED.0 + WRAPPED.1) as u64 => {
            let written = write_all(storage, name, WRAPPED.0 as u64, &[0; WRAPPED.1]);
            // Where it cannot be written it can still be removed.
            let _ = written.and_then(|()| storage.sync(name));
        }
        Ok(_) => {}
    }
    match storage.remove(name) {
        Err(error) if !is_missing(&error) => Err(Failed::write("remove", name, 0)(error)),
        _ => Ok(()),
    }
}

/// Removes the files of secrets that were shredded, and of new ones that no entry names; the other new ones get their
/// lasting names. What cannot be read or removed is left for another time. Only a writer may, while nobody appends.
pub(super) fn collect(files: &Files, marks: &Marks, head: Seq) {
    let none = Mutex::default();
    let mut new = Vec::new();
    for name in files.storage.list().unwrap_or_default() {
        match FileName::parse(&name) {
            Some(FileName::Secret(id) | FileName::NewSecret(id)) if marks.shredded.contains_key(&id) => {
                // Whatever this one cannot do the next can.
                let _ = wipe(&none, files, id);
            }
            Some(FileName::NewSecret(id)) => {
                let read = read_named(files, &name, id);
                new.extend(read.ok().flatten().map(|sealed| (name, id, sealed.sealed_at)));
            }
            _ => {}
        }
    }
    let Some(first) = new.iter().map(|(_, _, sealed_at)| *sealed_at).min() else { return };
    let Ok(named) = Named::between(files, first.next().unwrap_or(first), head) else { return };
    for (name, id, _) in new {
        let _ = match named.lacks(&id) {
            true => files.storage.remove(&name),
            false => give_lasting_name(files, id),
        };
    }
}

/// Gives the files of these secrets the names of those of which nobody knows whether an entry names them.
pub(crate) fn set_aside(files: &Files, named: &Named) {
    for id in named.0.keys() {
        // One that was shredded is not there.
        let _ =
            files.storage.rename(&FileName::Secret(*id).to_string(), &FileName::NewSecret(*id).to_string());
    }
}

/// Removes the files that were set aside, or gives them back their lasting names.
pub(crate) fn settle_aside(files: &Files, named: &Named, is_kept: impl Fn(&[u8; 16]) -> bool) {
    for id in named.0.keys() {
        // Whatever this one cannot do the next writer can.
        let _ = match is_kept(id) {
            true => give_lasting_name(files, *id),
            false => files.storage.remove(&FileName::NewSecret(*id).to_string()),
        };
    }
}

/// Gives the files that were copied as new ones their lasting names where an entry of the copy names them, and removes the
/// others.
pub(crate) fn settle_copied(copy: &Files, named: &Named) -> Result<(), Failed> {
    for name in copy.storage.list().unwrap_or_default() {
        if let Some(FileName::NewSecret(id)) = FileName::parse(&name) {
            // Whatever this one cannot do the next writer can.
            let _ = match named.lacks(&id) {
                true => copy.storage.remove(&name),
                false => give_lasting_name(copy, id),
            };
        }
    }
    copy.storage.sync_directory().map_err(Failed::sync(""))
}

/// Copies the files of all secrets there are, under the names that these are given; returns how many, and their bytes.
pub(crate) fn copy_secrets(
    files: &Files,
    to: &dyn Storage,
    name_of: impl Fn([u8; 16]) -> FileName,
) -> Result<(u64, u64), Result<LogError, Failed>> {
    let (mut count, mut copied) = (0, 0);
    let listed = files
        .storage
        .list()
        .map_err(|source| Ok(LogError::Io { operation: "list", file: String::new(), offset: 0, source }))?;
    for name in listed {
        let (Some(FileName::Secret(id)) | Some(FileName::NewSecret(id))) = FileName::parse(&name) else {
            continue;
        };
        let mut found = None;
        for name in names(id) {
            match bytes_of(&*files.storage, &name) {
                Ok(bytes) => {
                    found = Some(bytes);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(Ok(LogError::Io { operation: "read", file: name, offset: 0, source }));
                }
            }
        }
        // Shredded, or refused, meanwhile.
        let Some(bytes) = found else { continue };
        let file = name_of(id).to_string();
        create_anew(to, &file).map_err(Err)?;
        write_all(to, &file, 0, &bytes).map_err(Failed::write("write", &file, 0)).map_err(Err)?;
        to.sync(&file).map_err(Failed::sync(&file)).map_err(Err)?;
        count += 1;
        copied += bytes.len() as u64;
    }
    Ok((count, copied))
}
