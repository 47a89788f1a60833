//! The vault: secrets, sealed outside the log, which names them and holds none.
//!
//! ```text
//! secret-ID.new.tmp   written, synced
//! secret-ID.new       renamed, directory synced; then the entry that names it is appended
//! secret-ID.sealed    renamed once that entry is durable
//! ```
//!
//! A crash leaves a `.new` file that no entry names, or that one names by now: whoever opens to write next looks at the
//! entries since it was sealed, of which there are few, and removes or renames it. So no entry ever names a file that is
//! not there, and opening never has to look through the whole log.
//!
//! To shred, the mark comes first: from then on nobody is given the secret, and a crash before the file is gone leaves
//! one that the next writer removes.

mod secret; // secrets and keys in memory
mod sealed; // a secret as bytes of a file
mod named; //  which secrets entries name, and what becomes of files that none does
mod files; //  finding, reading and removing the files

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_history_flow::{SecretRef, mistake};
use flow_history_replay::{Author, FileName, FlowVersionId, LogError, Mark, Marks, Seq, What};

pub use self::secret::{KEY_NAME_BYTES_MAX, KeyError, SECRET_BYTES_MAX, SecretValue, VaultKey, VaultKeys};

pub(crate) use self::files::{copy_secrets, set_aside, settle_aside, settle_copied};
pub(crate) use self::named::Named;
use self::sealed::{Random, Unopened};
use crate::files::Files;
use crate::storage::{Failed, replace_file};
use crate::sync::Mutex;
use crate::writer::Writer;
use crate::{Error, History};

/// The secrets of one history.
pub(crate) struct Vault {
    keys: Option<Arc<dyn VaultKeys>>,
    /// The secrets sealed by this handle whose files are not known to be named by a durable entry. Held by whoever renames
    /// or removes a file.
    new: Mutex<BTreeSet<[u8; 16]>>,
}

/// What looking at a secret's file found.
pub(crate) enum Soundness {
    /// It opened.
    Opened,
    /// Its checksum holds; there was no key to open it with.
    Unopened,
    /// As that, and why there was no key.
    NoKey(String),
}

impl Vault {
    pub(crate) fn new(keys: Option<Arc<dyn VaultKeys>>) -> Self {
        Self { keys, new: Mutex::default() }
    }

    fn keys(&self) -> Result<&dyn VaultKeys, Error> {
        self.keys.as_deref().ok_or(Error::NoVaultKeys)
    }

    /// What a secret would be known by, without a file.
    fn name(&self, files: &Files, value: &SecretValue) -> Result<SecretRef, Error> {
        let refused = |source| Error::VaultKey { key: None, source };
        let key = self.keys()?.newest().map_err(refused)?;
        Ok(SecretRef { id: [0; 16], tag: sealed::tag_of(&key, files.log()?.history(), value) })
    }

    /// Seals a secret; when this returns its file would survive a power cut.
    fn seal(&self, files: &Files, value: &SecretValue, durable: Seq) -> Result<SecretRef, Error> {
        let bytes = value.expose().len();
        if bytes > SECRET_BYTES_MAX {
            return Err(Error::SecretTooLarge { bytes, max: SECRET_BYTES_MAX });
        }
        let refused = |key: Option<&str>, source| Error::VaultKey { key: key.map(str::to_owned), source };
        let key = self.keys()?.newest().map_err(|source| refused(None, source))?;
        if key.name.is_empty() || key.name.len() > KEY_NAME_BYTES_MAX {
            let why = format!("the name of a key takes 1 to {KEY_NAME_BYTES_MAX} bytes");
            return Err(refused(Some(&key.name), why.into()));
        }
        let random = Random::draw()
            .map_err(|source| Error::io("draw random bytes for", files.place.clone(), 0, source))?;
        let history = files.log()?.history();
        let (secret, bytes) = sealed::seal(value, &key, (history, durable), &random)
            .ok_or(Error::SecretTooLarge { bytes, max: SECRET_BYTES_MAX })?;
        let file = FileName::NewSecret(secret.id).to_string();
        self.new.lock().insert(secret.id);
        if let Err(failed) = replace_file(&*files.storage, &file, &bytes) {
            self.forget(files, &[secret]);
            return Err(write_error(files, failed));
        }
        Ok(secret)
    }

    /// Removes files that were sealed for a change that was refused.
    pub(crate) fn forget(&self, files: &Files, secrets: &[SecretRef]) {
        let mut new = self.new.lock();
        for secret in secrets {
            if new.remove(&secret.id) {
                // Left behind it is collected when the history is opened next.
                let _ = files.storage.remove(&FileName::NewSecret(secret.id).to_string());
            }
        }
    }

    /// Notes that a durable entry names these.
    fn settle(&self, files: &Files, secrets: &[SecretRef]) {
        let mut new = self.new.lock();
        for secret in secrets {
            if new.remove(&secret.id) {
                // Not renamed, the next writer finds out that it is named.
                let _ = files::give_lasting_name(files, secret.id);
            }
        }
    }

    /// Opens the file of a secret.
    fn open(&self, files: &Files, secret: &SecretRef) -> Result<SecretValue, Error> {
        let keys = self.keys()?;
        let Some((file, sealed)) = files::read(files, secret.id)? else { return Err(Error::UnknownSecret) };
        if sealed.secret != *secret {
            return Err(Error::UnknownSecret);
        }
        let key = keys
            .named(&sealed.key)
            .map_err(|source| Error::VaultKey { key: Some(sealed.key.clone()), source })?;
        sealed.open(&key).map_err(|why| match why {
            Unopened::WrongKey => Error::WrongVaultKey { key: sealed.key.clone() },
            Unopened::Forged => {
                files.log_error(LogError::damaged(&file, 0, Some(sealed.sealed_at), What::PayloadChecksum))
            }
        })
    }

    /// Checks the file of a secret that an entry names.
    pub(crate) fn check(&self, files: &Files, secret: &SecretRef, by: Seq) -> Result<Soundness, Error> {
        let name = FileName::Secret(secret.id).to_string();
        let damaged = |file: &str, what| files.log_error(LogError::damaged(file, 0, Some(by), what));
        let (file, sealed) = match files::read(files, secret.id) {
            Ok(found) => found.ok_or_else(|| damaged(&name, What::Missing))?,
            Err(Error::Damaged { dir, mut damage }) => {
                damage.seq = Some(by);
                return Err(Error::Damaged { dir, damage });
            }
            Err(error) => return Err(error),
        };
        if sealed.secret != *secret {
            return Err(damaged(&file, What::Layout("the tag is not that of the entry")));
        }
        let Some(keys) = &self.keys else { return Ok(Soundness::Unopened) };
        let key = match keys.named(&sealed.key) {
            Ok(key) => key,
            Err(error) => return Ok(Soundness::NoKey(error.to_string())),
        };
        match sealed.open(&key) {
            Ok(_) => Ok(Soundness::Opened),
            Err(Unopened::WrongKey) => Ok(Soundness::NoKey(format!(
                "the key {:?} that the host gave is not the one that it was sealed under, or it was forged",
                sealed.key
            ))),
            Err(Unopened::Forged) => Err(damaged(&file, What::PayloadChecksum)),
        }
    }
}

/// What a change has to do with secrets.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// Those that it names.
    pub(crate) named: Vec<SecretRef>,
    /// Those that were sealed for it.
    pub(crate) sealed: Vec<SecretRef>,
    /// Whether it may turn out to repeat a request, so that it is not what was appended.
    pub(crate) may_repeat: bool,
}

impl History {
    /// Seals a secret, and returns what a field holds in its place. Once this returns, the sealed file would survive a
    /// power cut; until an entry names it, the next writer may remove it. Appends nothing. See docs/vault.md.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::NoVaultKeys`], [`Error::VaultKey`] with the host's cause, [`Error::SecretTooLarge`],
    /// [`Error::Full`] and [`Error::Io`]; nothing is left behind.
    pub fn seal_secret(&self, value: impl Into<SecretValue>) -> Result<SecretRef, Error> {
        let writer = self.writer()?;
        writer.check_holds_lock()?;
        self.vault().seal(self.files(), &value.into(), writer.durable())
    }

    /// The secret that a field holds a reference to.
    ///
    /// # Errors
    /// [`Error::SecretGone`] where it was shredded; [`Error::NoVaultKeys`], [`Error::VaultKey`] with the host's cause and
    /// [`Error::WrongVaultKey`], where it cannot be opened; [`Error::UnknownSecret`] where no such secret was ever sealed
    /// here, or its file is missing, which [`History::verify`] tells apart; [`Error::Damaged`] and [`Error::Io`].
    pub fn secret(&self, secret: &SecretRef) -> Result<SecretValue, Error> {
        self.check_not_shredded(secret)?;
        let opened = self.vault().open(self.files(), secret);
        if matches!(opened, Err(Error::UnknownSecret | Error::Damaged { .. })) {
            // It may have been shredded just now.
            self.files().forget_log();
            self.check_not_shredded(secret)?;
        }
        opened
    }

    /// Makes a secret unreadable for good: appends a mark that says who did it and when, then wipes and removes the sealed
    /// file with its wrapped key. Entries go on naming it, reading it answers [`Error::SecretGone`], and an undo that would
    /// bring it back brings back everything else and says so. Copies that were made before still have it.
    ///
    /// # Errors
    /// [`Error::SecretGone`] where it was shredded before; [`Error::UnknownSecret`]; those of [`History::mark`]. Where the
    /// file cannot be removed, [`Error::Io`]: the mark stands, nobody is given the secret, and the next call or the next
    /// writer removes the file.
    pub fn shred(&self, secret: &SecretRef, author: &Author) -> Result<FlowVersionId, Error> {
        let writer = self.writer()?;
        writer.check_holds_lock()?;
        let files = self.files();
        let marked = self.shredded_by(secret)?;
        match (files::exists(files, secret.id)?, marked) {
            (false, Some(mark)) => return Err(Error::SecretGone { mark }),
            (false, None) => return Err(Error::UnknownSecret),
            // An earlier call, or process, did not get to the end.
            (true, Some(mark)) => {
                files::wipe(&self.vault().new, files, secret.id)?;
                return self.find(mark);
            }
            (true, None) => {}
        }
        if let Ok(Some((_, sealed))) = files::read(files, secret.id)
            && sealed.secret != *secret
        {
            return Err(Error::UnknownSecret);
        }
        if mistake::is_made("a secret is wiped before a mark says so") {
            files::wipe(&self.vault().new, files, secret.id)?;
        }
        // ORDER: while there is no mark there is a file; once nobody can read it, everybody can see why.
        let version = self.mark(author, Mark::Shredded { secret: secret.id })?;
        writer.flush()?;
        files::wipe(&self.vault().new, files, secret.id)?;
        Ok(version)
    }

    /// Seals the secrets of a change; all of them or none. Those of a request that was taken before are told from others by
    /// their tags alone, and nothing is written.
    pub(crate) fn seal_secrets(
        &self,
        secrets: &[(usize, SecretValue)],
        is_repeated: bool,
    ) -> Result<Vec<SecretRef>, Error> {
        let mut sealed = Vec::with_capacity(secrets.len());
        for (_, value) in secrets {
            let next = match is_repeated {
                true => self.vault().name(self.files(), value),
                false => self.seal_secret(value.clone()),
            };
            match next {
                Ok(secret) => sealed.push(secret),
                Err(error) => {
                    self.vault().forget(self.files(), &sealed);
                    return Err(error);
                }
            }
        }
        Ok(sealed)
    }

    fn shredded_by(&self, secret: &SecretRef) -> Result<Option<Seq>, Error> {
        self.look_at_head(|state| state.marks.shredded.get(&secret.id).copied())
    }

    fn check_not_shredded(&self, secret: &SecretRef) -> Result<(), Error> {
        self.shredded_by(secret)?.map_or(Ok(()), |mark| Err(Error::SecretGone { mark }))
    }

    /// Refuses secrets that were shredded, or never sealed here.
    pub(crate) fn check_secrets(&self, secrets: &[SecretRef]) -> Result<(), Error> {
        for secret in secrets {
            self.check_not_shredded(secret)?;
            match files::read(self.files(), secret.id) {
                Ok(Some((_, sealed))) if sealed.secret == *secret => {}
                Ok(_) => return Err(Error::UnknownSecret),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Follows what became of a change that named secrets: once it is durable their files get their lasting names, and
    /// those that were sealed for one that was refused go.
    pub(crate) fn settle_secrets(&self, secrets: &Secrets, result: Result<FlowVersionId, &Error>) {
        let (vault, files) = (self.vault(), self.files());
        let version = match result {
            Ok(version) => version,
            // What became of the entry is not known, or the file may still be read by a later try: left to the next look.
            Err(Error::Full { .. } | Error::Io { .. } | Error::Poisoned { .. }) => return,
            Err(_) => return vault.forget(files, &secrets.sealed),
        };
        let Ok(writer) = self.writer() else { return };
        if !secrets.may_repeat && !writer.is_buffered() {
            return vault.settle(files, &secrets.named);
        }
        self.settle_later(secrets.clone(), version);
    }

    /// As [`History::settle_secrets`], once what was handed over is durable.
    pub(crate) fn settle_later(&self, secrets: Secrets, version: FlowVersionId) {
        let Ok(writer) = self.writer() else { return };
        let (vault, files) = (Arc::clone(self.vault()), Arc::clone(self.files()));
        let held = Arc::downgrade(writer);
        writer.background().at_leisure(move || {
            let Some(writer) = held.upgrade() else { return };
            if writer.flush().is_err() {
                return;
            }
            let Ok(named) = Named::between(&files, version.seq(), version.seq()) else { return };
            let is_named = |secret: &SecretRef| !named.lacks(&secret.id);
            let (settled, others): (Vec<_>, Vec<_>) = secrets.named.into_iter().partition(is_named);
            vault.settle(&files, &settled);
            // The request was taken before, with another file of the same secret.
            let sealed: Vec<_> =
                others.into_iter().filter(|secret| secrets.sealed.contains(secret)).collect();
            vault.forget(&files, &sealed);
        });
    }
}

/// Looks after the files of secrets of which nobody knows yet whether an entry names them, before the lock is let go of.
pub(crate) fn settle_before_closing(vault: &Vault, files: &Files, writer: &Writer) {
    if writer.check_holds_lock().is_err() || vault.new.lock().is_empty() || writer.flush().is_err() {
        return;
    }
    let (marks, head) = writer.to_plan_on(|state| (Arc::clone(&state.marks), state.seq));
    let mut new = vault.new.lock();
    files::collect(files, &marks, head);
    new.clear();
}

/// Removes what no entry names and what was shredded, where an earlier writer did not get to it.
pub(crate) fn collect(files: &Files, marks: &Marks, head: Seq) {
    files::collect(files, marks, head);
}

fn write_error(files: &Files, failed: Failed) -> Error {
    if !failed.sync && crate::error::is_full(&failed.source) {
        return Error::Full { path: files.place.join(&failed.file), source: failed.source };
    }
    Error::of_storage(&files.place, failed)
}
