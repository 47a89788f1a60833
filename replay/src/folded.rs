//! The flow of a version, and nothing else of it: what is read of an entry is what it does to the flow.
//!
//! Checksums are checked, the hash chain is not: what was sealed was compared with it then, and a frame is summed. Whoever
//! needs an entry believed for its own sake, or a verdict on the log, asks a [`Replay`](crate::Replay), which is also what
//! says why something here cannot be folded.

use std::sync::Arc;

use flow_history_flow::{
    CHANGE_OPERATIONS_MAX, Component, ComponentId, Edit, Flow, Inverse, Map, Name, Operation, Order, Path,
    Slot, Splice, Splices, Step, Value,
};

use crate::canonical::{Token, ValueBytes};
use crate::log::EntryRanges;
use crate::sealed::{Broken, Ints, Parts, PlainParts, Reader, Texts, extra_of, mark};
use crate::{ENCODING, Log, LogError, SegmentIndex, Seq, State, What, token};

/// The flow of a version, to be folded on.
#[derive(Clone)]
pub struct Folded {
    seq: Seq,
    flow: Flow,
    /// The names that entries up to here gave numbers to.
    names: Vec<Name>,
    entries: u64,
}

impl From<&State> for Folded {
    fn from(state: &State) -> Self {
        let names = state.vocabulary.names_from(0).to_vec();
        Self { seq: state.seq, flow: state.flow.clone(), names, entries: 0 }
    }
}

impl Folded {
    /// The version.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Its flow.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// How many entries were folded to get here.
    #[must_use]
    pub fn entries_folded(&self) -> u64 {
        self.entries
    }

    /// Folds the entries after this one up to a later one.
    ///
    /// # Errors
    /// [`LogError`], and then this is of no version at all. Why exactly, a [`Replay`](crate::Replay) says.
    pub fn run_to(&mut self, log: &Log, to: Seq) -> Result<(), LogError> {
        let mut at = log.segment_of(self.seq.next().unwrap_or(self.seq));
        while self.seq < to {
            match log.segments().get(at) {
                Some(summary) => match &summary.sealed {
                    Some(sealed) => self.fold_sealed(sealed, to)?,
                    None => self.fold_raw(log, at, to)?,
                },
                None => return Err(LogError::damaged("", 0, Some(to), What::LogIsShorter)),
            }
            at += 1;
        }
        Ok(())
    }

    fn fold_sealed(&mut self, sealed: &SegmentIndex, to: Seq) -> Result<(), LogError> {
        for at in sealed.blocks_from(self.seq.next().unwrap_or(self.seq))? {
            if self.seq >= to {
                break;
            }
            let block = sealed.block(at)?;
            let start = block.heads.start;
            let broken = |seq: Seq, why| sealed.broken(0, Some(seq), why);
            let next = self.seq.next().unwrap_or_default();
            let skip = next.0.checked_sub(start.first_seq.0).and_then(|skip| usize::try_from(skip).ok());
            let skip = skip.ok_or_else(|| broken(next, Broken("a block is not the next")))?;
            let mut parts = block.parts_from(skip).map_err(|why| broken(next, why))?;
            for _ in skip..start.entries as usize {
                if self.seq >= to {
                    break;
                }
                self.fold(&mut parts).map_err(|why| broken(self.seq, why))?;
            }
        }
        Ok(())
    }

    fn fold_raw(&mut self, log: &Log, at: usize, to: Seq) -> Result<(), LogError> {
        let mut walk = log.walk(at)?;
        while self.seq < to {
            let Some((frame, payload)) = walk.next_frame()? else { break };
            if frame.entries == 0 || frame.last_seq() <= self.seq {
                continue;
            }
            let mut ranges = EntryRanges::new(&walk, payload);
            for seq in frame.first_seq.0..=frame.last_seq().0.min(to.0) {
                let broken = |place, Broken(why)| {
                    LogError::damaged(&walk.file, walk.place(place), Some(Seq(seq)), What::Layout(why))
                };
                let Some(range) = ranges.next_range()? else {
                    return Err(broken(walk.offset(), Broken("a frame holds fewer entries than it says")));
                };
                if seq <= self.seq.0 {
                    continue;
                }
                let bytes = walk.segment.bytes.get(range.clone()).unwrap_or_default();
                let mut parts = PlainParts(Reader(bytes));
                self.fold(&mut parts).and_then(|()| parts.0.end()).map_err(|why| broken(range.start, why))?;
            }
        }
        Ok(())
    }

    /// Folds the next entry.
    fn fold<'b>(&mut self, parts: &mut impl Parts<'b>) -> Result<(), Broken> {
        self.seq = self.seq.next().ok_or(Broken("there is no sequence number left"))?;
        self.entries += 1;
        parts.literal(ENCODING)?;
        for _ in 0..parts.integer(Ints::Extras)? {
            match parts.integer(Ints::Extra)? {
                0 => {
                    for _ in 0..parts.integer(Ints::ExtraInt)? {
                        self.names.push(Name::from(text(parts.take_text(Ints::ExtraBytes, Texts::Extra)?)?));
                    }
                }
                kind => extra_of(parts, kind, self.seq.0)?,
            }
        }
        parts.pass_head()?;
        match parts.integer(Ints::Body)? {
            0 => {
                let count = parts.integer(Ints::Operations)?;
                if count > CHANGE_OPERATIONS_MAX as u64 {
                    return Err(Broken("it has too many operations"));
                }
                (0..count).try_for_each(|_| self.apply(parts))
            }
            1 => mark(parts),
            _ => Err(Broken("a body is of no known kind")),
        }
    }

    fn apply<'b>(&mut self, parts: &mut impl Parts<'b>) -> Result<(), Broken> {
        match parts.integer(Ints::Operation)? {
            0 => self.add(parts),
            1 => {
                let slot = Slot(narrow(parts.integer(Ints::Slot)?)?);
                let id = self.id_in(slot.0)?;
                self.apply_found(&Operation::Remove { id }, Some(slot))
            }
            2 => self.set(parts),
            3 => {
                let slot = Slot(narrow(parts.integer(Ints::Slot)?)?);
                let id = self.id_in(slot.0)?;
                let parent = self.parent(parts)?;
                let order = Order::from_bytes(parts.take_text(Ints::OrderBytes, Texts::Order)?);
                self.apply_found(&Operation::Move { id, parent, order }, Some(slot))
            }
            _ => Err(Broken("an operation is of no known kind")),
        }
    }

    fn apply_found(&mut self, operation: &Operation, found: Option<Slot>) -> Result<(), Broken> {
        self.flow.apply_found(operation, found, Inverse::Unwanted).map(drop).map_err(|_| UNFIT)
    }

    fn add<'b>(&mut self, parts: &mut impl Parts<'b>) -> Result<(), Broken> {
        let again = narrow(parts.integer(Ints::Again)?)?;
        let id = ComponentId::from(text(parts.take_text(Ints::IdBytes, Texts::Id)?)?);
        let mut component = Component::new(id, self.name(parts, Ints::Kind)?);
        component.parent = self.parent(parts)?;
        component.order = Order::from_bytes(parts.take_text(Ints::OrderBytes, Texts::Order)?);
        let mut fields = Vec::new();
        for _ in 0..parts.integer(Ints::Fields)? {
            fields.push((self.name(parts, Ints::AddField)?, self.value(parts)?));
        }
        component.fields = Map::of_distinct(fields).ok_or(Broken("a field comes twice"))?;
        let found = self.flow.slot(&component.id);
        let slot = again.checked_sub(1).map(Slot);
        self.apply_found(&Operation::Add { component: Arc::new(component), slot }, found)
    }

    fn set<'b>(&mut self, parts: &mut impl Parts<'b>) -> Result<(), Broken> {
        let slot = Slot(narrow(parts.integer(Ints::Slot)?)?);
        let field = self.name(parts, Ints::Field)?;
        let mut steps = Vec::new();
        for _ in 0..parts.integer(Ints::Steps)? {
            steps.push(match parts.integer(Ints::Step)? {
                0 => Step::Key(Name::from(text(parts.take_text(Ints::StepBytes, Texts::Step)?)?)),
                1 => Step::Index(narrow(parts.integer(Ints::Index)?)?),
                _ => return Err(Broken("a step is of no known kind")),
            });
        }
        let edit = match parts.integer(Ints::Edit)? {
            0 => {
                let value = self.value(parts)?;
                if steps.is_empty() {
                    return self.flow.put_in(slot, &field, value).map_err(|_| UNFIT);
                }
                Edit::Put(value)
            }
            1 => Edit::Place(narrow(parts.integer(Ints::Place)?)?, self.value(parts)?),
            2 => Edit::Clear,
            3 => Edit::Splice(splices(parts)?),
            _ => return Err(Broken("an edit is of no known kind")),
        };
        self.flow.set_in(slot, &Path { field, steps }, &edit).map_err(|_| UNFIT)
    }

    /// The id of the component in a slot. Entries name slots as they are when an operation comes, not before the entry.
    fn id_in(&self, slot: u32) -> Result<ComponentId, Broken> {
        let held = self.flow.component_in(Slot(slot));
        held.map(|component| component.id.clone()).ok_or(Broken("a slot is empty"))
    }

    fn parent<'b>(&self, parts: &mut impl Parts<'b>) -> Result<Option<ComponentId>, Broken> {
        let parent: u32 = narrow(parts.integer(Ints::Parent)?)?;
        parent.checked_sub(1).map(|slot| self.id_in(slot)).transpose()
    }

    fn name<'b>(&self, parts: &mut impl Parts<'b>, column: Ints) -> Result<Name, Broken> {
        match parts.integer(column)?.checked_sub(1) {
            None => Ok(Name::from(text(parts.take_text(Ints::SpeltBytes, Texts::Spelt)?)?)),
            Some(number) => {
                let known = usize::try_from(number).ok().and_then(|number| self.names.get(number));
                known.cloned().ok_or(Broken("a name is not known"))
            }
        }
    }

    fn value<'b>(&self, parts: &mut impl Parts<'b>) -> Result<Value, Broken> {
        let id_of = |slot| self.id_in(slot).map_err(|Broken(why)| why);
        match next_token(parts)? {
            // What most values are.
            Token::Text(text) => Ok(Value::Text(text.into())),
            first => {
                let too_deep = || Broken("a value is nested too deep");
                let tokens = ValueBytes::of_tokens(first, || next_token(parts), too_deep)?;
                token::from_tokens(tokens, id_of).map_err(|_| Broken("a value is none"))
            }
        }
    }
}

const UNFIT: Broken = Broken("an operation does not fit the flow");

fn narrow(value: u64) -> Result<u32, Broken> {
    u32::try_from(value).map_err(|_| Broken("a number is out of bounds"))
}

fn text(bytes: &[u8]) -> Result<&str, Broken> {
    std::str::from_utf8(bytes).map_err(|_| Broken("a text is none"))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Broken> {
    bytes.try_into().map_err(|_| Broken("it ends early"))
}

fn splices<'b>(parts: &mut impl Parts<'b>) -> Result<Splices, Broken> {
    let result = array(parts.take(8, Texts::Fixed)?)?;
    let mut pieces = Vec::new();
    for _ in 0..parts.integer(Ints::Items)? {
        let (keep, remove) = (narrow(parts.integer(Ints::Place)?)?, narrow(parts.integer(Ints::Place)?)?);
        let insert = text(parts.take_text(Ints::TextBytes, Texts::Text)?)?.into();
        pieces.push(Splice { keep, remove, insert });
    }
    Ok(Splices { pieces, result })
}

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
        4 => Token::Lexeme(text(parts.take_text(Ints::TextBytes, Texts::Text)?)?),
        5 => Token::Text(text(parts.take_text(Ints::TextBytes, Texts::Text)?)?),
        6 => Token::Bytes(parts.take_text(Ints::BytesBytes, Texts::Bytes)?),
        7 => Token::List(narrow(parts.integer(Ints::Items)?)?),
        8 => Token::Map(narrow(parts.integer(Ints::Items)?)?),
        9 => Token::Key(text(parts.take_text(Ints::KeyBytes, Texts::Key)?)?),
        10 => Token::Component(narrow(parts.integer(Ints::Component)?)?),
        11 => Token::Nowhere(text(parts.take_text(Ints::TextBytes, Texts::Text)?)?),
        12 => {
            let bytes = array::<32>(parts.take(32, Texts::Fixed)?)?;
            let (id, tag) = bytes.split_at(16);
            Token::Secret { id: array(id)?, tag: array(tag)? }
        }
        _ => return Err(Broken("a token is of no known kind")),
    })
}
