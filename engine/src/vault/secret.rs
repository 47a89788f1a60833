//! Secrets and keys while they are in memory, and where a host gives its keys.

use std::fmt;

use zeroize::Zeroizing;

/// The most bytes of a secret: a private key with its chain of certificates fits many times over.
pub const SECRET_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a key's name.
pub const KEY_NAME_BYTES_MAX: usize = 255;

/// A secret while it is in memory. It is wiped when this is dropped, and no way of printing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes. Whoever copies them has to wipe the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Its text, where it is one.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for SecretValue {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A key of the host: a name, which is written beside each secret that was sealed under it, and 32 bytes, which are
/// written nowhere.
#[derive(Clone)]
pub struct VaultKey {
    pub(super) name: String,
    pub(super) bytes: Zeroizing<[u8; 32]>,
}

impl VaultKey {
    /// A key. Its bytes are as good as random: derive them with a slow hash where all there is is a password.
    #[must_use]
    pub fn new(name: &str, bytes: [u8; 32]) -> Self {
        Self { name: name.to_owned(), bytes: Zeroizing::new(bytes) }
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a host could not give a key.
pub type KeyError = Box<dyn std::error::Error + Send + Sync>;

/// Where a host gives its keys. Asked each time that a secret is sealed or read; nothing is kept of what it says.
pub trait VaultKeys: Send + Sync {
    /// The key to seal under from now on.
    ///
    /// # Errors
    /// Why it cannot be had, for the caller of the history to see.
    fn newest(&self) -> Result<VaultKey, KeyError>;

    /// The key of this name, under which something was sealed.
    ///
    /// # Errors
    /// As [`VaultKeys::newest`].
    fn named(&self, name: &str) -> Result<VaultKey, KeyError>;
}

/// A host with one key that never changes.
impl VaultKeys for VaultKey {
    fn newest(&self) -> Result<VaultKey, KeyError> {
        Ok(self.clone())
    }

    fn named(&self, name: &str) -> Result<VaultKey, KeyError> {
        if name == self.name {
            return Ok(self.clone());
        }
        Err(format!("there is no key {name:?}; there is {:?}", self.name).into())
    }
}
