//! Entries to what they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flow_history_flow::{CHANGE_OPERATIONS_MAX, ComponentId, Name, Slot, Splice, Splices, Step};

use super::{Act, Adding, Edited, Editing, Effect};
use crate::ENCODING;
use crate::canonical::{NameBytes, Token, ValueBytes};
use crate::sealed::{Broken, Ints, Parts, Texts, extra_of, mark};

/// Room is made beforehand for no more effects than this.
const EXPECTED_MAX: usize = 1 << 17;

/// Room is made beforehand for no more fields of a component than this.
const FIELDS_EXPECTED_MAX: usize = 64;

/// The most operations, values inside others, and names of entries that are read together, or the most for each of many entries, so
/// that a small file that says it holds very many takes no more memory than this. What exceeds it is for whoever reads one
/// entry after the other.
const PARTS_MAX: usize = 1 << 20;
const PARTS_AN_ENTRY: usize = 8;

/// What some entries in a row do.
pub(crate) struct Effects<'b> {
    /// In the order of the operations.
    pub(crate) row: Vec<Effect<'b>>,
    /// The names that they give numbers to.
    pub(crate) names: Vec<Name>,
    /// Slots of components that are referred to, as parents or in values.
    pub(crate) mentioned: Vec<u32>,
    /// The slot that the first add takes, and the one that the next add takes.
    pub(crate) first_slot: u32,
    pub(crate) next_slot: u32,
    /// How many more parts may be read before more are asked for.
    left: usize,
    allowance: Allowance,
}

/// How many parts may still be read, by all who read of the same entries.
#[derive(Clone)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

impl Default for Allowance {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(PARTS_MAX)))
    }
}

impl Allowance {
    /// For so many entries.
    pub(crate) fn of(entries: u64) -> Self {
        let parts = usize::try_from(entries).unwrap_or(usize::MAX).saturating_mul(PARTS_AN_ENTRY);
        Self(Arc::new(AtomicUsize::new(parts.max(PARTS_MAX))))
    }

    /// At least so many, and some more where there are.
    fn take(&self, parts: usize) -> Option<usize> {
        const LOT: usize = 1 << 12;
        let grant = |left: usize| (left >= parts).then(|| left.min(parts.saturating_add(LOT)));
        let left = self
            .0
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                grant(left).map(|granted| left - granted)
            })
            .ok()?;
        grant(left)
    }
}

impl<'b> Effects<'b> {
    /// Room for so many, and for more.
    pub(crate) fn new(next_slot: Slot, expected: usize, allowance: &Allowance) -> Self {
        Self {
            row: Vec::with_capacity(expected.min(EXPECTED_MAX)),
            names: Vec::new(),
            mentioned: Vec::new(),
            first_slot: next_slot.0,
            next_slot: next_slot.0,
            left: 0,
            allowance: allowance.clone(),
        }
    }

    /// Reads the entry `seq`.
    pub(crate) fn read(&mut self, parts: &mut impl Parts<'b>, seq: u64) -> Result<(), Broken> {
        parts.literal(ENCODING)?;
        for _ in 0..parts.integer(Ints::Extras)? {
            match parts.integer(Ints::Extra)? {
                0 => {
                    for _ in 0..parts.integer(Ints::ExtraInt)? {
                        self.names.push(Name::from(parts.take_text(Ints::ExtraBytes, Texts::Extra)?));
                        self.take(1)?;
                    }
                }
                kind => extra_of(parts, kind, seq)?,
            }
        }
        parts.pass_head()?;
        match parts.integer(Ints::Body)? {
            0 => {
                let count = parts.integer(Ints::Operations)?;
                if count > CHANGE_OPERATIONS_MAX as u64 {
                    return Err(Broken("it has too many operations"));
                }
                (0..count).try_for_each(|_| self.operation(parts))
            }
            1 => mark(parts),
            _ => Err(Broken("a body is of no known kind")),
        }
    }

    fn operation(&mut self, parts: &mut impl Parts<'b>) -> Result<(), Broken> {
        let effect = match parts.integer(Ints::Operation)? {
            0 => self.add(parts)?,
            1 => Effect { slot: slot(parts)?, act: Act::Remove },
            2 => self.set(parts)?,
            3 => {
                let (slot, parent) = (slot(parts)?, self.parent(parts)?);
                let order = parts.take_bytes(Ints::OrderBytes, Texts::Order)?;
                Effect { slot, act: Act::Move { parent, order } }
            }
            _ => return Err(Broken("an operation is of no known kind")),
        };
        self.row.push(effect);
        self.take(1)
    }

    /// Counts parts that were read.
    #[inline]
    fn take(&mut self, parts: usize) -> Result<(), Broken> {
        if self.left < parts {
            self.left += self.allowance.take(parts).ok_or(TOO_MUCH)?;
        }
        self.left -= parts;
        Ok(())
    }

    /// Those of the entries behind, which were read by somebody else.
    pub(crate) fn append(&mut self, mut behind: Effects<'b>) {
        self.row.append(&mut behind.row);
        self.names.append(&mut behind.names);
        self.mentioned.append(&mut behind.mentioned);
        self.next_slot = behind.next_slot;
    }

    fn add(&mut self, parts: &mut impl Parts<'b>) -> Result<Effect<'b>, Broken> {
        let again: u32 = narrow(parts.integer(Ints::Again)?)?;
        let id = ComponentId::from(parts.take_text(Ints::IdBytes, Texts::Id)?);
        let kind = name(parts, Ints::Kind)?;
        let parent = self.parent(parts)?;
        let order = parts.take_bytes(Ints::OrderBytes, Texts::Order)?;
        let count = parts.integer(Ints::Fields)?;
        let mut fields =
            Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(FIELDS_EXPECTED_MAX));
        for _ in 0..count {
            fields.push((name(parts, Ints::AddField)?, self.value(parts)?));
            self.take(1)?;
        }
        let slot = match again.checked_sub(1) {
            Some(slot) => slot,
            None => {
                self.next_slot = self.next_slot.checked_add(1).ok_or(Broken("a slot is out of bounds"))?;
                self.next_slot - 1
            }
        };
        let adding = Adding { id, again: again > 0, kind, parent, order, fields };
        Ok(Effect { slot: Slot(slot), act: Act::Add(Box::new(adding)) })
    }

    fn set(&mut self, parts: &mut impl Parts<'b>) -> Result<Effect<'b>, Broken> {
        let slot = slot(parts)?;
        let field = name(parts, Ints::Field)?;
        let mut steps = Vec::new();
        for _ in 0..parts.integer(Ints::Steps)? {
            steps.push(match parts.integer(Ints::Step)? {
                0 => Step::Key(Name::from(parts.take_text(Ints::StepBytes, Texts::Step)?)),
                1 => Step::Index(narrow(parts.integer(Ints::Index)?)?),
                _ => return Err(Broken("a step is of no known kind")),
            });
            self.take(1)?;
        }
        let (field, edit) = match parts.integer(Ints::Edit)? {
            0 => {
                let value = self.value(parts)?;
                match (field, value) {
                    (field, value) if !steps.is_empty() => (field, Edited::Put(value)),
                    (NameBytes::Numbered(number), ValueBytes::Flat(Token::Text(text))) => {
                        return Ok(Effect { slot, act: Act::Text(number, text) });
                    }
                    put => return Ok(Effect { slot, act: Act::Put(Box::new(put)) }),
                }
            }
            1 => (field, Edited::Place(narrow(parts.integer(Ints::Place)?)?, self.value(parts)?)),
            2 => (field, Edited::Clear),
            3 => (field, Edited::Splice(self.splices(parts)?)),
            _ => return Err(Broken("an edit is of no known kind")),
        };
        Ok(Effect { slot, act: Act::Edit(Box::new(Editing { field, steps, edit })) })
    }

    fn parent(&mut self, parts: &mut impl Parts<'b>) -> Result<Option<u32>, Broken> {
        let parent: u32 = narrow(parts.integer(Ints::Parent)?)?;
        let parent = parent.checked_sub(1);
        self.mentioned.extend(parent);
        Ok(parent)
    }

    #[inline]
    fn value(&mut self, parts: &mut impl Parts<'b>) -> Result<ValueBytes<'b>, Broken> {
        match next_token(parts)? {
            // What most values are.
            text @ Token::Text(_) => Ok(ValueBytes::Flat(text)),
            first => {
                let too_deep = || Broken("a value is nested too deep");
                self.take(1)?;
                let next = || {
                    self.take(1)?;
                    next_token(parts)
                };
                let value = ValueBytes::of_tokens(first, next, too_deep)?;
                let tokens = value.tokens();
                self.mentioned.extend(tokens.iter().filter_map(|token| match token {
                    Token::Component(slot) => Some(*slot),
                    _ => None,
                }));
                Ok(value)
            }
        }
    }

    fn splices(&mut self, parts: &mut impl Parts<'b>) -> Result<Splices, Broken> {
        let result = array(parts.take(8, Texts::Fixed)?)?;
        let mut pieces = Vec::new();
        for _ in 0..parts.integer(Ints::Items)? {
            let (keep, remove) = (narrow(parts.integer(Ints::Place)?)?, narrow(parts.integer(Ints::Place)?)?);
            let insert = parts.take_text(Ints::TextBytes, Texts::Text)?.into();
            pieces.push(Splice { keep, remove, insert });
            self.take(1)?;
        }
        Ok(Splices { pieces, result })
    }
}

const TOO_MUCH: Broken = Broken("it does too much to be read at once");

#[inline]
fn slot<'b>(parts: &mut impl Parts<'b>) -> Result<Slot, Broken> {
    narrow(parts.integer(Ints::Slot)?).map(Slot)
}

#[inline]
fn name<'b>(parts: &mut impl Parts<'b>, column: Ints) -> Result<NameBytes<'b>, Broken> {
    match parts.integer(column)?.checked_sub(1) {
        None => Ok(NameBytes::Spelt(parts.take_text(Ints::SpeltBytes, Texts::Spelt)?)),
        Some(number) => narrow(number).map(NameBytes::Numbered),
    }
}

#[inline]
fn narrow(value: u64) -> Result<u32, Broken> {
    u32::try_from(value).map_err(|_| Broken("a number is out of bounds"))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Broken> {
    bytes.try_into().map_err(|_| Broken("it ends early"))
}

#[inline]
fn next_token<'b>(parts: &mut impl Parts<'b>) -> Result<Token<'b>, Broken> {
    Ok(match parts.integer(Ints::Token)? {
        0 => Token::Null,
        1 => Token::False,
        2 => Token::True,
        3 => {
            // Zigzag: the lowest bit is the sign.
            let value = parts.integer(Ints::Integer)?;
            Token::Integer((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
        }
        4 => Token::Lexeme(parts.take_text(Ints::TextBytes, Texts::Text)?),
        5 => Token::Text(parts.take_text(Ints::TextBytes, Texts::Text)?),
        6 => Token::Bytes(parts.take_bytes(Ints::BytesBytes, Texts::Bytes)?),
        7 => Token::List(narrow(parts.integer(Ints::Items)?)?),
        8 => Token::Map(narrow(parts.integer(Ints::Items)?)?),
        9 => Token::Key(parts.take_text(Ints::KeyBytes, Texts::Key)?),
        10 => Token::Component(narrow(parts.integer(Ints::Component)?)?),
        11 => Token::Nowhere(parts.take_text(Ints::TextBytes, Texts::Text)?),
        12 => {
            let bytes = array::<32>(parts.take(32, Texts::Fixed)?)?;
            let (id, tag) = bytes.split_at(16);
            Token::Secret { id: array(id)?, tag: array(tag)? }
        }
        _ => return Err(Broken("a token is of no known kind")),
    })
}
