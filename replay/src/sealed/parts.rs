//! The parts of entries for whoever wants what an entry does to the flow, and neither its header nor its bytes.

use super::cursors::NO_TEXT;
use super::grammar::{Ints, Passage, Texts};
use super::integer::{Broken, Reader};

/// A way through an entry that gives texts out where they lie.
pub(crate) trait Parts<'b>: Passage {
    /// Passes what stands between the extras of an entry and its body.
    fn pass_head(&mut self) -> Result<(), Broken>;

    /// So many bytes.
    fn take(&mut self, count: usize, column: Texts) -> Result<&'b [u8], Broken>;

    /// A length, and so many bytes.
    #[inline]
    fn take_bytes(&mut self, bytes: Ints, column: Texts) -> Result<&'b [u8], Broken> {
        let length = self.integer(bytes)?;
        self.take(length_of(length)?, column)
    }

    /// A length, and a text of so many bytes.
    #[inline]
    fn take_text(&mut self, bytes: Ints, column: Texts) -> Result<&'b str, Broken> {
        std::str::from_utf8(self.take_bytes(bytes, column)?).map_err(|_| NO_TEXT)
    }
}

#[inline]
pub(crate) fn length_of(length: u64) -> Result<usize, Broken> {
    usize::try_from(length).map_err(|_| Broken("a text is too long"))
}

/// The parts of an entry from its canonical bytes.
pub(crate) struct PlainParts<'b>(pub(crate) Reader<'b>);

impl Passage for PlainParts<'_> {
    fn literal(&mut self, byte: u8) -> Result<(), Broken> {
        if self.0.byte()? == byte { Ok(()) } else { Err(Broken("its encoding is not known")) }
    }

    #[inline]
    fn byte(&mut self, _: Ints) -> Result<u8, Broken> {
        self.0.byte()
    }

    #[inline]
    fn integer(&mut self, _: Ints) -> Result<u64, Broken> {
        self.0.integer()
    }

    #[inline]
    fn foretold(&mut self, _: Ints, _: u64) -> Result<u64, Broken> {
        self.0.integer()
    }

    #[inline]
    fn text(&mut self, bytes: Ints, column: Texts) -> Result<(), Broken> {
        self.take_bytes(bytes, column).map(drop)
    }

    #[inline]
    fn fixed(&mut self, count: usize, _: Texts) -> Result<(), Broken> {
        self.0.take(count).map(drop)
    }
}

impl<'b> Parts<'b> for PlainParts<'b> {
    #[inline]
    fn pass_head(&mut self) -> Result<(), Broken> {
        // Milliseconds, milliseconds behind, zone, author; the intent; how far back the units beneath lie.
        (0..4).try_for_each(|_| self.0.integer().map(drop))?;
        self.0.byte()?;
        (0..2).try_for_each(|_| self.0.integer().map(drop))
    }

    #[inline]
    fn take(&mut self, count: usize, _: Texts) -> Result<&'b [u8], Broken> {
        self.0.take(count)
    }
}
