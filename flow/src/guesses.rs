//! What was found for a name the last time.

use crate::Name;

const GUESSES: usize = 64;

/// What was found for each of some names when it was looked for last: where it stands among the fields of a component, those of
/// a kind having the same fields in the same order; or which number it has. To compare one guess costs less than a walk over
/// what are mostly as many cache lines, or than hashing. It is only ever a guess: names may share one.
#[derive(Clone, Debug)]
pub struct Guesses<T>([T; GUESSES]);

impl<T: Copy + Default> Default for Guesses<T> {
    fn default() -> Self {
        Self([T::default(); GUESSES])
    }
}

impl<T> Guesses<T> {
    /// The guess for a name, to be set right.
    pub fn near(&mut self, name: &Name) -> &mut T {
        let bytes = name.as_bytes();
        let some = [bytes.first(), bytes.get(bytes.len() / 2), bytes.last()];
        let mixed =
            some.into_iter().flatten().fold(bytes.len(), |mixed, byte| mixed * 31 + usize::from(*byte));
        let Self(guesses) = self;
        &mut guesses[mixed % GUESSES]
    }
}
