//! Blocks of entries that were made up: as people make them, as the grammar allows them, and as large as blocks are. What is
//! written of them is read back, whole and entered anywhere, in whatever ways their columns are stored.

use super::block::{Block, BlockStart, CODEC_SHAPES, Columns, PARTS, put_points};
use super::column::{Deflate, Inflate, Way, way_of};
use super::grammar::{self, HEADS, Ints, Passage, Texts, Units};
use super::integer::{Broken, Reader, put_integer};
use super::shapes::SHAPED;
use crate::{CHAIN_EVERY, Chain, ENCODING, Seq};

/// An entry as people make them: mostly one or two fields of a component on which they worked just before.
pub(crate) fn edit(at: u64, bytes: &mut Vec<u8>) {
    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
    let elapsed = if mixed.is_multiple_of(40) { 700_000 + mixed % 100_000 } else { mixed % 4_000 };
    bytes.push(ENCODING);
    for integer in [0, elapsed, 0, 0, mixed % 3, 0, 1, 1, 0] {
        put_integer(bytes, integer);
    }
    let slot = 100 + at / 12 * 7_919 % 3_000 + mixed % 3;
    match mixed % 5 {
        0 => {
            for integer in [1, 1, slot] {
                put_integer(bytes, integer);
            }
        }
        of @ 1..=3 => {
            put_integer(bytes, of);
            for field in 0..of {
                for integer in [2, slot, 4 + field, 0, 0, 3, 2 * (mixed % 3_000 + field)] {
                    put_integer(bytes, integer);
                }
            }
        }
        _ => {
            for integer in [1, 2, slot, 9, 1, 1, mixed % 7, 2] {
                put_integer(bytes, integer);
            }
        }
    }
}

/// A sound block: how it begins, its bytes, the bytes of each part, and what its entries are.
pub(crate) type Sound = (BlockStart, Vec<u8>, [usize; PARTS], Vec<u8>);

/// A block of the entries that are made, each given its place.
pub(crate) fn of_entries(entries: u32, mut make: impl FnMut(u64, &mut Vec<u8>)) -> Sound {
    let (mut columns, mut units) = (Columns::new(), Units::default());
    let (mut payload, mut bytes) = (Vec::new(), 0);
    let (mut chain, mut chains, mut lengths) = (Chain([0; 32]), Vec::new(), Vec::new());
    for at in 0..entries {
        if at > 0 && (at as usize).is_multiple_of(CHAIN_EVERY) {
            chains.push(chain);
            lengths.push(columns.lengths().collect());
            units = Units::default();
        }
        let mut canonical = Vec::new();
        make(at.into(), &mut canonical);
        columns.shred(&canonical, &mut units, 1 + u64::from(at)).unwrap();
        payload.extend(u32::try_from(canonical.len()).unwrap().to_le_bytes());
        payload.extend(&canonical);
        bytes += canonical.len() as u64;
        chain = chain.after(&canonical);
    }
    let mut deflate = Deflate::new(Some(3));
    let [heads, ids, bodies] = columns.parts(&mut deflate);
    let points = put_points(&chains, &lengths, &mut deflate);
    let parts = [&points, &heads, &ids, &bodies].map(Vec::len);
    let (first_seq, chain) = (Seq(1), Chain([0; 32]));
    let start =
        BlockStart { first_seq, entries, bytes, codec: CODEC_SHAPES, chain, log_time: 0, next_slot: 4_000 };
    (start, [points, heads, ids, bodies].concat(), parts, payload)
}

/// Says what stands in an entry, by chance, wherever the grammar asks; and writes it.
struct ByChance<'c> {
    state: &'c mut u64,
    bytes: &'c mut Vec<u8>,
    /// How many different things are done.
    kinds: u64,
    /// What is worked on.
    slot: u64,
    field: u64,
}

impl ByChance<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        *self.state ^= *self.state << 13;
        *self.state ^= *self.state >> 7;
        *self.state ^= *self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }

    fn value(&mut self, column: Ints) -> u64 {
        let most = match column {
            // Sets and removals as people make them: what a field takes follows from the field.
            Ints::Body | Ints::Steps | Ints::Edit if self.kinds == 2 => 1,
            Ints::Operation if self.kinds == 2 => return 2 - self.below(9) / 8,
            Ints::Operations if self.kinds == 2 => return 1 + self.below(3) / 2,
            Ints::Field if self.kinds == 2 => {
                self.field = 1 + self.below(4);
                return self.field;
            }
            Ints::Token if self.kinds == 2 => return self.field,
            Ints::Body | Ints::Step => 2,
            Ints::Operation | Ints::Edit => self.kinds.min(4),
            Ints::Token => (2 * self.kinds).min(13),
            Ints::Mark => 15,
            Ints::Extra => 12,
            Ints::Intent => 9,
            Ints::Operations => self.kinds,
            Ints::Extras | Ints::Steps | Ints::Items | Ints::Fields => 3,
            Ints::ExtraInt => 2,
            Ints::Field => 1 + 5 * self.kinds,
            Ints::Slot => {
                if self.below(9) == 0 {
                    self.slot = self.below(60_000);
                }
                return self.slot;
            }
            Ints::IdBytes
            | Ints::OrderBytes
            | Ints::StepBytes
            | Ints::TextBytes
            | Ints::BytesBytes
            | Ints::KeyBytes
            | Ints::SpeltBytes
            | Ints::ExtraBytes
            | Ints::MarkBytes => 9,
            // Anything, mostly small, and what is at the edge.
            _ => {
                return match self.below(40) {
                    0 => u64::MAX,
                    1 => 1 << self.below(64),
                    _ => 6 * self.below(700),
                };
            }
        };
        self.below(most)
    }
}

impl Passage for ByChance<'_> {
    fn literal(&mut self, byte: u8) -> Result<(), Broken> {
        self.bytes.push(byte);
        Ok(())
    }

    fn byte(&mut self, column: Ints) -> Result<u8, Broken> {
        let value = u8::try_from(self.value(column)).unwrap();
        self.bytes.push(value);
        Ok(value)
    }

    fn integer(&mut self, column: Ints) -> Result<u64, Broken> {
        let value = self.value(column);
        put_integer(self.bytes, value);
        Ok(value)
    }

    fn foretold(&mut self, _: Ints, foretold: u64) -> Result<u64, Broken> {
        let value = if self.below(3) == 0 { self.below(u64::MAX - 1) } else { foretold };
        put_integer(self.bytes, value);
        Ok(value)
    }

    fn text(&mut self, bytes: Ints, column: Texts) -> Result<(), Broken> {
        let count = self.integer(bytes)?;
        self.fixed(usize::try_from(count).unwrap(), column)
    }

    fn fixed(&mut self, count: usize, _: Texts) -> Result<(), Broken> {
        for _ in 0..count {
            let letter = b'a' + u8::try_from(self.below(26)).unwrap();
            self.bytes.push(letter);
        }
        Ok(())
    }
}

#[test]
fn whatever_the_grammar_allows_is_read_back() {
    let mut state = 0x1234_5678_9abc_def1;
    let mut seen = Vec::new();
    for round in 0..400 {
        let entries = [1, 2, 7, 128, 129, 700][round % 6];
        let kinds = [2, 3, 8][round / 6 % 3];
        let mut slot = 0;
        let (start, bytes, parts, payload) = of_entries(entries, |at, bytes| {
            let mut by_chance = ByChance { state: &mut state, bytes, kinds, slot, field: 0 };
            grammar::entry(&mut by_chance, &mut Units::default(), 1 + at).unwrap();
            slot = by_chance.slot;
        });
        seen.extend(ways(&bytes, &parts).into_iter().flatten());
        let block = Block::read(start, bytes, parts).unwrap_or_else(|why| panic!("{why:?}, round {round}"));
        assert_eq!(block.payload(0..entries as usize), Ok(payload.clone()), "round {round}");
        let from = entries as usize * 2 / 3;
        let begin = payload.len() - block.payload(from..entries as usize).unwrap().len();
        assert_eq!(block.payload(from..entries as usize).unwrap(), payload[begin..], "round {round}");
    }
    for way in [Way::Packed, Way::Planes, Way::Few, Way::Recurring, Way::Shapes] {
        assert!(seen.contains(&way), "{way:?}");
    }
}

#[test]
fn a_block_that_is_as_large_as_blocks_are_is_read_back() {
    // Of one entry with very many operations, of entries that are large, and of very many.
    for (entries, operations) in [(1, 700_000), (3, 200_000), (700, 900), (600_000, 1)] {
        let mut state = 0x1234_5678_9abc_def1;
        let mut slot = 0;
        let (start, bytes, parts, payload) = of_entries(entries, |_, bytes| {
            let mut chance = ByChance { state: &mut state, bytes, kinds: 9, slot: 0, field: 0 };
            chance.bytes.push(ENCODING);
            let elapsed = if chance.below(30) == 0 { chance.below(1 << 20) } else { chance.below(900) };
            for integer in [0, elapsed, 0, 0, 1, 0, 1, 1, 0, operations] {
                put_integer(chance.bytes, integer);
            }
            for _ in 0..operations {
                slot = if chance.below(20) == 0 { chance.below(30_000) } else { slot };
                let (field, number) = (chance.below(4), chance.below(4_000));
                let edit = if field == 0 { 2 } else { 0 };
                for integer in [2, slot, 4 + field, 0, edit] {
                    put_integer(chance.bytes, integer);
                }
                if edit == 0 {
                    put_integer(chance.bytes, 3);
                    put_integer(chance.bytes, 2 * number);
                }
            }
        });
        assert!(start.bytes < 16 << 20, "{} bytes", start.bytes);
        assert!(bytes.len() as u64 <= start.bytes, "{} bytes", bytes.len());
        let block = Block::read(start, bytes, parts).unwrap();
        assert!(block.payload(0..entries as usize).unwrap() == payload);
    }
}

/// In which way each column of a sound block is stored.
fn ways(bytes: &[u8], parts: &[usize; PARTS]) -> Vec<Option<Way>> {
    let [points, heads, ids, bodies] = *parts;
    let mut ways = Vec::new();
    let places = [
        (points, 0..HEADS),
        (points + heads, HEADS..HEADS + 1),
        (bytes.len() - bodies, HEADS + 1..Ints::COUNT),
    ];
    assert_eq!(points + heads + ids + bodies, bytes.len());
    for (begin, columns) in places {
        let mut reader = Reader(bytes.get(begin..).unwrap());
        ways.extend(columns.map(|_| way_of(&mut reader, &mut Inflate::new()).unwrap()));
    }
    ways
}

#[test]
fn what_people_do_again_and_again_is_stored_in_every_way_and_read_back() {
    let (start, bytes, parts, payload) = of_entries(900, edit);
    let ways = ways(&bytes, &parts);
    assert_eq!(ways[Ints::Elapsed as usize], Some(Way::Few));
    assert_eq!(ways[Ints::Slot as usize], Some(Way::Recurring));
    for column in [Ints::Operations, Ints::Operation, Ints::Field, Ints::Edit] {
        assert!(SHAPED.contains(&column));
        assert_eq!(ways[column as usize], Some(Way::Shapes), "{column:?}");
    }
    let block = Block::read(start, bytes, parts).unwrap();
    assert!(block.payload(0..900).unwrap() == payload);
    // Entered at every place, from the point before it.
    let mut rest = Reader(&payload);
    for at in 0..900 {
        let length = u32::from_le_bytes(rest.fixed().unwrap());
        let canonical = rest.take(length as usize).unwrap();
        let run = block.run(at, at + 1).unwrap();
        assert_eq!(run.get(at).unwrap().bytes, canonical, "entry {at}");
        for effect in block.effects(at).unwrap() {
            assert!(block.touches_of(effect.slot.0).unwrap().iter().any(|(entry, _)| *entry == at));
        }
    }
}
