//! Where fields stood in the components that were edited last.

use crate::Name;

const PLACES: usize = 64;

/// A guess for each of some names where it stands among the fields of a component: those of a kind have the same fields in
/// the same order, so that one look beats a walk over what are mostly as many cache lines. It is only ever a guess.
#[derive(Clone)]
pub(crate) struct Places([u8; PLACES]);

impl Default for Places {
    fn default() -> Self {
        Self([0; PLACES])
    }
}

impl Places {
    /// The guess for a name, to be set right.
    pub(crate) fn near(&mut self, name: &Name) -> &mut u8 {
        let bytes = name.as_bytes();
        let ends = [bytes.first(), bytes.get(bytes.len() / 2), bytes.last()];
        let mixed =
            ends.into_iter().flatten().fold(bytes.len(), |mixed, byte| mixed * 31 + usize::from(*byte));
        let Self(places) = self;
        &mut places[mixed % PLACES]
    }
}
