//! The hash chain, and the name of a history.

use std::fmt;

/// The 16 random bytes that name a history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistoryId(pub [u8; 16]);

/// The hash of everything up to an entry: `chain(0)` = BLAKE3(history id, "flow-history chain 1"), `chain(n)` =
/// BLAKE3(chain(n-1), canonical bytes of entry n). It outlives file formats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// The chain before the first entry of a history.
    #[must_use]
    pub fn start(history: HistoryId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&history.0).update(b"flow-history chain 1");
        Self(hasher.finalize().into())
    }

    /// The chain after an entry.
    #[must_use]
    pub fn after(self, canonical_bytes: &[u8]) -> Self {
        // Entries are mostly shorter than two blocks: one call over one buffer beats two updates of a hasher, and clearing a
        // buffer of half a kilobyte would cost a tenth of hashing what mostly is in it.
        match canonical_bytes.len() {
            ..=96 => return self.after_short::<128>(canonical_bytes),
            97..=480 => return self.after_short::<512>(canonical_bytes),
            _ => {}
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(canonical_bytes);
        Self(hasher.finalize().into())
    }

    /// The chain after an entry that fits, together with the chain before it, a buffer of so many bytes.
    fn after_short<const BYTES: usize>(self, canonical_bytes: &[u8]) -> Self {
        let mut buffer = [0; BYTES];
        let used = 32 + canonical_bytes.len();
        let (head, tail) = buffer.split_at_mut(32);
        head.copy_from_slice(&self.0);
        if let Some(place) = tail.get_mut(..canonical_bytes.len()) {
            place.copy_from_slice(canonical_bytes);
        }
        Self(blake3::hash(buffer.get(..used).unwrap_or_default()).into())
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, HistoryId};

    #[test]
    fn is_the_hash_that_the_format_promises_at_every_length() {
        let start = Chain::start(HistoryId([7; 16]));
        let expected = blake3::hash(&[&[7; 16][..], b"flow-history chain 1"].concat());
        assert_eq!(start.0, *expected.as_bytes());
        for length in [0, 1, 31, 32, 95, 96, 97, 479, 480, 481, 5_000] {
            let bytes = vec![9; length];
            let expected = blake3::hash(&[&start.0[..], &bytes].concat());
            assert_eq!(start.after(&bytes).0, *expected.as_bytes(), "{length}");
        }
    }
}
