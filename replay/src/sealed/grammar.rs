//! The grammar of an entry in encoding 1, walked once for both ways: canonical bytes to columns, and columns back to
//! canonical bytes. What it does not decide, such as whether a number of a name is known, passes through unchanged.

use super::integer::Broken;
use crate::ENCODING;

macro_rules! columns {
    ($(#[$meta:meta])* $name:ident: $($column:ident),* $(,)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum $name { $($column),* }

        impl $name {
            pub(crate) const ALL: &[$name] = &[$($name::$column),*];
            pub(crate) const COUNT: usize = Self::ALL.len();
        }
    };
}

columns! {
    /// Columns of integers, in the order in which they are stored; the first fifteen are the heads of a block.
    Ints:
    Extras, Elapsed, Behind, Zone, Author, Intent, FlowBeneath, OwnBeneath, Body, Operations, Operation, Slot, Again,
    Parent, Field,
    // With the ids.
    IdBytes,
    // The bodies.
    Kind, OrderBytes, Fields, AddField, Steps, Step, StepBytes, Index, Edit, Place, Token, Integer, TextBytes, BytesBytes,
    Items, KeyBytes, Component, SpeltBytes, Extra, ExtraInt, ExtraBytes, Base, Mark, MarkInt, MarkBytes,
}

columns! {
    /// Columns of texts and other bytes, in the order in which they are stored.
    Texts:
    Id, Order, Step, Text, Bytes, Key, Spelt, Extra, Mark, Fixed,
}

/// How many columns of integers are heads: what says which entry touched which slot, and when.
pub(crate) const HEADS: usize = Ints::IdBytes as usize;

/// One way through an entry: every part is named by the column that it goes to or comes from.
pub(crate) trait Passage {
    /// A byte that is always the same.
    fn literal(&mut self, byte: u8) -> Result<(), Broken>;
    /// A byte.
    fn byte(&mut self, column: Ints) -> Result<u8, Broken>;
    /// An integer.
    fn integer(&mut self, column: Ints) -> Result<u64, Broken>;
    /// An integer that is mostly what was foretold.
    fn foretold(&mut self, column: Ints, value: u64) -> Result<u64, Broken>;
    /// A length, and so many bytes.
    fn text(&mut self, bytes: Ints, column: Texts) -> Result<(), Broken>;
    /// So many bytes.
    fn fixed(&mut self, count: usize, column: Texts) -> Result<(), Broken>;
}

/// What foretells how far back the units beneath an entry lie: the newest unit of the flow and of each author, as far as
/// the block goes.
#[derive(Clone, Default)]
pub(crate) struct Units {
    flow: Option<u64>,
    authors: Vec<u64>,
}

/// Most authors whose newest unit is remembered.
const AUTHORS_MAX: u64 = 1 << 10;

impl Units {
    fn own(&self, author: u64) -> Option<u64> {
        let author = usize::try_from(author).ok()?;
        self.authors.get(author).copied().filter(|seq| *seq > 0)
    }

    fn add(&mut self, seq: u64, author: u64) {
        self.flow = Some(seq);
        if let Some(author) = usize::try_from(author).ok().filter(|_| author < AUTHORS_MAX) {
            if self.authors.len() <= author {
                self.authors.resize(author + 1, 0);
            }
            if let Some(place) = self.authors.get_mut(author) {
                *place = seq;
            }
        }
    }
}

fn unknown<T>(what: &'static str) -> Result<T, Broken> {
    Err(Broken(what))
}

/// Leads the entry `seq` through.
pub(crate) fn entry<P: Passage>(p: &mut P, units: &mut Units, seq: u64) -> Result<(), Broken> {
    p.literal(ENCODING)?;
    for _ in 0..p.integer(Ints::Extras)? {
        extra(p, seq)?;
    }
    p.integer(Ints::Elapsed)?;
    p.integer(Ints::Behind)?;
    p.integer(Ints::Zone)?;
    let author = p.integer(Ints::Author)?;
    // Edits, reverts, restores, imports and merges go on top of the undo stacks.
    let is_unit = matches!(p.byte(Ints::Intent)?, 0 | 3..=6);
    let back = |unit: Option<u64>| unit.filter(|_| is_unit).map_or(0, |unit| seq - unit);
    p.foretold(Ints::FlowBeneath, back(units.flow))?;
    p.foretold(Ints::OwnBeneath, back(units.own(author)))?;
    if is_unit {
        units.add(seq, author);
    }
    match p.integer(Ints::Body)? {
        0 => (0..p.integer(Ints::Operations)?).try_for_each(|_| operation(p)),
        1 => mark(p),
        _ => unknown("a body is of no known kind"),
    }
}

fn author<P: Passage>(p: &mut P) -> Result<(), Broken> {
    p.text(Ints::ExtraBytes, Texts::Extra)?;
    p.text(Ints::ExtraBytes, Texts::Extra)?;
    p.byte(Ints::ExtraInt)?;
    optional(p)
}

fn optional<P: Passage>(p: &mut P) -> Result<(), Broken> {
    match p.byte(Ints::ExtraInt)? {
        0 => Ok(()),
        1 => p.text(Ints::ExtraBytes, Texts::Extra),
        _ => unknown("an optional part is neither there nor absent"),
    }
}

fn extra<P: Passage>(p: &mut P, seq: u64) -> Result<(), Broken> {
    let kind = p.integer(Ints::Extra)?;
    extra_of(p, kind, seq)
}

/// Leads what an extra of a kind holds through.
pub(crate) fn extra_of<P: Passage>(p: &mut P, kind: u64, seq: u64) -> Result<(), Broken> {
    let text = |p: &mut P| p.text(Ints::ExtraBytes, Texts::Extra);
    match kind {
        0 => (0..p.integer(Ints::ExtraInt)?).try_for_each(|_| text(p)),
        1 => (0..p.integer(Ints::ExtraInt)?).try_for_each(|_| author(p)),
        2 => author(p),
        3 | 6 | 7 | 9 => text(p),
        4 => (0..3).try_for_each(|_| optional(p)),
        5 => (0..p.integer(Ints::ExtraInt)?).try_for_each(|_| match p.integer(Ints::ExtraInt)? {
            0..=4 => p.integer(Ints::ExtraInt).map(drop),
            5 | 6 => p.fixed(16, Texts::Fixed),
            7 => p.integer(Ints::ExtraInt).and_then(|_| p.integer(Ints::ExtraInt)).map(drop),
            _ => unknown("a link is of no known kind"),
        }),
        8 => (0..p.integer(Ints::ExtraInt)?).try_for_each(|_| text(p).and_then(|()| text(p))),
        10 => p.foretold(Ints::Base, seq.saturating_sub(1)).map(drop),
        11 => {
            text(p)?;
            p.integer(Ints::ExtraInt)?;
            p.integer(Ints::ExtraInt).map(drop)
        }
        _ => unknown("an extra is of no known kind"),
    }
}

fn name<P: Passage>(p: &mut P, column: Ints) -> Result<(), Broken> {
    match p.integer(column)? {
        0 => p.text(Ints::SpeltBytes, Texts::Spelt),
        _ => Ok(()),
    }
}

#[inline]
fn operation<P: Passage>(p: &mut P) -> Result<(), Broken> {
    match p.integer(Ints::Operation)? {
        0 => {
            p.integer(Ints::Again)?;
            p.text(Ints::IdBytes, Texts::Id)?;
            name(p, Ints::Kind)?;
            p.integer(Ints::Parent)?;
            p.text(Ints::OrderBytes, Texts::Order)?;
            (0..p.integer(Ints::Fields)?).try_for_each(|_| {
                name(p, Ints::AddField)?;
                value(p)
            })
        }
        1 => p.integer(Ints::Slot).map(drop),
        2 => {
            p.integer(Ints::Slot)?;
            name(p, Ints::Field)?;
            for _ in 0..p.integer(Ints::Steps)? {
                match p.integer(Ints::Step)? {
                    0 => p.text(Ints::StepBytes, Texts::Step)?,
                    1 => drop(p.integer(Ints::Index)?),
                    _ => return unknown("a step is of no known kind"),
                }
            }
            match p.integer(Ints::Edit)? {
                0 => value(p),
                1 => p.integer(Ints::Place).and_then(|_| value(p)),
                2 => Ok(()),
                3 => {
                    p.fixed(8, Texts::Fixed)?;
                    (0..p.integer(Ints::Items)?).try_for_each(|_| {
                        p.integer(Ints::Place)?;
                        p.integer(Ints::Place)?;
                        p.text(Ints::TextBytes, Texts::Text)
                    })
                }
                _ => unknown("an edit is of no known kind"),
            }
        }
        3 => {
            p.integer(Ints::Slot)?;
            p.integer(Ints::Parent)?;
            p.text(Ints::OrderBytes, Texts::Order)
        }
        _ => unknown("an operation is of no known kind"),
    }
}

#[inline]
fn value<P: Passage>(p: &mut P) -> Result<(), Broken> {
    let mut pending = 1_u64;
    while let Some(left) = pending.checked_sub(1) {
        pending = left;
        match p.integer(Ints::Token)? {
            0..=2 => {}
            3 => drop(p.integer(Ints::Integer)?),
            4 | 5 | 11 => p.text(Ints::TextBytes, Texts::Text)?,
            6 => p.text(Ints::BytesBytes, Texts::Bytes)?,
            7 => pending = pending.saturating_add(p.integer(Ints::Items)?),
            8 => pending = pending.saturating_add(p.integer(Ints::Items)?.saturating_mul(2)),
            9 => p.text(Ints::KeyBytes, Texts::Key)?,
            10 => drop(p.integer(Ints::Component)?),
            12 => p.fixed(32, Texts::Fixed)?,
            _ => return unknown("a token is of no known kind"),
        }
    }
    Ok(())
}

/// Leads a mark through.
pub(crate) fn mark<P: Passage>(p: &mut P) -> Result<(), Broken> {
    match p.integer(Ints::Mark)? {
        0 | 13 => p.fixed(16, Texts::Fixed),
        1 | 3 | 10 => Ok(()),
        2 | 6 | 7 => p.integer(Ints::MarkInt).map(drop),
        4 | 8 => {
            p.text(Ints::MarkBytes, Texts::Mark)?;
            p.integer(Ints::MarkInt).map(drop)
        }
        5 | 9 => p.text(Ints::MarkBytes, Texts::Mark),
        11 => {
            p.text(Ints::MarkBytes, Texts::Mark)?;
            p.text(Ints::MarkBytes, Texts::Mark)
        }
        12 => {
            p.integer(Ints::MarkInt)?;
            p.fixed(32, Texts::Fixed)
        }
        14 => {
            p.fixed(16, Texts::Fixed)?;
            p.text(Ints::MarkBytes, Texts::Mark)?;
            p.integer(Ints::MarkInt)?;
            p.fixed(32, Texts::Fixed)
        }
        _ => unknown("a mark is of no known kind"),
    }
}
