//! Integers, texts and fixed bytes as entries write them, for what is read without bincode.

/// Why bytes of a sealed segment are not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Broken(pub(crate) &'static str);

/// Adds an integer: below 251 one byte; else `fb` and 2 bytes, `fc` and 4, or `fd` and 8, the shortest that holds it.
pub(crate) fn put_integer(bytes: &mut Vec<u8>, value: u64) {
    if let Some(short) = u8::try_from(value).ok().filter(|short| *short < 251) {
        bytes.push(short);
    } else if let Ok(value) = u16::try_from(value) {
        bytes.push(251);
        bytes.extend(value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        bytes.push(252);
        bytes.extend(value.to_le_bytes());
    } else {
        bytes.push(253);
        bytes.extend(value.to_le_bytes());
    }
}

/// Reads from the front of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'b [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Broken("it ends early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    /// An integer in its only form: the shortest.
    pub(crate) fn integer(&mut self) -> Result<u64, Broken> {
        let (value, least) = match self.byte()? {
            251 => (u64::from(u16::from_le_bytes(self.fixed()?)), 251),
            252 => (u64::from(u32::from_le_bytes(self.fixed()?)), 1 << 16),
            253 => (u64::from_le_bytes(self.fixed()?), 1 << 32),
            short @ 0..251 => return Ok(short.into()),
            _ => return Err(Broken("an integer is of no known form")),
        };
        if value < least { Err(Broken("an integer is not in its shortest form")) } else { Ok(value) }
    }

    /// An integer that counts bytes or items in memory.
    pub(crate) fn count(&mut self) -> Result<usize, Broken> {
        self.narrow()
    }

    /// An integer of fewer bits.
    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, Broken> {
        T::try_from(self.integer()?).map_err(|_| Broken("a number is out of bounds"))
    }

    pub(crate) fn end(self) -> Result<(), Broken> {
        if self.0.is_empty() { Ok(()) } else { Err(Broken("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, put_integer};

    #[test]
    fn an_integer_has_one_form() {
        for value in [0, 250, 251, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut bytes = Vec::new();
            put_integer(&mut bytes, value);
            let mut reader = Reader(&bytes);
            assert_eq!((reader.integer(), reader.end()), (Ok(value), Ok(())));
        }
        for longer in
            [&[251, 250, 0][..], &[252, 255, 255, 0, 0], &[253, 1, 0, 0, 0, 0, 0, 0, 0], &[254], &[]]
        {
            assert!(Reader(longer).integer().is_err(), "{longer:?}");
        }
    }
}
