//! The columns of a block as they were read: each is inflated when something in it is first asked for, and most never are.
//! One entry takes a few of the fifty, and what is passed over on the way to it takes lengths of texts and no texts.

use std::ops::Range;
use std::sync::OnceLock;

use super::column::{Inflate, Integers, IntegersShape, TextsShape};
use super::grammar::{HEADS, Ints, Texts};
use super::integer::{Broken, Reader};
use super::shapes::Shapes;

type Opened<T> = OnceLock<Result<T, Broken>>;

/// Columns, and the bytes in which they lie.
pub(crate) struct Stored {
    bytes: Vec<u8>,
    ints: Vec<(IntegersShape, Range<usize>, Opened<Integers>)>,
    texts: Vec<(TextsShape, Range<usize>, Opened<Vec<u8>>)>,
    shapes: Option<Shapes>,
}

/// The columns of each part, in the order in which they stand there.
const INTS: [Range<usize>; 3] = [0..HEADS, HEADS..HEADS + 1, HEADS + 1..Ints::COUNT];
const TEXTS: [Range<usize>; 3] = [0..0, 0..1, 1..Texts::COUNT];

pub(crate) const EARLY: Broken = Broken("a column ends early");
const NONE: Broken = Broken("a column is missing");

impl Stored {
    /// Looks at what each column says of itself, in some of the parts heads, ids and bodies: the first ones, of these
    /// lengths, which lie behind `from`. Behind the heads stand shapes, if the codec has any. What all of them may inflate to
    /// is bounded before anything is.
    pub(crate) fn read(
        bytes: Vec<u8>,
        from: usize,
        parts: &[usize],
        have_shapes: bool,
    ) -> Result<Self, Broken> {
        let (mut ints, mut texts, mut inflate) = (Vec::new(), Vec::new(), Inflate::new());
        let mut shapes = None;
        let mut reader = Reader(bytes.get(from..).unwrap_or_default());
        for ((length, of_ints), of_texts) in parts.iter().zip(INTS).zip(TEXTS) {
            let mut part = Reader(reader.take(*length)?);
            // Where something of the part begins that reaches to what is left of it.
            let end = bytes.len() - reader.0.len();
            let place = |part: &Reader<'_>, stored: &[u8]| {
                let begin = end - part.0.len() - stored.len();
                begin..begin + stored.len()
            };
            for _ in of_ints.clone() {
                let (shape, stored) = IntegersShape::read(&mut part, &mut inflate)?;
                ints.push((shape, place(&part, stored), OnceLock::new()));
            }
            for _ in of_texts {
                let (shape, stored) = TextsShape::read(&mut part, &mut inflate)?;
                texts.push((shape, place(&part, stored), OnceLock::new()));
            }
            if have_shapes && of_ints.start == 0 {
                shapes = Shapes::read(&mut part, &mut inflate, place)?;
            }
            part.end()?;
        }
        Ok(Self { bytes, ints, texts, shapes })
    }

    fn at(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    /// A column of integers.
    pub(crate) fn ints(&self, column: Ints) -> Result<&Integers, Broken> {
        let (shape, place, opened) = self.ints.get(column as usize).ok_or(NONE)?;
        let open = || match &self.shapes {
            Some(shapes) if shape.is_of_shapes() => shapes.column(&self.bytes, column, *shape),
            _ => shape.open(self.at(place)),
        };
        opened.get_or_init(open).as_ref().map_err(|why| *why)
    }

    /// How many entries have a shape, where there are any.
    pub(crate) fn shapes_len(&self) -> Option<usize> {
        self.shapes.as_ref().map(Shapes::len)
    }

    /// A column of texts.
    pub(crate) fn texts(&self, column: Texts) -> Result<&[u8], Broken> {
        let (shape, place, opened) = self.texts.get(column as usize).ok_or(NONE)?;
        let opened = opened.get_or_init(|| shape.open(self.at(place)));
        opened.as_ref().map(Vec::as_slice).map_err(|why| *why)
    }

    /// How many integers a column has.
    pub(crate) fn ints_len(&self, column: Ints) -> usize {
        self.ints.get(column as usize).map_or(0, |(shape, _, _)| shape.len())
    }

    /// How many bytes of text a column has.
    pub(crate) fn texts_len(&self, column: Texts) -> usize {
        self.texts.get(column as usize).map_or(0, |(shape, _, _)| shape.len())
    }

    /// How far each column goes: integers first.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        let ints = self.ints.iter().map(|(shape, _, _)| shape.len());
        ints.chain(self.texts.iter().map(|(shape, _, _)| shape.len()))
    }

    /// About the bytes that they take in memory, once all of them were asked for.
    pub(crate) fn most_bytes(&self) -> usize {
        let opened: usize = self.ints.iter().map(|(shape, _, _)| shape.bytes()).sum();
        let shapes = self.shapes.as_ref().map_or(0, Shapes::bytes);
        self.bytes.len() + shapes + opened + self.texts.iter().map(|(shape, _, _)| shape.len()).sum::<usize>()
    }
}
