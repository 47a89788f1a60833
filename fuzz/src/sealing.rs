//! Bytes as the file of a secret, beside a sound history that names it.

use std::sync::{Arc, LazyLock};

use flow_history::{At, Author, Component, Error, MemoryStorage, Options, SecretRef, Value};
use flow_history_tests::{Files, vault_key};

const PLAIN: &str = "correct horse battery staple";
/// Bytes of the checksum, which are the last.
const CHECKSUM_BYTES: usize = 16;

struct Vault {
    files: Files,
    /// The name of the file, and what leads to it.
    file: String,
    secret: SecretRef,
}

/// A history whose pump has a password. What it is sealed with comes from the system: the file is another in each process.
static VAULT: LazyLock<Option<Vault>> = LazyLock::new(|| {
    let storage = MemoryStorage::new();
    let history = Options::new().vault_keys(vault_key()).open_storage(Arc::new(storage.clone())).ok()?;
    let pump = Component::new("pump", "processor");
    history.change(&Author::user("alice"), "").add(pump).secret("pump", "password", PLAIN).append().ok()?;
    let pump = history.at(At::Head).ok()?.component("pump").ok()??;
    let Some(Value::Secret(secret)) = pump.get("password").cloned() else { return None };
    history.close().ok()?;
    let files = storage.files();
    let file = files.keys().find(|name| name.starts_with("secret-"))?.clone();
    Some(Vault { files, file, secret })
});

/// The sound file with these bytes over it, cut or lengthened by the first of them, and a checksum that matches.
pub(crate) fn flipped(bytes: &[u8]) -> Vec<u8> {
    let Some(vault) = &*VAULT else { return Vec::new() };
    let mut file = vault.files.get(&vault.file).cloned().unwrap_or_default();
    file.truncate(file.len().saturating_sub(CHECKSUM_BYTES));
    if let Some((first, flips)) = bytes.split_first() {
        let longer = usize::from(*first);
        file.resize(if longer < 128 { file.len() + longer } else { file.len() + 128 - longer }, 0);
        file.iter_mut().zip(flips).for_each(|(byte, flip)| *byte ^= flip);
    }
    let sum = blake3::hash(&file);
    file.extend(sum.as_bytes().iter().take(CHECKSUM_BYTES));
    file
}

/// Reads the secret from this file: an error, or what was sealed.
///
/// # Panics
/// Where something else is read.
pub(crate) fn read(file: Vec<u8>) {
    let Some(vault) = &*VAULT else { return };
    let mut files = vault.files.clone();
    files.insert(vault.file.clone(), file);
    let storage = MemoryStorage::with_files(files);
    let options = Options::new().vault_keys(vault_key());
    let Ok(history) = options.open_storage_read_only(Arc::new(storage)) else { return };
    let verified = history.verify();
    match history.secret(&vault.secret) {
        Ok(value) => assert_eq!(value.expose(), PLAIN.as_bytes(), "another secret"),
        // Under another name there is no such key, and what the key does not open may be sealed under another: `verify` warns.
        Err(Error::VaultKey { .. } | Error::WrongVaultKey { .. }) => {}
        Err(_) => assert!(verified.is_err(), "what verifies cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::{VAULT, flipped, read};

    #[test]
    fn nothing_flipped_is_the_sound_file_and_every_flip_is_noticed() {
        let vault = VAULT.as_ref().unwrap();
        let sound = vault.files.get(&vault.file).unwrap();
        assert_eq!(&flipped(&[]), sound);
        assert_eq!(&flipped(&[0, 0, 0]), sound);
        for at in 0..sound.len() - 16 {
            let mut bytes = vec![0; at + 2];
            bytes[at + 1] = 1;
            let file = flipped(&bytes);
            assert!(file.len() == sound.len() && file != *sound);
            read(file);
        }
    }
}
