//! Seeded numbers that stay the same for ever: SplitMix64 (Steele, Lea and Flood, 2014).
//!
//! Written here because a stream is fixed by its bytes, and the crates for random numbers promise no such thing across
//! versions.

/// A generator of numbers that its seed determines.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound, which must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The product's high half: even enough, and without a division.
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// An index into something that has so many items, which must not be none.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// Lower-case letters, so many.
    pub fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or_default())).collect()
    }

    /// Lower-case letters, between 10 and 30.
    pub fn text(&mut self) -> String {
        let count = 10 + self.index(21);
        self.letters(count)
    }

    /// Sixteen random bytes as the text of 16 bytes that an id is: one letter or digit each.
    pub fn id(&mut self) -> String {
        const DIGITS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        (0..16).map(|_| char::from(DIGITS.get(self.index(64)).copied().unwrap_or(b'a'))).collect()
    }
}
