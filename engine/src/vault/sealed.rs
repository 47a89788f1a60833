//! A secret as bytes of a file, and back. Only this file knows how they are encrypted.
//!
//! ```text
//! offset  bytes  secret
//!      0      8  magic "FhSecr1\n"
//!      8      2  format
//!     10      2  bytes of the key's name
//!     12      4  bytes of the sealed value
//!     16     16  history id
//!     32     16  secret id
//!     48      8  newest durable version when it was sealed: whatever names it comes later
//!     56     16  equality tag
//!     72     24  nonce: random
//!     96     48  data key: random, sealed under the host's key
//!    144         key's name
//!                value, sealed under the data key: its length (4), it, zeros up to a multiple of 64, 16 of the AEAD
//!                first 16 bytes of the BLAKE3 of everything before
//! ```
//!
//! All numbers are little-endian. Both seals are XChaCha20-Poly1305 with the nonce, and with bytes 0 to 72 and the key's
//! name as what is authenticated beside; their keys differ, so that they may share it. Keys for wrapping and for tags are
//! derived from the host's by BLAKE3, that for tags with the history's id, so that equal secrets of two histories do not
//! show.

use blake3::Hasher;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use flow_history_flow::SecretRef;
use flow_history_replay::{HistoryId, Seq, What};
use zeroize::{Zeroize, Zeroizing};

use super::secret::{KEY_NAME_BYTES_MAX, SECRET_BYTES_MAX, SecretValue, VaultKey};

const MAGIC: &[u8; 8] = b"FhSecr1\n";
pub(super) const FORMAT: u16 = 0;
/// Bytes that are authenticated, but for the key's name.
const TOLD_BYTES: usize = 72;
/// Where the sealed data key begins, and the bytes of it.
pub(super) const WRAPPED: (usize, usize) = (96, 48);
const HEADER_BYTES: usize = WRAPPED.0 + WRAPPED.1;
const CHECKSUM_BYTES: usize = 16;
const AEAD_BYTES: usize = 16;
/// The length of a secret shows in the size of its file no better than this.
const PADDED_TO: usize = 64;
/// The most bytes of such a file.
pub(super) const FILE_BYTES_MAX: usize =
    HEADER_BYTES + KEY_NAME_BYTES_MAX + 4 + SECRET_BYTES_MAX + PADDED_TO + AEAD_BYTES + CHECKSUM_BYTES;

const _: () = assert!(FILE_BYTES_MAX < 2 << 20);

/// What is written in a secret's file.
pub(super) struct Sealed {
    pub(super) history: HistoryId,
    pub(super) secret: SecretRef,
    pub(super) sealed_at: Seq,
    pub(super) key: String,
    told: Vec<u8>,
    nonce: [u8; 24],
    wrapped: Vec<u8>,
    value: Vec<u8>,
}

/// Why the bytes of a file cannot be read.
pub(super) enum Unread {
    /// A newer library wrote it, in this format.
    Newer(u16),
    /// They are damaged.
    Damaged(u64, What),
}

/// Why a sealed value does not open.
pub(super) enum Unopened {
    /// The host's key is not the one that it was sealed under.
    WrongKey,
    /// It was forged.
    Forged,
}

/// The keyed tag of a secret: equal secrets under one key in one history have equal tags.
pub(super) fn tag_of(key: &VaultKey, history: HistoryId, value: &SecretValue) -> [u8; 16] {
    let mut hasher = Hasher::new_derive_key("flow-history vault 1: equality");
    hasher.update(&*key.bytes).update(&history.0);
    let mut derived = hasher.finalize();
    let mut keyed = Hasher::new_keyed(derived.as_bytes());
    let hash = keyed.update(value.expose()).finalize();
    hasher.zeroize();
    keyed.zeroize();
    derived.zeroize();
    first_16(&hash)
}

fn wrapping_key(key: &VaultKey) -> Zeroizing<[u8; 32]> {
    let mut hasher = Hasher::new_derive_key("flow-history vault 1: wrapping");
    let mut derived = hasher.update(&*key.bytes).finalize();
    let key = Zeroizing::new(*derived.as_bytes());
    hasher.zeroize();
    derived.zeroize();
    key
}

fn first_16(hash: &blake3::Hash) -> [u8; 16] {
    let mut first = [0; 16];
    first.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    first
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// What everything that is random in a file is made of.
pub(super) struct Random {
    pub(super) id: [u8; 16],
    pub(super) nonce: [u8; 24],
    pub(super) data_key: Zeroizing<[u8; 32]>,
}

impl Random {
    /// From the system.
    pub(super) fn draw() -> Result<Self, std::io::Error> {
        let mut drawn = Self { id: [0; 16], nonce: [0; 24], data_key: Zeroizing::default() };
        let fill = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(std::io::Error::other);
        fill(&mut drawn.id)?;
        fill(&mut drawn.nonce)?;
        fill(&mut *drawn.data_key)?;
        Ok(drawn)
    }
}

/// The bytes of the file of a secret, and what entries call it; `None` where the cipher refuses, which it does for sizes
/// beyond the limits only.
pub(super) fn seal(
    value: &SecretValue,
    key: &VaultKey,
    (history, sealed_at): (HistoryId, Seq),
    random: &Random,
) -> Option<(SecretRef, Vec<u8>)> {
    let secret = SecretRef { id: random.id, tag: tag_of(key, history, value) };
    let length = u32::try_from(value.expose().len()).ok()?;
    let padded = (4 + value.expose().len()).next_multiple_of(PADDED_TO);
    // INVARIANT: large enough from the start, so that growing leaves no copy behind that is not wiped.
    let mut plain = Zeroizing::new(Vec::with_capacity(padded + AEAD_BYTES));
    plain.extend(length.to_le_bytes());
    plain.extend(value.expose());
    plain.resize(padded, 0);

    let mut bytes = Vec::with_capacity(FILE_BYTES_MAX.min(padded + 1_024));
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(u16::try_from(key.name.len()).ok()?.to_le_bytes());
    bytes.extend(u32::try_from(padded + AEAD_BYTES).ok()?.to_le_bytes());
    bytes.extend(history.0);
    bytes.extend(secret.id);
    bytes.extend(sealed_at.0.to_le_bytes());
    bytes.extend(secret.tag);
    let told = [bytes.as_slice(), key.name.as_bytes()].concat();

    let nonce = XNonce::from(random.nonce);
    let mut wrapped = Zeroizing::new(Vec::with_capacity(WRAPPED.1));
    wrapped.extend(random.data_key.iter());
    cipher(&wrapping_key(key)).encrypt_in_place(&nonce, &told, &mut *wrapped).ok()?;
    cipher(&random.data_key).encrypt_in_place(&nonce, &told, &mut *plain).ok()?;
    bytes.extend(random.nonce);
    bytes.extend(wrapped.iter());
    bytes.extend(key.name.as_bytes());
    bytes.extend(plain.iter());
    bytes.extend(first_16(&blake3::hash(&bytes)));
    Some((secret, bytes))
}

impl Sealed {
    /// What a file says, once its checksum holds.
    pub(super) fn read(file: &[u8]) -> Result<Self, Unread> {
        let too_short = || Unread::Damaged(file.len() as u64, What::TooShort);
        if file.get(..MAGIC.len()).ok_or_else(too_short)? != MAGIC {
            return Err(Unread::Damaged(0, What::Magic));
        }
        let held = file.len().checked_sub(CHECKSUM_BYTES).ok_or_else(too_short)?;
        let (bytes, checksum) = file.split_at(held);
        if first_16(&blake3::hash(bytes)) != *checksum {
            return Err(Unread::Damaged(0, What::Checksum));
        }
        let format = file.get(MAGIC.len()..).and_then(|rest| rest.first_chunk().copied());
        let format = u16::from_le_bytes(format.ok_or_else(too_short)?);
        if format > FORMAT {
            return Err(Unread::Newer(format));
        }
        let read = || {
            let mut rest = bytes.get(MAGIC.len()..)?;
            let mut take = |count: usize| {
                let (taken, left) = rest.split_at_checked(count)?;
                rest = left;
                Some(taken)
            };
            take(2)?;
            let name_bytes = usize::from(u16::from_le_bytes(take(2)?.try_into().ok()?));
            let value_bytes = usize::try_from(u32::from_le_bytes(take(4)?.try_into().ok()?)).ok()?;
            let history = HistoryId(take(16)?.try_into().ok()?);
            let id = take(16)?.try_into().ok()?;
            let sealed_at = Seq(u64::from_le_bytes(take(8)?.try_into().ok()?));
            let tag = take(16)?.try_into().ok()?;
            let nonce = take(24)?.try_into().ok()?;
            let wrapped = take(WRAPPED.1)?.to_vec();
            let key = std::str::from_utf8(take(name_bytes)?).ok()?.to_owned();
            let value = take(value_bytes)?.to_vec();
            let told = [bytes.get(..TOLD_BYTES)?, key.as_bytes()].concat();
            let secret = SecretRef { id, tag };
            rest.is_empty().then_some(Self { history, secret, sealed_at, key, told, nonce, wrapped, value })
        };
        read().ok_or(Unread::Damaged(MAGIC.len() as u64, What::Layout("the parts of a secret")))
    }

    /// Opens it.
    pub(super) fn open(&self, key: &VaultKey) -> Result<SecretValue, Unopened> {
        let nonce = XNonce::from(self.nonce);
        let mut data_key = Zeroizing::new(self.wrapped.clone());
        cipher(&wrapping_key(key))
            .decrypt_in_place(&nonce, &self.told, &mut *data_key)
            .map_err(|_| Unopened::WrongKey)?;
        let data_key: Zeroizing<[u8; 32]> =
            Zeroizing::new(data_key.as_slice().try_into().map_err(|_| Unopened::Forged)?);
        let mut plain = Zeroizing::new(self.value.clone());
        cipher(&data_key).decrypt_in_place(&nonce, &self.told, &mut *plain).map_err(|_| Unopened::Forged)?;
        let (length, rest) = plain.split_first_chunk::<4>().ok_or(Unopened::Forged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Unopened::Forged)?;
        let value = SecretValue::new(rest.get(..length).ok_or(Unopened::Forged)?.to_vec());
        if tag_of(key, self.history, &value) != self.secret.tag {
            return Err(Unopened::Forged);
        }
        Ok(value)
    }
}
