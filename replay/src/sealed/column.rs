//! Columns: the same thing of many entries side by side, each stored in the way that takes fewest bytes.
//!
//! ```text
//! integers := count | 0 for a count of 0, else: least | bits | if bits > 0: way + 8 zeros | bytes | the bytes
//!   zeros    that all values less the least end in: what is left of them without is what is stored
//!   bits     that the largest of these takes; 57 and more are written as 64
//!   way      0 packed: in so many bits, the lowest first, one behind the other, zeros to a whole byte
//!            1 zstd of planes: the lowest byte of each, then the next of each, as many as the bits take
//!            2 packed in fewer bits, with exceptions (few.rs)
//!            3 how far back the same stands (recurring.rs)
//!            4 no bytes: it follows from the shapes of the entries (shapes.rs)
//! texts    := bytes before compression | 0 for 0, else: way | bytes | the bytes
//!   way      0 as they are, 1 zstd
//! ```
//!
//! In memory there are two ways, packed and planes: what is stored in another is made planes when it is opened.

use std::cell::RefCell;
use std::ops::Range;

use zstd::bulk::{Compressor, Decompressor};

use super::few;
use super::integer::{Broken, Reader, put_integer};
use super::recurring;
use crate::BLOCK_INFLATED_MAX;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Packed integers are read at any place without a pass over the others; another way has to save more than 1 byte in this many.
const WORTH_ONE_IN: usize = 12;
/// The way stands in the lowest bits of its byte, how many zeros are left out in those above.
const WAY_BITS: u32 = 3;
/// Most zeros that are left out.
const ZEROS_MAX: u32 = 31;

/// How the integers of a column are stored.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    #[default]
    Packed,
    Planes,
    Few,
    Recurring,
    Shapes,
}

impl Way {
    const ALL: [Self; 5] = [Self::Packed, Self::Planes, Self::Few, Self::Recurring, Self::Shapes];
}

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

    /// Whether it compresses at all.
    pub(crate) fn compresses(&self) -> bool {
        self.compressor.is_some()
    }

    /// Does what may be thrown away: what is counted meanwhile is not.
    pub(crate) fn on_trial<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let left = self.left;
        let result = act(self);
        self.left = left;
        result
    }

    /// Whether so much may still be inflated.
    pub(crate) fn may(&self, inflated: usize) -> bool {
        inflated <= self.left
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

/// Integers without what all of them have in common.
pub(crate) struct Above {
    pub(crate) values: Vec<u64>,
    least: u64,
    /// Zeros that all of them end in, which are left out.
    zeros: u32,
    /// That the largest takes.
    pub(crate) bits: u32,
}

impl Above {
    pub(crate) fn new(values: &[u64]) -> Self {
        let least = values.iter().min().copied().unwrap_or_default();
        let any = values.iter().fold(0, |any, value| any | (value - least));
        let zeros = if any == 0 { 0 } else { any.trailing_zeros().min(ZEROS_MAX) };
        let bits = match u64::BITS - (any >> zeros).leading_zeros() {
            57.. => 64,
            bits => bits,
        };
        // In 64 bits nothing is left out, so that a value takes its place as a whole.
        let zeros = if bits == 64 { 0 } else { zeros };
        Self { values: values.iter().map(|value| (value - least) >> zeros).collect(), least, zeros, bits }
    }

    /// Writes them as they are stored; `None` for those that follow from shapes.
    fn put(&self, bytes: &mut Vec<u8>, stored: Option<(Way, &[u8])>) {
        put_integer(bytes, self.values.len() as u64);
        if self.values.is_empty() {
            return;
        }
        put_integer(bytes, self.least);
        bytes.push(u8::try_from(self.bits).unwrap_or(64));
        if self.bits > 0 {
            let (way, stored) = stored.unwrap_or((Way::Shapes, &[]));
            bytes.push(way as u8 | u8::try_from(self.zeros << WAY_BITS).unwrap_or_default());
            put_integer(bytes, stored.len() as u64);
            bytes.extend_from_slice(stored);
        }
    }
}

fn planes(values: &[u64], bits: u32) -> Vec<u8> {
    let plane = |plane: usize| values.iter().filter_map(move |value| value.to_le_bytes().get(plane).copied());
    (0..bits.div_ceil(8) as usize).flat_map(plane).collect()
}

/// Writes integers, packed or in planes.
pub(crate) fn put_integers(bytes: &mut Vec<u8>, values: &[u64], deflate: &mut Deflate) {
    let above = Above::new(values);
    let (way, stored) = packed_or_planes(&above, deflate);
    above.put(bytes, Some((way, &stored)));
}

/// As [`put_integers`], of a column of a block with room for what opening it takes: or in another way where that takes less.
pub(crate) fn put_column(bytes: &mut Vec<u8>, values: &[u64], deflate: &mut Deflate) {
    put_in_some_way(bytes, values, deflate, &[(Way::Few, few::put)]);
}

/// As [`put_column`], of values that are expected to come again soon.
pub(crate) fn put_recurring_column(bytes: &mut Vec<u8>, values: &[u64], deflate: &mut Deflate) {
    put_in_some_way(bytes, values, deflate, &[(Way::Few, few::put), (Way::Recurring, recurring::put)]);
}

type Put = fn(&Above, &mut Deflate) -> Vec<u8>;

fn put_in_some_way(bytes: &mut Vec<u8>, values: &[u64], deflate: &mut Deflate, others: &[(Way, Put)]) {
    let above = Above::new(values);
    let (mut way, mut stored) = packed_or_planes(&above, deflate);
    for (other, put) in others.iter().filter(|_| above.bits > 0) {
        // What is inside is inflated when the column is opened, and counted then.
        let bytes = deflate.on_trial(|deflate| put(&above, deflate));
        if bytes.len() < worth(stored.len()) {
            (way, stored) = (*other, bytes);
        }
    }
    above.put(bytes, Some((way, &stored)));
}

/// What another way has to take less than.
pub(crate) fn worth(bytes: usize) -> usize {
    bytes - bytes / WORTH_ONE_IN
}

/// What integers take while they are made planes.
pub(crate) fn opening(count: usize) -> usize {
    count.saturating_mul(size_of::<u64>())
}

/// What is stored of integers that follow from the shapes of the entries: what they have in common.
pub(crate) fn of_shapes(values: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Above::new(values).put(&mut bytes, None);
    bytes
}

fn packed_or_planes(above: &Above, deflate: &mut Deflate) -> (Way, Vec<u8>) {
    let packed = pack(&above.values, above.bits);
    let planes = || planes(&above.values, above.bits);
    match (deflate.compresses() && above.bits > 0)
        .then(|| deflate.smaller(&planes(), worth(packed.len())))
        .flatten()
    {
        Some(smaller) => (Way::Planes, smaller),
        None => (Way::Packed, packed),
    }
}

/// The lowest bits of each, one behind the other.
pub(crate) fn pack(values: &[u64], bits: u32) -> Vec<u8> {
    let mask = mask(bits);
    let mut packed = Vec::with_capacity(packed_bytes(values.len(), bits).unwrap_or_default() + 8);
    let (mut held, mut count) = (0_u128, 0);
    for value in values {
        held |= u128::from(value & mask) << count;
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

fn mask(bits: u32) -> u64 {
    1_u64.checked_shl(bits).map_or(u64::MAX, |above| above - 1)
}

pub(crate) fn packed_bytes(count: usize, bits: u32) -> Option<usize> {
    count.checked_mul(bits as usize).map(|bits| bits.div_ceil(8))
}

/// Writes texts, one behind the other.
pub(crate) fn put_texts(bytes: &mut Vec<u8>, texts: &[u8], deflate: &mut Deflate) {
    put_integer(bytes, texts.len() as u64);
    if !texts.is_empty() {
        let smaller = deflate.smaller(texts, texts.len());
        bytes.push(if smaller.is_some() { ZSTD } else { PLAIN });
        let stored = smaller.as_deref().unwrap_or(texts);
        put_integer(bytes, stored.len() as u64);
        bytes.extend_from_slice(stored);
    }
}

/// What a column of integers says of itself, in front of its bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct IntegersShape {
    count: usize,
    least: u64,
    zeros: u32,
    bits: u32,
    way: Way,
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
        let way_and_zeros = reader.byte()?;
        let way = Way::ALL.get(usize::from(way_and_zeros % (1 << WAY_BITS)));
        let way = *way.ok_or(Broken("a column is stored in no known way"))?;
        let zeros = u32::from(way_and_zeros >> WAY_BITS);
        if bits + zeros > u64::BITS {
            return Err(Broken("integers of so many bits"));
        }
        let stored = reader.count()?;
        let stored = reader.take(stored)?;
        let short = Broken("a column is not as long as it says");
        let shape = Self { count, least, zeros, bits, way };
        match way {
            Way::Packed if packed_bytes(count, bits) != Some(stored.len()) => return Err(short),
            Way::Packed => {}
            Way::Planes => inflate.take(shape.planes_bytes().ok_or(short)?)?,
            Way::Few | Way::Recurring | Way::Shapes => inflate.take(opening(count))?,
        }
        Ok((shape, stored))
    }

    /// As [`IntegersShape::read`], of integers that are packed or in planes, as all are that are no column of entries.
    pub(crate) fn read_simple<'b>(
        reader: &mut Reader<'b>,
        inflate: &mut Inflate,
    ) -> Result<(Self, &'b [u8]), Broken> {
        let (shape, stored) = Self::read(reader, inflate)?;
        match shape.way {
            Way::Packed | Way::Planes => Ok((shape, stored)),
            Way::Few | Way::Recurring | Way::Shapes => Err(Broken("integers are stored as only columns are")),
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

    /// Whether the integers follow from the shapes of the entries.
    pub(crate) fn is_of_shapes(&self) -> bool {
        self.way == Way::Shapes
    }

    /// The integers, from the bytes behind.
    pub(crate) fn open(self, stored: &[u8]) -> Result<Integers, Broken> {
        let bytes = match self.way {
            _ if self.bits == 0 => Vec::new(),
            Way::Packed => padded(stored),
            Way::Planes => inflate(stored, self.bytes())?,
            Way::Few => return self.of_above(&few::read(stored, self.count, self.bits)?),
            Way::Recurring => return self.of_above(&recurring::read(stored, self.count)?),
            Way::Shapes => return Err(Broken("a column follows from shapes that are not there")),
        };
        Ok(Integers { shape: self, bytes })
    }

    /// These integers.
    pub(crate) fn of(self, values: impl Iterator<Item = u64>) -> Result<Integers, Broken> {
        let above = |value: u64| value.checked_sub(self.least).filter(|above| above & mask(self.zeros) == 0);
        let above = values.map(|value| above(value).map(|above| above >> self.zeros));
        self.of_above(&above.collect::<Option<Vec<_>>>().ok_or(NOT_THESE)?)
    }

    fn of_above(self, above: &[u64]) -> Result<Integers, Broken> {
        if above.len() != self.count || above.iter().any(|value| value & !mask(self.bits) != 0) {
            return Err(NOT_THESE);
        }
        Ok(Integers { shape: Self { way: Way::Planes, ..self }, bytes: planes(above, self.bits) })
    }
}

const NOT_THESE: Broken = Broken("a column holds other integers than it says");

/// Packed integers with eight zeros behind, so that each is read as one word.
fn padded(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packed.len() + 8);
    bytes.extend_from_slice(packed);
    bytes.extend([0; 8]);
    bytes
}

/// So many integers of so many bits, from where they are packed.
pub(crate) fn unpack(packed: &[u8], count: usize, bits: u32) -> Result<Integers, Broken> {
    if packed_bytes(count, bits) != Some(packed.len()) || bits > 56 {
        return Err(Broken("a column is not as long as it says"));
    }
    let shape = IntegersShape { count, bits, ..IntegersShape::default() };
    shape.open(packed)
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
        let (shape, stored) = IntegersShape::read_simple(reader, inflate)?;
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
        let IntegersShape { count, least, zeros, bits, way } = self.shape;
        if at >= count {
            return None;
        }
        if bits == 0 {
            return Some(least);
        }
        let above = if way == Way::Planes {
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
            word & mask(bits)
        };
        Some(least.wrapping_add(above << zeros))
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
        let IntegersShape { count, least, zeros, bits, way } = self.shape;
        let range = range.start.min(count)..range.end.min(count);
        if bits == 0 {
            return vec![least; range.len()];
        }
        if way == Way::Packed {
            // As `get` does it, without asking for each what is the same for all.
            let mask = mask(bits);
            let value = |at: usize| {
                let bit = at * bits as usize;
                let bytes = self.bytes.get(bit / 8..).and_then(|bytes| bytes.first_chunk());
                let word = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
                least.wrapping_add((word >> (bit % 8) & mask) << zeros)
            };
            return range.map(value).collect();
        }
        let mut values = vec![least; range.len()];
        for (plane, shift) in self.bytes.chunks_exact(count).zip((0..bits).step_by(8)) {
            for (value, byte) in values.iter_mut().zip(plane.get(range.clone()).unwrap_or_default()) {
                *value = value.wrapping_add(u64::from(*byte) << (shift + zeros));
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
        let IntegersShape { count, least, zeros, bits, way } = self.shape;
        let above = value.checked_sub(least).filter(|above| above & mask(zeros) == 0);
        let above = above.map(|above| above >> zeros).filter(|above| above & !mask(bits) == 0);
        let [low, ..] = above.unwrap_or_default().to_le_bytes();
        let may_be = move |chunk: &Range<usize>| {
            // Most differ in the lowest byte, and bytes side by side are compared many at a time.
            let bytes = self.bytes.get(chunk.clone()).unwrap_or_default();
            way == Way::Packed || bytes.iter().fold(false, |found, byte| found | (*byte == low))
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

/// In which way integers are stored, where there are different ones.
#[cfg(test)]
pub(crate) fn way_of(reader: &mut Reader<'_>, inflate: &mut Inflate) -> Result<Option<Way>, Broken> {
    let (shape, _) = IntegersShape::read(reader, inflate)?;
    Ok((shape.bits > 0).then_some(shape.way))
}

#[cfg(test)]
mod tests {
    use super::{
        Deflate, Inflate, Integers, IntegersShape, Reader, Way, put_column, put_integers,
        put_recurring_column, put_texts, read_texts, way_of,
    };

    fn columns() -> [Vec<u64>; 15] {
        let mixed = |at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        [
            vec![],
            vec![7],
            vec![9; 1_000],
            (0..1_000).collect(),
            (0..1_000).map(|at| mixed(at) % 61_001).collect(),
            vec![u64::MAX, 0, 1],
            vec![1 << 56, 0, 3],
            (0..500).map(|at| at % 2).collect(),
            (0..500).map(|at| 1_000_000 + (at % 3) * 70_000).collect(),
            // Numbers above zero, as they are written.
            (0..700).map(|at| 2 * (mixed(at) % 4_000)).collect(),
            (0..700).map(|at| 5 + ((mixed(at) % 3) << 50)).collect(),
            // Few are large.
            (0..700).map(|at| mixed(at) % if at % 50 == 3 { 1 << 33 } else { 700 }).collect(),
            (0..700).map(|at| if at == 699 { u64::MAX } else { mixed(at) % 61 }).collect(),
            // The same comes again soon, or after very long.
            (0..700).map(|at| mixed(at / 14 * 7) % (1 << 40) + mixed(at) % 2).collect(),
            (0..700).map(|at| mixed(at % 300 * 7 / (1 + at % 2))).collect(),
        ]
    }

    #[test]
    fn a_column_of_entries_is_read_back_whichever_way_it_was_stored() {
        let mut ways = Vec::new();
        for (level, recurs) in [(None, true), (Some(3), true), (Some(3), false)] {
            for column in columns() {
                let (mut deflate, mut bytes) = (Deflate::new(level), Vec::new());
                let put = if recurs { put_recurring_column } else { put_column };
                put(&mut bytes, &column, &mut deflate);
                let (mut reader, mut inflate) = (Reader(&bytes), Inflate::new());
                let (shape, stored) = IntegersShape::read(&mut reader, &mut inflate).unwrap();
                assert_eq!(reader.end(), Ok(()));
                let read = shape.open(stored).unwrap();
                assert_eq!(read.iter().collect::<Vec<_>>(), column);
                assert_eq!(read.first(usize::MAX), column);
                for value in column.iter().copied().chain([0, 6, u64::MAX]) {
                    let places: Vec<usize> = (0..column.len()).filter(|at| column[*at] == value).collect();
                    assert_eq!(read.places_of(value).collect::<Vec<_>>(), places, "{value}");
                }
                let way = way_of(&mut Reader(&bytes), &mut Inflate::new()).unwrap();
                // Only columns of entries are stored in other ways.
                let simple = Integers::read(&mut Reader(&bytes), &mut Inflate::new());
                assert_eq!(simple.is_ok(), !matches!(way, Some(Way::Few | Way::Recurring)));
                ways.extend(way);
            }
        }
        for way in [Way::Packed, Way::Planes, Way::Few, Way::Recurring] {
            assert!(ways.contains(&way), "{way:?}");
        }
    }

    #[test]
    fn a_column_is_read_back_whichever_way_it_was_stored() {
        let columns = columns();
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
