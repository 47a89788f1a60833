//! Columns: the same thing of many entries side by side, each stored in the way that takes fewest bytes.
//!
//! ```text
//! integers := count | 0 for a count of 0, else: least | bits | if bits > 0: way | bytes | the bytes
//!   bits     that the largest less the least takes; 57 and more are written as 64
//!   way      0 packed: value less the least in so many bits, the lowest first, one behind the other, zeros to a whole byte
//!            1 zstd of planes: the lowest byte of each, then the next of each, as many as the bits take
//! texts    := bytes before compression | 0 for 0, else: way | bytes | the bytes
//!   way      0 as they are, 1 zstd
//! ```

use std::cell::RefCell;
use std::ops::Range;

use zstd::bulk::{Compressor, Decompressor};

use super::integer::{Broken, Reader, put_integer};
use crate::BLOCK_INFLATED_MAX;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Packed integers are read at any place without a pass over the others; zstd has to save more than 1 in this many.
const WORTH_ONE_IN: usize = 12;

/// So many integers are read together: more than most columns have, and a column that says it has very many takes no more memory.
pub(crate) const TOGETHER: usize = 4_096;

/// What compresses, and how much it may still compress of one block.
pub(crate) struct Deflate {
    compressor: Option<(Compressor<'static>, i32)>,
    left: usize,
}

impl Deflate {
    /// At this level of zstd; `None` to compress nothing.
    pub(crate) fn new(level: Option<i32>) -> Self {
        let compressor = level.and_then(|level| Some((Compressor::new(level).ok()?, level)));
        Self { compressor, left: BLOCK_INFLATED_MAX }
    }

    /// Begins another block.
    pub(crate) fn begin(&mut self) {
        self.begin_at_least(i32::MIN);
    }

    /// Begins another block, to be compressed at this level if that is higher than its own.
    pub(crate) fn begin_at_least(&mut self, level: i32) {
        self.left = BLOCK_INFLATED_MAX;
        if let Some((compressor, own)) = &mut self.compressor {
            // One that refuses stays at the level that it has.
            let _ = compressor.set_compression_level(level.max(*own));
        }
    }

    fn smaller(&mut self, bytes: &[u8], below: usize) -> Option<Vec<u8>> {
        let left = self.left.checked_sub(bytes.len())?;
        let smaller =
            self.compressor.as_mut()?.0.compress(bytes).ok().filter(|smaller| smaller.len() < below)?;
        self.left = left;
        Some(smaller)
    }
}

thread_local! {
    /// One for each thread: making one takes as long as inflating a block.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// How much may still be inflated of one block.
pub(crate) struct Inflate {
    left: usize,
}

impl Inflate {
    pub(crate) fn new() -> Self {
        Self { left: BLOCK_INFLATED_MAX }
    }

    /// Counts what is inflated, or will be when it is asked for.
    fn take(&mut self, inflated: usize) -> Result<(), Broken> {
        self.left = self.left.checked_sub(inflated).ok_or(Broken("it inflates to more than a block may"))?;
        Ok(())
    }
}

fn inflate(bytes: &[u8], inflated: usize) -> Result<Vec<u8>, Broken> {
    let out = DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(|_| Broken("zstd does not start"))?),
        };
        decompressor.decompress(bytes, inflated).map_err(|_| Broken("zstd does not inflate it"))
    })?;
    if out.len() == inflated { Ok(out) } else { Err(Broken("it inflates to another length")) }
}

/// Writes integers.
pub(crate) fn put_integers(bytes: &mut Vec<u8>, values: &[u64], deflate: &mut Deflate) {
    put_integer(bytes, values.len() as u64);
    let Some((least, most)) = values.iter().min().zip(values.iter().max()) else { return };
    put_integer(bytes, *least);
    let bits = match u64::BITS - (most - least).leading_zeros() {
        57.. => 64,
        bits => bits,
    };
    bytes.push(u8::try_from(bits).unwrap_or(64));
    if bits == 0 {
        return;
    }
    let packed = pack(values, *least, bits);
    let planes: Vec<u8> = (0..bits.div_ceil(8) as usize)
        .flat_map(|plane| values.iter().map(move |value| (value - least).to_le_bytes().get(plane).copied()))
        .flatten()
        .collect();
    let worth = packed.len() - packed.len() / WORTH_ONE_IN;
    put_bytes(bytes, &packed, deflate.smaller(&planes, worth).as_deref());
}

fn put_bytes(bytes: &mut Vec<u8>, plain: &[u8], smaller: Option<&[u8]>) {
    bytes.push(if smaller.is_some() { ZSTD } else { PLAIN });
    let stored = smaller.unwrap_or(plain);
    put_integer(bytes, stored.len() as u64);
    bytes.extend_from_slice(stored);
}

fn pack(values: &[u64], least: u64, bits: u32) -> Vec<u8> {
    let mut packed = Vec::with_capacity(packed_bytes(values.len(), bits).unwrap_or_default() + 8);
    let (mut held, mut count) = (0_u128, 0);
    for value in values {
        held |= u128::from(value - least) << count;
        count += bits;
        while count >= 8 {
            let [low, ..] = held.to_le_bytes();
            packed.push(low);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        let [low, ..] = held.to_le_bytes();
        packed.push(low);
    }
    packed
}

fn packed_bytes(count: usize, bits: u32) -> Option<usize> {
    count.checked_mul(bits as usize).map(|bits| bits.div_ceil(8))
}

/// Writes texts, one behind the other.
pub(crate) fn put_texts(bytes: &mut Vec<u8>, texts: &[u8], deflate: &mut Deflate) {
    put_integer(bytes, texts.len() as u64);
    if !texts.is_empty() {
        put_bytes(bytes, texts, deflate.smaller(texts, texts.len()).as_deref());
    }
}

/// What a column of integers says of itself, in front of its bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct IntegersShape {
    count: usize,
    least: u64,
    bits: u32,
    planes: bool,
}

impl IntegersShape {
    /// Reads what stands in front of the bytes, and passes them; what they inflate to is counted.
    pub(crate) fn read<'b>(
        reader: &mut Reader<'b>,
        inflate: &mut Inflate,
    ) -> Result<(Self, &'b [u8]), Broken> {
        let count = reader.count()?;
        if count == 0 {
            return Ok((Self::default(), &[]));
        }
        let (least, bits) = (reader.integer()?, u32::from(reader.byte()?));
        if bits > 64 || (57..64).contains(&bits) {
            return Err(Broken("integers of so many bits"));
        }
        if bits == 0 {
            return Ok((Self { count, least, ..Self::default() }, &[]));
        }
        let way = reader.byte()?;
        let stored = reader.count()?;
        let stored = reader.take(stored)?;
        let short = Broken("a column is not as long as it says");
        let shape = Self { count, least, bits, planes: way == ZSTD };
        match way {
            PLAIN if packed_bytes(count, bits) != Some(stored.len()) => Err(short),
            PLAIN => Ok((shape, stored)),
            ZSTD => {
                inflate.take(shape.planes_bytes().ok_or(short)?)?;
                Ok((shape, stored))
            }
            _ => Err(Broken("a column is stored in no known way")),
        }
    }

    fn planes_bytes(&self) -> Option<usize> {
        self.count.checked_mul(self.bits.div_ceil(8) as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// About the bytes that its integers take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.planes_bytes().unwrap_or_default()
    }

    /// The integers, from the bytes behind.
    pub(crate) fn open(self, stored: &[u8]) -> Result<Integers, Broken> {
        let bytes = if self.bits == 0 {
            Vec::new()
        } else if self.planes {
            inflate(stored, self.bytes())?
        } else {
            let mut bytes = Vec::with_capacity(stored.len() + 8);
            bytes.extend_from_slice(stored);
            bytes.extend([0; 8]);
            bytes
        };
        Ok(Integers { shape: self, bytes })
    }
}

/// Integers that were read, to look up by place.
#[derive(Clone, Default)]
pub(crate) struct Integers {
    shape: IntegersShape,
    /// Packed ones have eight zeros behind, so that each is read as one word.
    bytes: Vec<u8>,
}

impl Integers {
    pub(crate) fn read(reader: &mut Reader<'_>, inflate: &mut Inflate) -> Result<Self, Broken> {
        let (shape, stored) = IntegersShape::read(reader, inflate)?;
        shape.open(stored)
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.count
    }

    /// About the bytes that they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<u64> {
        let IntegersShape { count, least, bits, planes } = self.shape;
        if at >= count {
            return None;
        }
        if bits == 0 {
            return Some(least);
        }
        let above = if planes {
            let mut above = u64::from(*self.bytes.get(at)?);
            let mut place = at;
            for shift in (8..bits).step_by(8) {
                place += count;
                above |= u64::from(*self.bytes.get(place)?) << shift;
            }
            above
        } else {
            let bit = at * bits as usize;
            let word = self.bytes.get(bit / 8..bit / 8 + 8)?;
            let word = u64::from_le_bytes(word.try_into().ok()?) >> (bit % 8);
            if bits == 64 { word } else { word & ((1 << bits) - 1) }
        };
        Some(least.wrapping_add(above))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.len()).map_while(|at| self.get(at))
    }

    /// The first so many, for who looks at all of them: in one go, some ten times as fast as one by one.
    pub(crate) fn first(&self, upto: usize) -> Vec<u64> {
        self.some(0..upto)
    }

    /// As [`Integers::first`], those in a range, as far as there are any.
    pub(crate) fn some(&self, range: Range<usize>) -> Vec<u64> {
        let IntegersShape { count, least, bits, planes } = self.shape;
        let range = range.start.min(count)..range.end.min(count);
        if bits == 0 {
            return vec![least; range.len()];
        }
        if !planes {
            // As `get` does it, without asking for each what is the same for all.
            let mask = if bits == u64::BITS { u64::MAX } else { (1 << bits) - 1 };
            let value = |at: usize| {
                let bit = at * bits as usize;
                let bytes = self.bytes.get(bit / 8..).and_then(|bytes| bytes.first_chunk());
                let word = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
                least.wrapping_add((word >> (bit % 8)) & mask)
            };
            return range.map(value).collect();
        }
        let mut values = vec![least; range.len()];
        for (plane, shift) in self.bytes.chunks_exact(count).zip((0..bits).step_by(8)) {
            for (value, byte) in values.iter_mut().zip(plane.get(range.clone()).unwrap_or_default()) {
                *value = value.wrapping_add(u64::from(*byte) << shift);
            }
        }
        values
    }

    /// How often this stands in a range.
    pub(crate) fn count_of(&self, value: u64, range: Range<usize>) -> usize {
        let range = range.start.min(self.len())..range.end.min(self.len());
        let some = |begin: usize| self.some(begin..range.end.min(begin + TOGETHER));
        let counts = range
            .clone()
            .step_by(TOGETHER)
            .map(|begin| some(begin).iter().filter(|at| **at == value).count());
        counts.sum()
    }

    /// The places at which this stands, ascending.
    pub(crate) fn places_of(&self, value: u64) -> impl Iterator<Item = usize> {
        let IntegersShape { count, least, bits, planes } = self.shape;
        let above = value.checked_sub(least).filter(|above| u64::BITS - above.leading_zeros() <= bits);
        let [low, ..] = above.unwrap_or_default().to_le_bytes();
        let may_be = move |chunk: &Range<usize>| {
            // Most differ in the lowest byte, and bytes side by side are compared many at a time.
            let bytes = self.bytes.get(chunk.clone()).unwrap_or_default();
            !planes || bytes.iter().fold(false, |found, byte| found | (*byte == low))
        };
        let chunks = if above.is_some() { 0..count.div_ceil(64) } else { 0..0 };
        let chunks = chunks.map(move |chunk| chunk * 64..count.min(chunk * 64 + 64)).filter(may_be);
        chunks.flatten().filter(move |at| self.get(*at) == Some(value))
    }
}

/// What a column of texts says of itself, in front of its bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct TextsShape {
    length: usize,
    deflated: bool,
}

impl TextsShape {
    /// Reads what stands in front of the bytes, and passes them; what they inflate to is counted.
    pub(crate) fn read<'b>(
        reader: &mut Reader<'b>,
        inflate: &mut Inflate,
    ) -> Result<(Self, &'b [u8]), Broken> {
        let length = reader.count()?;
        if length == 0 {
            return Ok((Self::default(), &[]));
        }
        let way = reader.byte()?;
        let stored = reader.count()?;
        let stored = reader.take(stored)?;
        match way {
            PLAIN if stored.len() == length => Ok((Self { length, deflated: false }, stored)),
            ZSTD => {
                inflate.take(length)?;
                Ok((Self { length, deflated: true }, stored))
            }
            _ => Err(Broken("a column is stored in no known way")),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The texts, from the bytes behind.
    pub(crate) fn open(self, stored: &[u8]) -> Result<Vec<u8>, Broken> {
        if self.deflated { inflate(stored, self.length) } else { Ok(stored.to_vec()) }
    }
}

/// Reads texts.
pub(crate) fn read_texts(reader: &mut Reader<'_>, inflate: &mut Inflate) -> Result<Vec<u8>, Broken> {
    let (shape, stored) = TextsShape::read(reader, inflate)?;
    shape.open(stored)
}

#[cfg(test)]
mod tests {
    use super::{Deflate, Inflate, Integers, Reader, put_integers, put_texts, read_texts};

    #[test]
    fn a_column_is_read_back_whichever_way_it_was_stored() {
        let columns: [Vec<u64>; 9] = [
            vec![],
            vec![7],
            vec![9; 1_000],
            (0..1_000).collect(),
            (0..1_000_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 61_001).collect(),
            vec![u64::MAX, 0, 1],
            vec![1 << 56, 0, 3],
            (0..500).map(|at| at % 2).collect(),
            (0..500).map(|at| 1_000_000 + (at % 3) * 70_000).collect(),
        ];
        for level in [None, Some(3)] {
            let (mut deflate, mut bytes) = (Deflate::new(level), Vec::new());
            for column in &columns {
                put_integers(&mut bytes, column, &mut deflate);
                let texts: Vec<u8> = column.iter().flat_map(|value| value.to_le_bytes()).collect();
                put_texts(&mut bytes, &texts, &mut deflate);
            }
            let (mut reader, mut inflate) = (Reader(&bytes), Inflate::new());
            for column in &columns {
                let read = Integers::read(&mut reader, &mut inflate).unwrap();
                assert_eq!(read.iter().collect::<Vec<_>>(), *column);
                assert_eq!(read.first(usize::MAX), *column);
                assert_eq!(read.first(column.len() / 3), column[..column.len() / 3]);
                assert_eq!(
                    read.some(column.len() / 3..column.len() / 2),
                    column[column.len() / 3..column.len() / 2]
                );
                assert_eq!((read.len(), read.get(column.len())), (column.len(), None));
                for value in column.iter().take(20).copied().chain([0, 8, 1 << 20, u64::MAX]) {
                    let places: Vec<usize> = (0..column.len()).filter(|at| column[*at] == value).collect();
                    assert_eq!(read.places_of(value).collect::<Vec<_>>(), places, "{value}");
                }
                let texts: Vec<u8> = column.iter().flat_map(|value| value.to_le_bytes()).collect();
                assert_eq!(read_texts(&mut reader, &mut inflate).unwrap(), texts);
            }
            assert_eq!(reader.end(), Ok(()));
        }
    }
}
