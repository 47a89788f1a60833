//! A block: some 64 KiB of entries as columns, or 256 KiB of few large ones, in four parts that are read one by one.
//!
//! ```text
//! part  codec 2                                                  codec 0
//! 0     points, one at every 128th entry but the first           the same
//! 1     heads: columns of integers, then shapes                  nothing
//! 2     ids: the column IdBytes, then the texts of Id            nothing
//! 3     bodies: the other integers, then the other texts         for each entry its length (4 bytes) and canonical bytes
//! ```
//!
//! A point is the chain before its entry (32 bytes), and how much of each column the entries before take, so that an entry
//! is read from the last point before it. Codec 1, which is read and not written, has no shapes. Codec 0 is for what would inflate to more than [`BLOCK_INFLATED_MAX`](crate::BLOCK_INFLATED_MAX).

use flow_history_flow::Slot;

use super::column::{
    Deflate, Inflate, Integers, IntegersShape, of_shapes, opening, put_column, put_integers,
    put_recurring_column, put_texts, worth,
};
use super::cursors::Cursors;
use super::grammar::{self, HEADS, Ints, Passage, Texts, Units};
use super::heads::{Heads, Touched};
use super::integer::{Broken, Reader, put_integer};
use super::parts::{Parts, length_of};
use super::shapes::{self, Ends, SHAPED};
use super::stored::Stored;
use crate::effects::{Act, Allowance, Effect, Effects};
use crate::{CHAIN_EVERY, Chain, Seq};

/// How many parts a block has.
pub(crate) const PARTS: usize = 4;
/// The parts that are read on their own, by place.
pub(crate) const HEADS_PART: usize = 1;
pub(crate) const IDS_PART: usize = 2;
pub(crate) const BODIES_PART: usize = 3;

/// Entries as they are.
pub(crate) const CODEC_PLAIN: u8 = 0;
/// Entries as columns.
const CODEC_COLUMNS: u8 = 1;
/// Entries as columns and shapes.
pub(crate) const CODEC_SHAPES: u8 = 2;

// ---- Entries to columns ----

/// The columns of entries, as they grow.
pub(crate) struct Columns {
    ints: Vec<Vec<u64>>,
    texts: Vec<Vec<u8>>,
    /// How far those that are shaped have grown behind each entry.
    ends: Vec<Ends>,
}

impl Columns {
    pub(crate) fn new() -> Self {
        let (ints, texts) = (vec![Vec::new(); Ints::COUNT], vec![Vec::new(); Texts::COUNT]);
        Self { ints, texts, ends: Vec::new() }
    }

    /// Columns that hold nothing and take nothing.
    pub(crate) fn new_empty() -> Self {
        Self { ints: Vec::new(), texts: Vec::new(), ends: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.ints.iter_mut().for_each(Vec::clear);
        self.texts.iter_mut().for_each(Vec::clear);
        self.ends.clear();
    }

    pub(crate) fn ints(&self, column: Ints) -> &[u64] {
        self.ints.get(column as usize).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn texts(&self, column: Texts) -> &[u8] {
        self.texts.get(column as usize).map_or(&[], Vec::as_slice)
    }

    /// How far each column has grown.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.ints.iter().map(Vec::len).chain(self.texts.iter().map(Vec::len))
    }

    /// Adds the entry `seq`.
    pub(crate) fn shred(&mut self, canonical: &[u8], units: &mut Units, seq: u64) -> Result<(), Broken> {
        let mut shred = Shred { reader: Reader(canonical), columns: self };
        grammar::entry(&mut shred, units, seq)?;
        shred.reader.end()?;
        self.ends.push(SHAPED.map(|column| self.ints(column).len()));
        Ok(())
    }

    /// The parts 1 to 3.
    pub(crate) fn parts(&self, deflate: &mut Deflate) -> [Vec<u8>; 3] {
        // A block that inflates to much as it is has no room for what other ways take until they are opened.
        let inflated = opening(2 * self.ints.iter().map(Vec::len).sum::<usize>())
            + self.texts.iter().map(Vec::len).sum::<usize>();
        let is_ordinary = deflate.compresses() && deflate.may(inflated);
        let stored = |column: &Ints| {
            let (mut bytes, values) = (Vec::new(), self.ints(*column));
            match column {
                _ if !is_ordinary => put_integers(&mut bytes, values, deflate),
                // Who works on something goes on with it.
                Ints::Slot => put_recurring_column(&mut bytes, values, deflate),
                _ => put_column(&mut bytes, values, deflate),
            }
            bytes
        };
        let mut ints: Vec<Vec<u8>> = Ints::ALL.iter().map(stored).collect();
        let shapes = is_ordinary.then(|| self.shapes(&mut ints, deflate)).flatten();
        let mut parts: [Vec<u8>; 3] = Default::default();
        let [heads, ids, bodies] = &mut parts;
        for (at, column) in ints.iter().enumerate() {
            match at {
                0..HEADS => heads.extend_from_slice(column),
                HEADS => ids.extend_from_slice(column),
                _ => bodies.extend_from_slice(column),
            }
        }
        heads.extend(shapes.unwrap_or_else(shapes::none));
        for (at, column) in self.texts.iter().enumerate() {
            put_texts(if at == Texts::Id as usize { &mut *ids } else { &mut *bodies }, column, deflate);
        }
        parts
    }

    /// The shapes of the entries where that takes less; then the columns that follow from them hold nothing any more.
    fn shapes(&self, ints: &mut [Vec<u8>], deflate: &mut Deflate) -> Option<Vec<u8>> {
        let columns = SHAPED.map(|column| self.ints(column));
        let shapes = deflate.on_trial(|deflate| shapes::put(&columns, &self.ends, deflate))?;
        let follow = columns.map(of_shapes);
        let without: usize = follow.iter().map(Vec::len).sum();
        let with = SHAPED.iter().filter_map(|column| ints.get(*column as usize)).map(Vec::len).sum();
        if shapes.len() + without >= worth(with) {
            return None;
        }
        for (column, follows) in SHAPED.iter().zip(follow) {
            if let Some(stored) = ints.get_mut(*column as usize) {
                *stored = follows;
            }
        }
        Some(shapes)
    }
}

struct Shred<'b, 'c> {
    reader: Reader<'b>,
    columns: &'c mut Columns,
}

impl Shred<'_, '_> {
    fn put(&mut self, column: Ints, value: u64) {
        if let Some(column) = self.columns.ints.get_mut(column as usize) {
            column.push(value);
        }
    }
}

impl Passage for Shred<'_, '_> {
    fn literal(&mut self, byte: u8) -> Result<(), Broken> {
        if self.reader.byte()? == byte { Ok(()) } else { Err(Broken("its encoding is not known")) }
    }

    fn byte(&mut self, column: Ints) -> Result<u8, Broken> {
        let byte = self.reader.byte()?;
        self.put(column, byte.into());
        Ok(byte)
    }

    fn integer(&mut self, column: Ints) -> Result<u64, Broken> {
        let value = self.reader.integer()?;
        self.put(column, value);
        Ok(value)
    }

    fn foretold(&mut self, column: Ints, foretold: u64) -> Result<u64, Broken> {
        let value = self.reader.integer()?;
        let stored = if value == foretold { Some(0) } else { value.checked_add(1) };
        self.put(column, stored.ok_or(Broken("a number is out of bounds"))?);
        Ok(value)
    }

    fn text(&mut self, bytes: Ints, column: Texts) -> Result<(), Broken> {
        let length = self.integer(bytes)?;
        self.fixed(length_of(length)?, column)
    }

    fn fixed(&mut self, count: usize, column: Texts) -> Result<(), Broken> {
        let bytes = self.reader.take(count)?;
        if let Some(column) = self.columns.texts.get_mut(column as usize) {
            column.extend_from_slice(bytes);
        }
        Ok(())
    }
}

// ---- Columns to entries ----

/// What a block begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockStart {
    pub(crate) first_seq: Seq,
    pub(crate) entries: u32,
    /// Bytes of its entries.
    pub(crate) bytes: u64,
    pub(crate) codec: u8,
    pub(crate) chain: Chain,
    pub(crate) log_time: i64,
    pub(crate) next_slot: u32,
}

impl BlockStart {
    /// Whether its entries are columns.
    pub(crate) fn has_columns(&self) -> bool {
        matches!(self.codec, CODEC_COLUMNS | CODEC_SHAPES)
    }

    pub(crate) fn has_shapes(&self) -> bool {
        self.codec == CODEC_SHAPES
    }
}

/// A block that can give its entries back.
pub(crate) struct Block {
    pub(crate) heads: Heads,
    points: Points,
}

/// The places in a block from which on entries can be read without those before.
struct Points {
    /// The chain before the entry at each.
    chains: Vec<Chain>,
    /// How much of each column the entries before each take, one point after the other.
    used: Vec<usize>,
}

pub(crate) const COLUMNS: usize = Ints::COUNT + Texts::COUNT;

impl Points {
    /// What entries before a point take of each column, integers first, and its chain. Before the first point there is none.
    fn get(&self, point: usize) -> Option<(Chain, &[usize])> {
        let at = point.checked_sub(1)?;
        Some((*self.chains.get(at)?, self.used.get(at * COLUMNS..(at + 1) * COLUMNS)?))
    }

    /// The last points behind so much of a column each, both ascending.
    fn behind(&self, column: usize, places: impl Iterator<Item = usize>) -> Vec<usize> {
        let (mut behind, mut point) = (Vec::new(), 0);
        for place in places {
            while self.used.get(point * COLUMNS + column).is_some_and(|used| *used <= place) {
                point += 1;
            }
            if behind.last() != Some(&point) {
                behind.push(point);
            }
        }
        behind
    }
}

/// The ids that a block's adds spell out, in order.
pub(crate) struct Ids {
    bytes: Integers,
    texts: Vec<u8>,
}

impl Ids {
    /// About the bytes that they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.bytes() + self.texts.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Reader(&self.texts);
        self.bytes.iter().map_while(move |bytes| rest.take(usize::try_from(bytes).ok()?).ok())
    }
}

impl Heads {
    /// The ids that its adds spell out.
    pub(crate) fn ids(&self) -> Result<Ids, Broken> {
        let (bytes, texts) = (self.columns.ints(Ints::IdBytes)?, self.columns.texts(Texts::Id)?);
        Ok(Ids { bytes: bytes.clone(), texts: texts.to_vec() })
    }
}

impl Block {
    /// Reads a block from its parts, whose checksums match, one behind the other.
    pub(crate) fn read(start: BlockStart, bytes: Vec<u8>, parts: [usize; PARTS]) -> Result<Self, Broken> {
        let [points_bytes, of_columns @ ..] = &parts;
        let early = Broken("it ends early");
        let (points, columns) = bytes.split_at_checked(*points_bytes).ok_or(early)?;
        let points = read_points(&start, points)?;
        match start.codec {
            CODEC_COLUMNS | CODEC_SHAPES => {
                let columns = Stored::read(bytes, *points_bytes, of_columns, start.has_shapes())?;
                Ok(Self { heads: Heads::new(start, columns)?, points })
            }
            CODEC_PLAIN => {
                let (mut all, mut units) = (Columns::new(), Units::default());
                let mut reader = Reader(columns);
                for at in 0..u64::from(start.entries) {
                    if at.is_multiple_of(CHAIN_EVERY as u64) {
                        units = Units::default();
                    }
                    let length = u32::from_le_bytes(reader.fixed()?);
                    all.shred(reader.take(length as usize)?, &mut units, start.first_seq.0 + at)?;
                }
                reader.end()?;
                let parts = all.parts(&mut Deflate::new(None));
                let columns = Stored::read(parts.concat(), 0, &parts.each_ref().map(Vec::len), true)?;
                let start = BlockStart { codec: CODEC_SHAPES, ..start };
                Ok(Self { heads: Heads::new(start, columns)?, points })
            }
            _ => Err(Broken("a block is of no known codec")),
        }
    }

    /// The entries that touched a slot, by their places in the block, each with whether it added or removed what is in it.
    pub(crate) fn touches_of(&self, slot: u32) -> Result<Vec<(usize, bool)>, Broken> {
        let (agains, new) = self.heads.adds_of(slot)?;
        let mut points = self.points.behind(Ints::Slot as usize, self.heads.slots_that_are(slot)?);
        points.extend(self.points.behind(Ints::Again as usize, agains));
        points.extend(self.points.behind(Ints::Again as usize, new.into_iter()));
        points.sort_unstable();
        points.dedup();
        let mut entries: Vec<(usize, bool)> = Vec::new();
        let mut from = self.heads.begin();
        // Points that were made up may lead over the same operations again and again.
        let mut left = self.heads.start.bytes;
        for point in points {
            from = self.touched_before(point, &from)?;
            self.heads.touches_from(from, (point + 1) * CHAIN_EVERY, |touch| {
                if touch.slot == slot {
                    match entries.last_mut().filter(|(at, _)| *at == touch.at) {
                        Some((_, comes_or_goes)) => *comes_or_goes |= touch.comes_or_goes,
                        None => entries.push((touch.at, touch.comes_or_goes)),
                    }
                }
                left = left.saturating_sub(1);
                left > 0
            })?;
            if left == 0 {
                return Err(Broken("it holds more operations than bytes"));
            }
        }
        Ok(entries)
    }

    /// The last place at or before this where the chain is kept, and the chain before the entry there.
    pub(crate) fn point(&self, at: usize) -> (usize, Chain) {
        let point = at / CHAIN_EVERY;
        match self.points.get(point) {
            Some((chain, _)) => (point * CHAIN_EVERY, chain),
            None => (0, self.heads.start.chain),
        }
    }

    /// Entries of the block, each with its length (4 bytes) in front, as a frame holds them.
    pub(crate) fn payload(&self, range: std::ops::Range<usize>) -> Result<Vec<u8>, Broken> {
        let start = self.heads.start;
        let max = usize::try_from(start.bytes).unwrap_or(usize::MAX);
        let whole = range == (0..start.entries as usize);
        let capacity = if whole { max + 4 * start.entries as usize } else { 64 * range.len() };
        let (BlockParts(mut join), mut units) = self.join_from(range.start)?;
        join.out.reserve_exact(capacity.min(max.saturating_mul(5)));
        for at in range {
            if at.is_multiple_of(CHAIN_EVERY) && at > 0 {
                units = Units::default();
                let kept = self.points.get(at / CHAIN_EVERY);
                if kept.is_some_and(|(_, used)| !used.iter().copied().eq(join.cursors.used())) {
                    return Err(Broken("a point is not where its entry begins"));
                }
            }
            let place = join.out.len();
            join.out.extend([0; 4]);
            join.max = join.max.saturating_add(4);
            grammar::entry(&mut join, &mut units, start.first_seq.0 + at as u64)?;
            let length = u32::try_from(join.out.len() - place - 4).unwrap_or(u32::MAX);
            if let Some(front) = join.out.get_mut(place..place + 4) {
                front.copy_from_slice(&length.to_le_bytes());
            }
        }
        if whole {
            if !self.heads.columns.lengths().eq(join.cursors.used()) {
                return Err(Broken("a column holds more than the entries take"));
            }
            if join.out.len() != join.max {
                return Err(Broken("the entries are shorter than the block says"));
            }
        }
        Ok(join.out)
    }

    /// Its columns, standing before an entry.
    fn join_from(&self, at: usize) -> Result<(BlockParts<'_>, Units), Broken> {
        let max = usize::try_from(self.heads.start.bytes).unwrap_or(usize::MAX);
        let mut join = Join { cursors: Cursors::new(&self.heads.columns), out: Vec::new(), max, steps: max };
        // What lies before the last point is not looked at; what foretells begins anew at each.
        let (mut units, point) = (Units::default(), at / CHAIN_EVERY);
        let begin = self.points.get(point).map_or(0, |(_, kept)| {
            join.cursors.go_to(kept);
            point * CHAIN_EVERY
        });
        let mut parts = BlockParts(join);
        for at in begin..at {
            grammar::entry(&mut parts, &mut units, self.heads.start.first_seq.0 + at as u64)?;
        }
        Ok((parts, units))
    }

    /// The parts of its entries, one after the other, from an entry on.
    pub(crate) fn parts_from(&self, at: usize) -> Result<BlockParts<'_>, Broken> {
        Ok(self.join_from(at)?.0)
    }

    /// What an entry does.
    pub(crate) fn effects(&self, at: usize) -> Result<Vec<Effect<'_>>, Broken> {
        let mut effects = Effects::new(Slot(0), 0, &Allowance::default());
        let mut parts = self.parts_from(at)?;
        let adds = parts.0.cursors.used_of(Ints::Again);
        effects.read(&mut parts, self.heads.start.first_seq.0 + at as u64)?;
        if effects.next_slot > 0 {
            // Slots that are given out are counted from the one that is next before the entry.
            let next = self.heads.next_slot_behind(self.heads.start.next_slot, 0..adds)?;
            for effect in &mut effects.row {
                if matches!(&effect.act, Act::Add(adding) if !adding.again) {
                    let slot = effect.slot.0.checked_add(next);
                    effect.slot = Slot(slot.ok_or(Broken("a slot is out of bounds"))?);
                }
            }
        }
        Ok(effects.row)
    }

    /// Where in the columns that say what was touched a point is, given where one before it is.
    fn touched_before(&self, point: usize, before: &Touched) -> Result<Touched, Broken> {
        let Some((_, used)) = self.points.get(point) else { return Ok(self.heads.begin()) };
        let used = |column: Ints| used.get(column as usize).copied().unwrap_or_default();
        let adds = used(Ints::Again);
        Ok(Touched {
            at: point * CHAIN_EVERY,
            changes: used(Ints::Operations),
            operations: used(Ints::Operation),
            slots: used(Ints::Slot),
            adds,
            next_slot: self.heads.next_slot_behind(before.next_slot, before.adds..adds)?,
        })
    }

    /// The slots that the next add takes before each of these entries, of which the first stands at a point.
    fn next_slots(&self, range: std::ops::Range<usize>) -> Result<Vec<u32>, Broken> {
        let from = self.touched_before(range.start / CHAIN_EVERY, &self.heads.begin())?;
        let mut next_slots = Vec::with_capacity(range.len());
        let mut next_slot = from.next_slot;
        self.heads.touches_from(from, range.end, |touch| {
            // Between those with operations there may be some with none.
            while range.start + next_slots.len() < range.end.min(touch.at + 1) {
                next_slots.push(next_slot);
            }
            if touch.is_new {
                next_slot = touch.slot + 1;
            }
            true
        })?;
        next_slots.resize(range.len(), next_slot);
        Ok(next_slots)
    }

    /// The entries from the last point at or before a place to that place, to the next point, or to another place between.
    pub(crate) fn run(&self, at: usize, to: usize) -> Result<Run, Broken> {
        let (first, mut chain) = self.point(at);
        let end = to.min(first + CHAIN_EVERY).min(self.heads.start.entries as usize).max(at + 1);
        let payload = self.payload(first..end)?;
        let elapsed = self.heads.columns.ints(Ints::Elapsed)?;
        let mut log_time = self.heads.log_time_before(first)?;
        let (mut entries, mut reader) = (Vec::with_capacity(end - first), Reader(&payload));
        for (at, next_slot) in (first..end).zip(self.next_slots(first..end)?) {
            let length = u32::from_le_bytes(reader.fixed()?);
            chain = chain.after(reader.take(length as usize)?);
            entries.push(InRun {
                end: payload.len() - reader.0.len(),
                chain,
                log_time_before: log_time,
                next_slot,
            });
            log_time = log_time.saturating_add_unsigned(elapsed.get(at).unwrap_or_default());
        }
        Ok(Run { first, payload, entries })
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.heads.columns.most_bytes() + size_of_val(&*self.points.used) + size_of_val(&*self.points.chains)
    }
}

/// Entries one behind the other, from a point of a block on, with what each follows on.
pub(crate) struct Run {
    first: usize,
    payload: Vec<u8>,
    entries: Vec<InRun>,
}

struct InRun {
    end: usize,
    chain: Chain,
    log_time_before: i64,
    next_slot: u32,
}

/// One entry of a run.
pub(crate) struct Standing<'r> {
    /// Its canonical bytes.
    pub(crate) bytes: &'r [u8],
    /// The chain after it.
    pub(crate) chain: Chain,
    pub(crate) log_time_before: i64,
    /// The slot that its first add takes.
    pub(crate) next_slot: u32,
}

impl Run {
    /// An entry by its place in the block, where the run holds it.
    pub(crate) fn get(&self, at: usize) -> Option<Standing<'_>> {
        let place = at.checked_sub(self.first)?;
        let entry = self.entries.get(place)?;
        let begin =
            place.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(0, |before| before.end);
        let bytes = self.payload.get(begin + 4..entry.end)?;
        let InRun { chain, log_time_before, next_slot, .. } = *entry;
        Some(Standing { bytes, chain, log_time_before, next_slot })
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.len() + size_of_val(&*self.entries)
    }
}

/// Writes what is kept of the points of a block: the chain at each; then, column by column, how much further it is used at
/// each than at the one before.
pub(crate) fn put_points(chains: &[Chain], lengths: &[Vec<usize>], deflate: &mut Deflate) -> Vec<u8> {
    let mut part: Vec<u8> = chains.iter().flat_map(|chain| chain.0).collect();
    let columns = lengths.first().map_or(0, Vec::len);
    let used = (0..columns).flat_map(|column| {
        let mut before = 0;
        lengths.iter().filter_map(move |lengths| lengths.get(column)).map(move |length| {
            let more = length - before;
            before = *length;
            more as u64
        })
    });
    put_integers(&mut part, &used.collect::<Vec<_>>(), deflate);
    part
}

fn read_points(start: &BlockStart, part: &[u8]) -> Result<Points, Broken> {
    let wrong = Broken("there are not as many chain values as there must be");
    let count = (start.entries as usize).saturating_sub(1) / CHAIN_EVERY;
    let mut reader = Reader(part);
    let chains = (0..count).map(|_| reader.fixed().map(Chain)).collect::<Result<Vec<_>, _>>()?;
    let (more, stored) = IntegersShape::read_simple(&mut reader, &mut Inflate::new())?;
    reader.end()?;
    if more.len() != count * COLUMNS {
        return Err(wrong);
    }
    let more = more.open(stored)?;
    let mut used = vec![0; count * COLUMNS];
    for column in 0..COLUMNS {
        let mut before = 0_usize;
        for point in 0..count {
            let more = more.get(column * count + point).and_then(|more| usize::try_from(more).ok());
            before = before.checked_add(more.ok_or(wrong)?).ok_or(wrong)?;
            if let Some(used) = used.get_mut(point * COLUMNS + column) {
                *used = before;
            }
        }
    }
    Ok(Points { chains, used })
}

struct Join<'c> {
    cursors: Cursors<'c>,
    out: Vec<u8>,
    max: usize,
    /// Every integer takes a byte of an entry or more, so there are no more of them than bytes.
    steps: usize,
}

impl Join<'_> {
    #[inline]
    fn next(&mut self, column: Ints) -> Result<u64, Broken> {
        self.steps = self.steps.checked_sub(1).ok_or(Broken("the entries are longer than the block says"))?;
        self.cursors.next(column)
    }

    #[inline]
    fn next_foretold(&mut self, column: Ints, foretold: u64) -> Result<u64, Broken> {
        Ok(self.next(column)?.checked_sub(1).unwrap_or(foretold))
    }

    #[inline]
    fn check(&self) -> Result<(), Broken> {
        if self.out.len() > self.max {
            Err(Broken("the entries are longer than the block says"))
        } else {
            Ok(())
        }
    }
}

impl Passage for Join<'_> {
    fn literal(&mut self, byte: u8) -> Result<(), Broken> {
        self.out.push(byte);
        self.check()
    }

    #[inline]
    fn byte(&mut self, column: Ints) -> Result<u8, Broken> {
        let byte = u8::try_from(self.next(column)?).map_err(|_| Broken("a byte is out of bounds"))?;
        self.out.push(byte);
        self.check()?;
        Ok(byte)
    }

    #[inline]
    fn integer(&mut self, column: Ints) -> Result<u64, Broken> {
        let value = self.next(column)?;
        put_integer(&mut self.out, value);
        self.check()?;
        Ok(value)
    }

    #[inline]
    fn foretold(&mut self, column: Ints, foretold: u64) -> Result<u64, Broken> {
        let value = self.next_foretold(column, foretold)?;
        put_integer(&mut self.out, value);
        self.check()?;
        Ok(value)
    }

    #[inline]
    fn text(&mut self, bytes: Ints, column: Texts) -> Result<(), Broken> {
        let length = self.integer(bytes)?;
        self.fixed(length_of(length)?, column)
    }

    #[inline]
    fn fixed(&mut self, count: usize, column: Texts) -> Result<(), Broken> {
        let text = self.cursors.take(count, column)?;
        if text.len() > self.max.saturating_sub(self.out.len()) {
            return Err(Broken("the entries are longer than the block says"));
        }
        self.out.extend_from_slice(text);
        Ok(())
    }
}

// ---- Columns to the parts of entries ----

/// The parts of the entries of a block, straight from its columns; what is passed over is written nowhere.
pub(crate) struct BlockParts<'b>(Join<'b>);

impl Passage for BlockParts<'_> {
    fn literal(&mut self, _: u8) -> Result<(), Broken> {
        Ok(())
    }

    #[inline]
    fn byte(&mut self, column: Ints) -> Result<u8, Broken> {
        u8::try_from(self.0.next(column)?).map_err(|_| Broken("a byte is out of bounds"))
    }

    #[inline]
    fn integer(&mut self, column: Ints) -> Result<u64, Broken> {
        self.0.next(column)
    }

    #[inline]
    fn foretold(&mut self, column: Ints, foretold: u64) -> Result<u64, Broken> {
        self.0.next_foretold(column, foretold)
    }

    #[inline]
    fn text(&mut self, bytes: Ints, column: Texts) -> Result<(), Broken> {
        let length = self.0.next(bytes)?;
        self.0.cursors.pass(length_of(length)?, column)
    }

    #[inline]
    fn fixed(&mut self, count: usize, column: Texts) -> Result<(), Broken> {
        self.0.cursors.pass(count, column)
    }
}

impl<'b> Parts<'b> for BlockParts<'b> {
    /// Each column has a place of its own, so that what is not asked for is not even passed.
    #[inline]
    fn pass_head(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    #[inline]
    fn take(&mut self, count: usize, column: Texts) -> Result<&'b [u8], Broken> {
        self.0.cursors.take(count, column)
    }

    #[inline]
    fn take_text(&mut self, bytes: Ints, column: Texts) -> Result<&'b str, Broken> {
        let length = self.integer(bytes)?;
        self.0.cursors.take_text(length_of(length)?, column)
    }
}
