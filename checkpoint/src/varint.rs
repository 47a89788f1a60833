//! Numbers of as many bytes as they need: seven bits in each, the lowest first, the top bit set in all but the last.

use crate::columns::What;

const SHORT: What = "a column ends before its components";

/// A column that is being filled.
pub(crate) fn push(column: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        column.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    column.push((number & 0x7f) as u8);
}

/// A signed number, those near zero short.
pub(crate) fn zig_zag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

pub(crate) fn un_zig_zag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// A column, read from the front.
#[derive(Clone, Copy)]
pub(crate) struct Varints<'p>(pub(crate) &'p [u8]);

impl Varints<'_> {
    pub(crate) fn next(&mut self) -> Result<u64, What> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        if *first < 0x80 {
            return Ok(u64::from(*first));
        }
        let mut number = u64::from(first & 0x7f);
        for shift in (7..70).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if *byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number is longer than numbers are")
    }

    pub(crate) fn next_u32(&mut self) -> Result<u32, What> {
        u32::try_from(self.next()?).map_err(|_| "a number is larger than it may be")
    }

    pub(crate) fn next_usize(&mut self) -> Result<usize, What> {
        self.next_u32().map(|number| number as usize)
    }

    /// Passes numbers without looking at what they are: each ends with the first byte whose top bit is not set.
    pub(crate) fn pass(&mut self, mut count: usize) -> Result<(), What> {
        // Where fewer end in these bytes than are to be passed, one may reach beyond them: its end is still to come.
        while let Some((bytes, rest)) = self.0.split_first_chunk::<32>() {
            let ends = bytes.iter().filter(|byte| **byte < 0x80).count();
            if ends >= count {
                break;
            }
            (self.0, count) = (rest, count - ends);
        }
        while count > 0 {
            let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
            (self.0, count) = (rest, count - usize::from(*byte < 0x80));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Varints, push, un_zig_zag, zig_zag};

    #[test]
    fn every_number_comes_back() {
        let numbers = [0, 1, 127, 128, 300, 1 << 31, u64::from(u32::MAX), 1 << 56, u64::MAX - 1, u64::MAX];
        let mut column = Vec::new();
        numbers.iter().for_each(|number| push(&mut column, *number));
        let mut varints = Varints(&column);
        assert!(numbers.iter().all(|number| varints.next() == Ok(*number)));
        assert!(varints.next().is_err());
        for number in [0, -1, 1, i64::MIN, i64::MAX, -64, 63] {
            assert_eq!(un_zig_zag(zig_zag(number)), number);
        }
        assert_eq!(zig_zag(-1), 1);
    }

    #[test]
    fn numbers_that_are_passed_are_those_that_would_be_read() {
        let numbers: Vec<u64> = (0..300_u64).map(|at| 1 << (at * 7 % 60)).collect();
        let mut column = Vec::new();
        numbers.iter().for_each(|number| push(&mut column, *number));
        for count in 0..=numbers.len() {
            let mut varints = Varints(&column);
            varints.pass(count).unwrap();
            let rest: Vec<u64> = (count..numbers.len()).map(|_| varints.next().unwrap()).collect();
            assert_eq!((rest.as_slice(), varints.0.len()), (numbers.split_at(count).1, 0), "{count}");
        }
        assert!(Varints(&column).pass(numbers.len() + 1).is_err());
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(Varints(&[0x80]).next().is_err());
        assert!(Varints(&[0xff; 11]).next().is_err());
        assert!(Varints(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).next().is_err());
        assert!(Varints(&[0xff, 0xff, 0xff, 0xff, 0x1f]).next_u32().is_err());
    }
}
