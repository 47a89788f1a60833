//! What is wrong with a file, as facts.

use std::{fmt, io};

use crate::Seq;

/// A place in a file that cannot be what was written there. Nothing is repaired by forgetting: what lies before it stays
/// readable.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
    /// The first entry that is lost with it, where that is known.
    pub seq: Option<Seq>,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum What {
    /// The file is not there, and others say that it must be.
    Missing,
    /// The file is shorter than what it must hold.
    TooShort,
    /// The bytes that open every file of this kind are not there.
    Magic,
    /// The checksum of a header does not match.
    HeaderChecksum,
    /// The checksum of a payload does not match.
    PayloadChecksum,
    /// A later part of the log vouches that a frame was durable here, and there is none.
    LostFrame,
    /// A number is outside its bounds.
    OutOfBounds(&'static str),
    /// The file belongs to another history.
    OtherHistory,
    /// The sequence numbers do not continue.
    Sequence,
    /// The hash chain does not continue.
    Chain,
    /// The bytes of an entry are not what an encoder writes.
    Encoding(String),
    /// An entry does not fit the flow before it.
    Misfit(String),
    /// The checksum of the file does not match what it says.
    Checksum,
    /// A part of a sealed segment is not built as such a part is, or its indexes are not those of its entries.
    Layout(&'static str),
    /// Something derived from the log is ahead of it: the log lost entries.
    LogIsShorter,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Missing => f.write_str("the file is missing"),
            What::TooShort => f.write_str("the file is too short"),
            What::Magic => f.write_str("it does not begin as such a file does"),
            What::HeaderChecksum => f.write_str("the checksum of a header does not match"),
            What::PayloadChecksum => f.write_str("the checksum of a frame's entries does not match"),
            What::LostFrame => f.write_str("a frame that was durable is not there"),
            What::OutOfBounds(what) => write!(f, "{what} is out of bounds"),
            What::OtherHistory => f.write_str("it belongs to another history"),
            What::Sequence => f.write_str("the sequence numbers do not continue"),
            What::Chain => f.write_str("the hash chain does not continue"),
            What::Encoding(why) => write!(f, "an entry is not encoded as entries are: {why}"),
            What::Misfit(why) => write!(f, "an entry does not fit the flow before it: {why}"),
            What::Checksum => f.write_str("the checksum does not match"),
            What::Layout(why) => write!(f, "it is not laid out as such a file is: {why}"),
            What::LogIsShorter => f.write_str("the log ends before something that was made from it"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at offset {}", self.file, self.offset)?;
        if let Some(seq) = self.seq {
            write!(f, ", version {seq}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a log cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The system refused.
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file; empty for the directory.
        file: String,
        /// Where in it.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// There is no history here.
    NotAHistory {
        /// What is here instead.
        found: &'static str,
    },
    /// The files are newer than this library.
    Unsupported {
        /// The file.
        file: String,
        /// Its format.
        found: u16,
        /// The newest format that this library reads.
        max: u16,
    },
    /// The version was pruned.
    Pruned {
        /// The oldest version that is kept.
        oldest: Seq,
    },
    /// A file is damaged.
    Damaged(Box<Damage>),
}

impl LogError {
    pub(crate) fn io(operation: &'static str, file: &str, offset: u64, source: io::Error) -> Self {
        Self::Io { operation, file: file.to_owned(), offset, source }
    }

    /// The error of a damaged file.
    #[must_use]
    pub fn damaged(file: &str, offset: u64, seq: Option<Seq>, what: What) -> Self {
        Self::Damaged(Box::new(Damage { file: file.to_owned(), offset, seq, what }))
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Io { operation, file, offset, .. } => {
                write!(f, "cannot {operation} {file} at offset {offset}")
            }
            LogError::NotAHistory { found } => write!(f, "there is no history here: {found}"),
            LogError::Unsupported { file, found, max } => {
                write!(f, "{file} has format {found}; this program reads up to {max}")
            }
            LogError::Pruned { oldest } => {
                write!(f, "the version was pruned; the oldest kept is {oldest}")
            }
            LogError::Damaged(damage) => fmt::Display::fmt(damage, f),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
