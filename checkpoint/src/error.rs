//! Why a checkpoint cannot be written or read.

use std::{fmt, io};

use flow_history_flow::{ComponentId, Misfit, Slot};

/// A checkpoint that cannot be written or read.
///
/// A checkpoint is derived: whatever is wrong with one, an older one or a replay of the log gives the same flow.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be read. Trying again may help.
    Io {
        /// What was being read.
        part: Part,
        /// Where it lies in the file.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin as a checkpoint does.
    NotACheckpoint,
    /// The file is of a layout that this program does not know, most likely a later one.
    UnknownLayout {
        /// Its layout number.
        found: u32,
        /// The one that this program reads and writes.
        known: u32,
    },
    /// The bytes are not those that were written.
    Damaged {
        /// Which part of the file.
        part: Part,
        /// Where the part lies in the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A page lies in the file of an earlier checkpoint, which is not at hand.
    FileMissing {
        /// The sequence number of the earlier checkpoint.
        sequence: u64,
    },
    /// A component is inside one that the checkpoint does not hold.
    ParentMissing {
        /// The slot of the component.
        slot: Slot,
        /// The parent that it names.
        parent: ComponentId,
    },
    /// A component is inside itself, by way of its parents.
    Cycle {
        /// The slot of the component.
        slot: Slot,
    },
    /// A component does not fit the flow, for another reason than its parent.
    Misfit {
        /// Its slot.
        slot: Slot,
        /// Why.
        source: Misfit,
    },
    /// The flow, or the attachment, is more than a checkpoint holds.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The component, where it is one.
        id: Option<ComponentId>,
        /// The most that fits, in bytes or pages.
        max: usize,
    },
    /// A component holds a value of a kind that this layout has no place for.
    UnknownValue {
        /// The component.
        id: ComponentId,
    },
    /// The compressor failed; it has no reason to.
    Compression {
        /// What it said.
        source: io::Error,
    },
}

/// A part of a checkpoint file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Part {
    /// The header, and the extent of the file that it states.
    Header,
    /// The page directory.
    Directory,
    /// A page, counted from zero.
    Page(u32),
    /// A page, counted from zero, that lies in the file of an earlier checkpoint.
    SharedPage {
        /// The number of the page.
        page: u32,
        /// The sequence number of the checkpoint whose file it lies in.
        sequence: u64,
    },
    /// The attachment.
    Attachment,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Header => f.write_str("header"),
            Part::Directory => f.write_str("page directory"),
            Part::Page(number) => write!(f, "page {number}"),
            Part::SharedPage { page, sequence } => {
                write!(f, "page {page}, which lies in the file of version {sequence},")
            }
            Part::Attachment => f.write_str("attachment"),
        }
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { part, offset, .. } => {
                write!(f, "reading the {part} of a checkpoint at offset {offset} failed")
            }
            Self::NotACheckpoint => f.write_str("the file is not a checkpoint"),
            Self::UnknownLayout { found, known } => {
                write!(f, "the checkpoint has layout {found}; this program knows layout {known}")
            }
            Self::Damaged { part, offset, what } => {
                write!(f, "the {part} of a checkpoint at offset {offset} is damaged: {what}")
            }
            Self::FileMissing { sequence } => {
                write!(f, "the checkpoint shares pages with that of version {sequence}, which is missing")
            }
            Self::ParentMissing { slot, parent } => {
                write!(
                    f,
                    "the component in slot {} is inside {parent:?}, which is not in the checkpoint",
                    slot.0
                )
            }
            Self::Cycle { slot } => write!(f, "the component in slot {} is inside itself", slot.0),
            Self::Misfit { slot, .. } => write!(f, "the component in slot {} does not fit the flow", slot.0),
            Self::TooLarge { what, id: Some(id), max } => {
                write!(f, "{what} of component {id:?} is over the {max} that a checkpoint holds")
            }
            Self::TooLarge { what, id: None, max } => {
                write!(f, "{what} is over the {max} that a checkpoint holds")
            }
            Self::UnknownValue { id } => {
                write!(f, "component {id:?} holds a value of a kind that a checkpoint has no place for")
            }
            Self::Compression { .. } => f.write_str("compressing a checkpoint failed"),
        }
    }
}

impl std::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Compression { source } => Some(source),
            Self::Misfit { source, .. } => Some(source),
            _ => None,
        }
    }
}
