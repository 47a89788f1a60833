//! How far the columns of a block were gone through. Who reads a few entries takes integers and texts out where they lie;
//! who goes on has many read together, which costs a tenth of it for each.

use super::column::{Integers, TOGETHER};
use super::grammar::{Ints, Texts};
use super::integer::Broken;
use super::stored::{EARLY, Stored};

/// So many are taken out of a column one by one before the next ones are read together: more than one entry, and those before it
/// up to the last point, mostly take.
const FEW: usize = 160;

/// The columns of a block, each gone through up to some place.
pub(crate) struct Cursors<'c> {
    columns: &'c Stored,
    ints: [IntCursor<'c>; Ints::COUNT],
    texts: [TextCursor<'c>; Texts::COUNT],
}

#[derive(Default)]
struct IntCursor<'c> {
    at: usize,
    taken: usize,
    /// Once something was taken.
    few: Option<&'c Integers>,
    /// Once much was taken, some of what comes, and where it begins.
    some: Vec<u64>,
    begin: usize,
}

#[derive(Default)]
struct TextCursor<'c> {
    at: usize,
    taken: usize,
    /// Once something was taken.
    bytes: Option<&'c [u8]>,
    /// Once much was taken, where all of the column is text.
    text: Option<&'c str>,
}

impl<'c> Cursors<'c> {
    /// Standing at the beginning.
    pub(crate) fn new(columns: &'c Stored) -> Self {
        let ints = std::array::from_fn(|_| IntCursor::default());
        Self { columns, ints, texts: std::array::from_fn(|_| TextCursor::default()) }
    }

    /// Goes to where so much of each column is behind.
    pub(crate) fn go_to(&mut self, used: &[usize]) {
        let ints = self.ints.iter_mut().map(|cursor| &mut cursor.at);
        let texts = self.texts.iter_mut().map(|cursor| &mut cursor.at);
        ints.chain(texts).zip(used).for_each(|(at, used)| *at = *used);
    }

    /// How much of each column is behind: integers first.
    pub(crate) fn used(&self) -> impl Iterator<Item = usize> {
        self.ints.iter().map(|cursor| cursor.at).chain(self.texts.iter().map(|cursor| cursor.at))
    }

    /// How many integers of a column are behind.
    pub(crate) fn used_of(&self, column: Ints) -> usize {
        self.ints.get(column as usize).map_or(0, |cursor| cursor.at)
    }

    /// The next integer of a column.
    #[inline]
    pub(crate) fn next(&mut self, column: Ints) -> Result<u64, Broken> {
        let cursor = self.ints.get_mut(column as usize).ok_or(EARLY)?;
        if let Some(value) = cursor.some.get(cursor.at.wrapping_sub(cursor.begin)) {
            cursor.at += 1;
            return Ok(*value);
        }
        self.next_of_few(column)
    }

    #[cold]
    fn next_of_few(&mut self, column: Ints) -> Result<u64, Broken> {
        let cursor = self.ints.get_mut(column as usize).ok_or(EARLY)?;
        let ints = match &mut cursor.few {
            Some(ints) => *ints,
            none => *none.insert(self.columns.ints(column)?),
        };
        let value = ints.get(cursor.at).ok_or(EARLY)?;
        cursor.at += 1;
        cursor.taken += 1;
        if cursor.taken >= FEW {
            cursor.begin = cursor.at;
            cursor.some = ints.some(cursor.at..cursor.at.saturating_add(TOGETHER));
        }
        Ok(value)
    }

    /// The next bytes of a column.
    #[inline]
    pub(crate) fn take(&mut self, count: usize, column: Texts) -> Result<&'c [u8], Broken> {
        let cursor = self.texts.get_mut(column as usize).ok_or(EARLY)?;
        let end = cursor.at.checked_add(count).ok_or(EARLY)?;
        let bytes = match cursor.bytes {
            Some(bytes) => bytes,
            None => *cursor.bytes.insert(self.columns.texts(column)?),
        };
        let taken = bytes.get(cursor.at..end).ok_or(EARLY)?;
        cursor.at = end;
        Ok(taken)
    }

    /// The next text of a column.
    #[inline]
    pub(crate) fn take_text(&mut self, count: usize, column: Texts) -> Result<&'c str, Broken> {
        let cursor = self.texts.get_mut(column as usize).ok_or(EARLY)?;
        if let Some(text) = cursor.text {
            let end = cursor.at.checked_add(count).ok_or(EARLY)?;
            let taken = text.get(cursor.at..end).ok_or(NO_TEXT)?;
            cursor.at = end;
            return Ok(taken);
        }
        self.take_text_of_few(count, column)
    }

    #[cold]
    fn take_text_of_few(&mut self, count: usize, column: Texts) -> Result<&'c str, Broken> {
        let taken = self.take(count, column)?;
        if let Some(cursor) = self.texts.get_mut(column as usize) {
            cursor.taken += 1;
            if cursor.taken == FEW {
                cursor.text = cursor.bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
            }
        }
        std::str::from_utf8(taken).map_err(|_| NO_TEXT)
    }

    /// Goes past bytes that nobody asks for.
    #[inline]
    pub(crate) fn pass(&mut self, count: usize, column: Texts) -> Result<(), Broken> {
        let cursor = self.texts.get_mut(column as usize).ok_or(EARLY)?;
        let end = cursor.at.checked_add(count).filter(|end| *end <= self.columns.texts_len(column));
        cursor.at = end.ok_or(EARLY)?;
        Ok(())
    }
}

pub(crate) const NO_TEXT: Broken = Broken("a text is none");
