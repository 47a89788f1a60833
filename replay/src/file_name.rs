//! The names of the files of a history.

use std::fmt;

/// What a file in the directory of a history is, by its name. Anything else there is none of ours and is left alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum FileName {
    /// Which history this is, and how far its log reaches.
    Identity,
    /// One file of the log, not compressed.
    RawSegment(u64),
    /// One file of the log, compressed and indexed; by the number of the last raw segment in it.
    SealedSegment(u64),
    /// The state before the segment of this number, where everything before it was pruned.
    Base(u64),
    /// A file that is prepared to become a segment.
    PoolSegment(u64),
    /// A flow at the version of this sequence number.
    Checkpoint(u64),
    /// A secret of this name, sealed, that an entry names.
    Secret([u8; 16]),
    /// A secret of this name, sealed, that an entry is about to name, or named just now.
    NewSecret([u8; 16]),
    /// What finds things.
    Catalog,
    /// What a writer holds locked.
    Lock,
    /// What is being written aside and is not yet what its name says.
    Temporary,
}

impl FileName {
    /// What a file of this name is; `None` where it is none of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let number = |prefix: &str, suffix: &str| {
            let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let all_digits = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u64>().ok().filter(|_| all_digits)
        };
        let secret = |suffix: &str| {
            let digits = name.strip_prefix("secret-")?.strip_suffix(suffix)?;
            let all_digits = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u128::from_str_radix(digits, 16).ok().filter(|_| all_digits).map(u128::to_be_bytes)
        };
        let parsed = match name {
            "history" => Some(Self::Identity),
            "catalog.redb" => Some(Self::Catalog),
            "lock" => Some(Self::Lock),
            // Only what we write aside ourselves is ours to remove.
            _ => name.strip_suffix(".tmp").and_then(Self::parse).and_then(|aside| match aside {
                Self::Identity
                | Self::Catalog
                | Self::Checkpoint(_)
                | Self::SealedSegment(_)
                | Self::Base(_)
                | Self::NewSecret(_) => Some(Self::Temporary),
                _ => None,
            }),
        };
        parsed
            .or_else(|| number("segment-", ".raw").map(Self::RawSegment))
            .or_else(|| number("segment-", ".sealed").map(Self::SealedSegment))
            .or_else(|| number("base-", ".state").map(Self::Base))
            .or_else(|| number("pool-", ".raw").map(Self::PoolSegment))
            .or_else(|| number("checkpoint-", ".pages").map(Self::Checkpoint))
            .or_else(|| secret(".sealed").map(Self::Secret))
            .or_else(|| secret(".new").map(Self::NewSecret))
            // A number written in another way than ours would be a second name for the same file.
            .filter(|parsed| *parsed == Self::Temporary || parsed.to_string() == name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("history"),
            Self::RawSegment(number) => write!(f, "segment-{number:010}.raw"),
            Self::SealedSegment(number) => write!(f, "segment-{number:010}.sealed"),
            Self::Base(number) => write!(f, "base-{number:010}.state"),
            Self::PoolSegment(number) => write!(f, "pool-{number:010}.raw"),
            Self::Checkpoint(seq) => write!(f, "checkpoint-{seq:015}.pages"),
            Self::Secret(id) => write!(f, "secret-{:032x}.sealed", u128::from_be_bytes(*id)),
            Self::NewSecret(id) => write!(f, "secret-{:032x}.new", u128::from_be_bytes(*id)),
            Self::Catalog => f.write_str("catalog.redb"),
            Self::Lock => f.write_str("lock"),
            Self::Temporary => f.write_str("*.tmp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileName;

    #[test]
    fn a_name_is_read_back_as_what_it_was_written_for() {
        use FileName::{
            Catalog, Checkpoint, Identity, Lock, NewSecret, PoolSegment, RawSegment, SealedSegment, Secret,
        };
        for name in [
            Identity,
            Catalog,
            Lock,
            RawSegment(1),
            RawSegment(u64::MAX),
            SealedSegment(3),
            PoolSegment(2),
            Checkpoint(77),
            Secret([0xab; 16]),
            NewSecret([0; 16]),
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for aside in [
            "history.tmp",
            "segment-0000000001.sealed.tmp",
            "secret-000102030405060708090a0b0c0d0e0f.new.tmp",
        ] {
            assert_eq!(FileName::parse(aside), Some(FileName::Temporary));
        }
        for name in [
            "",
            "thesis.tmp",
            "lock.tmp",
            "History",
            "segment-1.raw",
            "segment-00000000001.raw",
            "segment-0000000001.raw.tmp",
            "segment-00000000001.sealed",
            "segment-+000000001.raw",
            "secret-00.new",
            "secret-000102030405060708090A0B0C0D0E0F.new",
            "secret-+00102030405060708090a0b0c0d0e0f.new",
            "secret-000102030405060708090a0b0c0d0e0f.sealed.tmp",
            ".DS_Store",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
