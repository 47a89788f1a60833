//! Why an operation does not fit a flow.

use std::fmt;

use crate::{ComponentId, Path, Slot};

/// An operation that cannot be applied. The flow is as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Misfit {
    /// Which operation of the change, counted from zero.
    pub operation: usize,
    /// The component that it is about.
    pub id: ComponentId,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// An Add of an id that exists.
    IdTaken,
    /// An id of 0 bytes, or of more than the limit.
    IdLength {
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A name of a kind, field or key that is over the limit.
    NameTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// An order key that is over the limit.
    OrderTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A Remove, Set or Move of an id that does not exist.
    Missing,
    /// A parent that does not exist.
    ParentMissing {
        /// The parent asked for.
        parent: ComponentId,
    },
    /// A parent that is the component itself or inside it.
    Cycle {
        /// The parent asked for.
        parent: ComponentId,
    },
    /// A Remove of a component that still contains others.
    HasChildren {
        /// One of them.
        child: ComponentId,
        /// How many there are.
        count: usize,
    },
    /// A path that leads through a value that is not there or has no inside.
    NoSuchPath {
        /// The path.
        path: Path,
    },
    /// Splices that were made of another text than stands at the path.
    OtherText {
        /// The path.
        path: Path,
    },
    /// A value whose content is over the limit.
    ValueTooLarge {
        /// The most bytes allowed.
        max: usize,
    },
    /// A value whose lists and maps are nested too deep.
    NestingTooDeep {
        /// The most levels allowed.
        max: usize,
    },
    /// A change of more operations, or more bytes, than fit an entry.
    ChangeTooLarge {
        /// The most allowed.
        max: usize,
    },
    /// A slot that is taken, or that was never given out.
    SlotTaken {
        /// The slot.
        slot: Slot,
    },
    /// A slot that was that of a component with another id.
    SlotOfAnother {
        /// The slot.
        slot: Slot,
    },
    /// No slot is left: the flow has held as many components as it ever may.
    TooManyComponents,
}

impl Misfit {
    pub(crate) fn new(id: &ComponentId, reason: Reason) -> Self {
        Self { operation: 0, id: id.clone(), reason }
    }

    /// The misfit of an operation, the first of its change until [`Misfit::at`] says otherwise.
    #[must_use]
    pub fn of(operation: &crate::Operation, reason: Reason) -> Self {
        Self::new(operation.id(), reason)
    }

    /// The same misfit, of the operation at this place.
    #[must_use]
    pub fn at(mut self, operation: usize) -> Self {
        self.operation = operation;
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An id can be as long as its sender likes; an error message cannot.
        let id: String = self.id.chars().take(80).collect();
        write!(f, "operation {} on component {id:?} does not fit: {}", self.operation, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::IdTaken => f.write_str("a component with this id exists"),
            Reason::IdLength { bytes, max } => write!(f, "its id has {bytes} bytes; 1 to {max} are allowed"),
            Reason::NameTooLong { bytes, max } => {
                write!(f, "a name in it has {bytes} bytes; {max} are allowed")
            }
            Reason::OrderTooLong { bytes, max } => {
                write!(f, "its order key has {bytes} bytes; {max} are allowed")
            }
            Reason::Missing => f.write_str("there is no component with this id"),
            Reason::ParentMissing { parent } => write!(f, "its parent {parent:?} does not exist"),
            Reason::Cycle { parent } => write!(f, "its parent {parent:?} would be inside it"),
            Reason::HasChildren { child, count } => {
                write!(
                    f,
                    "it still contains {count} components, {child:?} among them; remove or move them first"
                )
            }
            Reason::NoSuchPath { path } => write!(f, "there is no place {path} in its fields"),
            Reason::OtherText { path } => {
                write!(f, "at {path} stands another text than the one that was edited")
            }
            Reason::ValueTooLarge { max } => write!(f, "its value is larger than {max} bytes"),
            Reason::NestingTooDeep { max } => write!(f, "its value is nested deeper than {max} levels"),
            Reason::ChangeTooLarge { max } => {
                write!(f, "the change is larger than the {max} that one entry may hold; split it")
            }
            Reason::SlotTaken { slot } => write!(f, "its slot {} is not free", slot.0),
            Reason::SlotOfAnother { slot } => write!(f, "its slot {} was that of another component", slot.0),
            Reason::TooManyComponents => f.write_str("the flow has held as many components as it ever may"),
        }
    }
}

impl std::error::Error for Misfit {}
