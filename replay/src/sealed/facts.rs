//! What a segment's entries say of slots, ids, vocabulary and undo stacks, gathered without a state.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history_flow::Name;

use super::block::Columns;
use super::footer::{Moved, Owner};
use super::grammar::{Ints, Texts, Units};
use super::header::Grown;
use super::indexes::{SlotIndex, hash_of};
use super::integer::{Broken, Reader};
use crate::stacks::{Tops, units_back};

use crate::{Author, Seq};

/// Facts about entries, as they are followed one by one.
pub(crate) struct Facts {
    scratch: Columns,
    /// The last entry.
    pub(crate) seq: Seq,
    /// Its log time.
    pub(crate) log_time: i64,
    /// What there is after it.
    pub(crate) grown: Grown,
    /// Which blocks touched which slot.
    pub(crate) slots: SlotIndex,
    /// The whole hash of each id that got a new slot, in the order of slots.
    pub(crate) ids: Vec<u64>,
    pub(crate) names: Vec<Name>,
    pub(crate) authors: Vec<Arc<Author>>,
    pub(crate) flow_tops: Option<Moved>,
    pub(crate) author_tops: BTreeMap<Owner, Moved>,
}

impl Facts {
    /// Before the first entry.
    pub(crate) fn new(seq: Seq, log_time: i64, grown: Grown) -> Self {
        Self {
            scratch: Columns::new(),
            seq,
            log_time,
            grown,
            slots: SlotIndex::new(),
            ids: Vec::new(),
            names: Vec::new(),
            authors: Vec::new(),
            flow_tops: None,
            author_tops: BTreeMap::new(),
        }
    }

    /// Follows the next entry, which stands in this block.
    pub(crate) fn follow(&mut self, canonical: &[u8], block: u32) -> Result<(), String> {
        let why = |Broken(why)| why.to_owned();
        let seq = self.seq.next().ok_or("there is no sequence number left")?;
        let mut columns = std::mem::replace(&mut self.scratch, Columns::new_empty());
        columns.clear();
        // With nothing to foretell from, a number is stored as 0 or one more than it is.
        let result = columns
            .shred(canonical, &mut Units::default(), seq.0)
            .and_then(|()| self.operations(&columns, block))
            .map_err(why)
            .and_then(|()| self.header(&columns, canonical, seq));
        self.scratch = columns;
        result?;
        self.seq = seq;
        Ok(())
    }

    fn operations(&mut self, columns: &Columns, block: u32) -> Result<(), Broken> {
        let out = Broken("a slot is out of bounds");
        let narrow = |slot: u64| u32::try_from(slot).map_err(|_| out);
        let mut slots = columns.ints(Ints::Slot).iter();
        let mut agains = columns.ints(Ints::Again).iter();
        let mut ids = Reader(columns.texts(Texts::Id));
        let mut lengths = columns.ints(Ints::IdBytes).iter();
        for kind in columns.ints(Ints::Operation) {
            let slot = if *kind == 0 {
                let again = agains.next().copied().ok_or(out)?;
                let length = lengths.next().copied().and_then(|length| usize::try_from(length).ok());
                let id = ids.take(length.ok_or(out)?)?;
                match again.checked_sub(1) {
                    Some(slot) => narrow(slot)?,
                    None => {
                        self.ids.push(hash_of(id, u64::BITS));
                        let slot = self.grown.next_slot;
                        self.grown.next_slot = slot.checked_add(1).ok_or(out)?;
                        slot
                    }
                }
            } else {
                narrow(slots.next().copied().ok_or(out)?)?
            };
            let blocks = self.slots.entry(slot).or_default();
            if blocks.last() != Some(&block) {
                blocks.push(block);
            }
        }
        Ok(())
    }

    fn header(&mut self, columns: &Columns, canonical: &[u8], seq: Seq) -> Result<(), String> {
        let one = |column: Ints| columns.ints(column).first().copied().unwrap_or_default();
        self.log_time =
            self.log_time.checked_add_unsigned(one(Ints::Elapsed)).ok_or("its time is out of bounds")?;
        let mut owner = one(Ints::Author).checked_sub(1).map(|number| {
            u32::try_from(number).map(Owner::Number).map_err(|_| "its author is not known".to_owned())
        });
        let mut redo = (0, 0);
        // New names and authors, an author spelt out, and the owner of what is undone.
        if columns.ints(Ints::Extra).iter().any(|extra| matches!(extra, 0..=2 | 11)) {
            let shared = crate::canonical::shared_of(canonical)?;
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            self.grown.names = self.grown.names.saturating_add(count(shared.names.len()));
            self.grown.authors = self.grown.authors.saturating_add(count(shared.authors.len()));
            self.names.extend(shared.names);
            self.authors.extend(shared.authors);
            if let Some(author) = shared.spelt {
                owner = owner.or(Some(Ok(Owner::Id(Arc::clone(&author.id)))));
            }
            if let Some((id, flow_redo, own_redo)) = shared.owner {
                owner = Some(Ok(Owner::Id(id)));
                redo = (flow_redo, own_redo);
            }
        }
        if one(Ints::Body) != 0 {
            return Ok(());
        }
        let back = |back: u64| units_back(seq, back);
        let undo = (one(Ints::FlowBeneath).saturating_sub(1), one(Ints::OwnBeneath).saturating_sub(1));
        let moved = |undo: u64, redo: u64| {
            let beneath = Tops { undo: back(undo)?, redo: back(redo)? };
            let tops = match one(Ints::Intent) {
                1 => Tops { redo: Some(seq), ..beneath },
                2 => Tops { undo: Some(seq), ..beneath },
                _ => Tops { undo: Some(seq), redo: None },
            };
            Ok::<_, String>(Moved { at: seq, tops })
        };
        if matches!(one(Ints::Intent), 0..=6) {
            self.flow_tops = Some(moved(undo.0, redo.0)?);
            let owner = owner.ok_or("it has no author")??;
            self.author_tops.insert(owner, moved(undo.1, redo.1)?);
        }
        Ok(())
    }
}
