//! Shapes: people do the same few things again and again, so that of most entries everything is the same but what they do it
//! to and the values. What is the same is stored once for each shape, and for each entry the shape that it has.
//!
//! ```text
//! shapes := integers: the shape of each entry; none where entries are stored without, else:
//!           for each column of SHAPED: integers: how many of its values an entry of each shape has |
//!           integers: these values, shape by shape
//! ```

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use super::column::{Deflate, Inflate, Integers, IntegersShape, put_integers};
use super::grammar::Ints;
use super::integer::{Broken, Reader};

/// The columns that say what kind of operation sets which field to which kind of value.
pub(crate) const SHAPED: [Ints; 8] = [
    Ints::Body,
    Ints::Operations,
    Ints::Operation,
    Ints::Field,
    Ints::Steps,
    Ints::Step,
    Ints::Edit,
    Ints::Token,
];

/// Most shapes of a block.
const SHAPES_MAX: usize = 256;

/// How far columns that are shaped have grown behind each entry.
pub(crate) type Ends = [usize; SHAPED.len()];

/// What stands where there are no shapes.
pub(crate) fn none() -> Vec<u8> {
    vec![0]
}

/// The shapes of entries, given how far their columns have grown behind each; `None` where there are very many.
pub(crate) fn put(columns: &[&[u64]; SHAPED.len()], ends: &[Ends], deflate: &mut Deflate) -> Option<Vec<u8>> {
    let mut shapes: HashMap<Vec<u64>, u64> = HashMap::new();
    let mut table: [(Vec<u64>, Vec<u64>); SHAPED.len()] = Default::default();
    let (mut of_entries, mut before) = (Vec::with_capacity(ends.len()), Ends::default());
    for end in ends {
        let of_entry = |nth: usize| columns.get(nth)?.get(*before.get(nth)?..*end.get(nth)?);
        let mut shape = Vec::new();
        for nth in 0..SHAPED.len() {
            let values = of_entry(nth)?;
            shape.push(values.len() as u64);
            shape.extend_from_slice(values);
        }
        let next = shapes.len() as u64;
        let number = *shapes.entry(shape).or_insert(next);
        if number == next {
            if shapes.len() > SHAPES_MAX {
                return None;
            }
            for (nth, (counts, values)) in table.iter_mut().enumerate() {
                counts.push(of_entry(nth)?.len() as u64);
                values.extend_from_slice(of_entry(nth)?);
            }
        }
        of_entries.push(number);
        before = *end;
    }
    let mut bytes = Vec::new();
    put_integers(&mut bytes, &of_entries, deflate);
    for (counts, values) in &table {
        put_integers(&mut bytes, counts, deflate);
        put_integers(&mut bytes, values, deflate);
    }
    Some(bytes)
}

/// Integers as they lie in a block.
type Lying = (IntegersShape, Range<usize>);

/// The shapes of a block as they were read.
pub(crate) struct Shapes {
    of_entries: Lying,
    opened: OnceLock<Result<Integers, Broken>>,
    table: Vec<[Lying; 2]>,
}

impl Shapes {
    /// Looks at what stands in front of each of its integers; `place` says where what was passed lies.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        inflate: &mut Inflate,
        place: impl Fn(&Reader<'_>, &[u8]) -> Range<usize>,
    ) -> Result<Option<Self>, Broken> {
        let mut next = || {
            let (shape, stored) = IntegersShape::read_simple(reader, inflate)?;
            Ok((shape, place(reader, stored)))
        };
        let of_entries = next()?;
        if of_entries.0.len() == 0 {
            return Ok(None);
        }
        let table = SHAPED.iter().map(|_| Ok([next()?, next()?])).collect::<Result<_, _>>()?;
        Ok(Some(Self { of_entries, opened: OnceLock::new(), table }))
    }

    /// How many entries have one.
    pub(crate) fn len(&self) -> usize {
        self.of_entries.0.len()
    }

    /// About the bytes that they take in memory, once they were asked for.
    pub(crate) fn bytes(&self) -> usize {
        self.of_entries.0.bytes()
    }

    /// The integers of a column of which the block says so much, which lies in these bytes.
    pub(crate) fn column(
        &self,
        bytes: &[u8],
        column: Ints,
        shape: IntegersShape,
    ) -> Result<Integers, Broken> {
        let wrong = Broken("the shapes of entries are not what a column says");
        let open = |(shape, place): &Lying| shape.open(bytes.get(place.clone()).unwrap_or_default());
        let nth = SHAPED.iter().position(|shaped| *shaped == column);
        let [counts, values] = nth.and_then(|nth| self.table.get(nth)).ok_or(wrong)?;
        // What all entries together have is bounded, and a shape that no entry has is not stored.
        if counts.0.len() > SHAPES_MAX || values.0.len() > shape.len() {
            return Err(wrong);
        }
        let values = open(values)?.first(usize::MAX);
        let mut rest = &*values;
        let mut shapes = Vec::with_capacity(counts.0.len());
        for count in open(counts)?.iter() {
            let count = usize::try_from(count).map_err(|_| wrong)?;
            let (of_shape, behind) = rest.split_at_checked(count).ok_or(wrong)?;
            shapes.push(of_shape);
            rest = behind;
        }
        let of_entries = self.opened.get_or_init(|| open(&self.of_entries)).as_ref().map_err(|why| *why)?;
        let mut all = Vec::with_capacity(shape.len());
        for number in of_entries.iter() {
            let of_shape = usize::try_from(number).ok().and_then(|number| shapes.get(number)).ok_or(wrong)?;
            if of_shape.len() > shape.len() - all.len() {
                return Err(wrong);
            }
            all.extend_from_slice(of_shape);
        }
        shape.of(all.into_iter())
    }
}
