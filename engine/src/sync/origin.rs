//! The process that something was made in.

use std::process;

/// Knows the process that it was made in from children that were forked from it.
///
/// The C library counts forks, so that asking costs a look at a number; asking the system for the number of the process takes
/// as long as a tenth of an append. A child that was made behind the library's back is not noticed here.
pub(crate) struct Origin {
    id: u32,
    /// `None` where forks cannot be counted.
    forks: Option<forkguard::Guard>,
}

impl Origin {
    /// This process.
    pub(crate) fn here() -> Self {
        Self { id: process::id(), forks: forkguard::Guard::try_new().ok() }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Whether this is the process, as far as the C library knows.
    pub(crate) fn is_here(&self) -> bool {
        match &self.forks {
            Some(forks) => !forks.clone().detected_fork(),
            None => self.is_surely_here(),
        }
    }

    /// Whether this is the process. Asks the system.
    pub(crate) fn is_surely_here(&self) -> bool {
        process::id() == self.id
    }
}
