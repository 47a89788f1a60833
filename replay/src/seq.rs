//! The sequence number of an entry.

use std::fmt;

use crate::SEQ_MAX;

/// The place of an entry in its history, counted from 1; version 0 is the empty flow. Orders, and never repeats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first entry.
    pub const ZERO: Seq = Seq(0);

    /// The sequence number after this one; `None` past the last that a version ID can hold.
    #[must_use]
    pub fn next(self) -> Option<Seq> {
        (self.0 < SEQ_MAX).then(|| Seq(self.0 + 1))
    }

    /// The sequence number before this one; `None` before version 0.
    #[must_use]
    pub fn previous(self) -> Option<Seq> {
        self.0.checked_sub(1).map(Seq)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for Seq {
    fn from(seq: u64) -> Self {
        Seq(seq)
    }
}
