//! What authors would take back or do again next, of those after whose entries others came.
//!
//! What somebody takes back is what they did last, however much went on since. Read from the log it costs an entry and a
//! component out of their blocks; here it costs its place in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flow_history_replay::{Seq, Stacks, Tops};

use super::Recent;
use super::gathering::RECENT_BYTES;

/// How many are held, and about how many bytes they may be together.
const UNITS_MAX: usize = 1 << 10;
const WEIGHT_MAX: usize = 1 << 20;
/// About how many bytes one of them may be, with what takes it back.
const UNIT_WEIGHT_MAX: usize = RECENT_BYTES;

/// The newest units of authors, by number.
#[derive(Default)]
pub(super) struct NextUnits {
    /// The one that came the longest ago is the first to go.
    units: BTreeMap<Seq, Held>,
    /// Those of each author.
    of_owner: HashMap<Arc<str>, Tops>,
    weight: usize,
}

struct Held {
    recent: Recent,
    weight: usize,
}

/// Whether an entry is what its owner would take back or do again next.
pub(super) fn is_next(seq: Seq, owner: &str, stacks: &Stacks) -> bool {
    let tops = stacks.of_author(owner);
    tops.undo == Some(seq) || tops.redo == Some(seq)
}

impl NextUnits {
    /// Holds an entry that is next on a stack of its owner, in place of what was. Returns what is held no longer.
    pub(super) fn hold(&mut self, recent: Recent, stacks: &Stacks) -> Vec<Recent> {
        let (seq, owner) = (recent.entry.seq, Arc::clone(recent.entry.header.owner()));
        let tops = stacks.of_author(&owner);
        let mut gone = Vec::new();
        let held = self.of_owner.get(&owner).copied().unwrap_or_default();
        for old in [held.undo, held.redo].into_iter().flatten() {
            if !is_next(old, &owner, stacks) {
                gone.extend(self.let_go(old));
            }
        }
        let weight = recent.weight(UNIT_WEIGHT_MAX);
        if weight > UNIT_WEIGHT_MAX {
            gone.push(recent);
            return gone;
        }
        // What is on top of both stacks has one place, and gives way to the one that comes.
        let held = self.of_owner.entry(owner).or_default();
        if tops.undo == Some(seq) {
            held.redo = held.redo.or(held.undo.replace(seq));
        } else {
            held.undo = held.undo.or(held.redo.replace(seq));
        }
        self.weight += weight;
        self.units.insert(seq, Held { recent, weight });
        while self.units.len() > UNITS_MAX || self.weight > WEIGHT_MAX {
            let Some((&oldest, _)) = self.units.first_key_value() else { break };
            gone.extend(self.let_go(oldest));
        }
        gone
    }

    pub(super) fn find(&self, seq: Seq) -> Option<&Recent> {
        self.units.get(&seq).map(|held| &held.recent)
    }

    pub(super) fn let_go_up_to(&mut self, seq: Seq) {
        while let Some((&oldest, _)) = self.units.first_key_value()
            && oldest <= seq
        {
            self.let_go(oldest);
        }
    }

    fn let_go(&mut self, seq: Seq) -> Option<Recent> {
        let Held { recent, weight } = self.units.remove(&seq)?;
        self.weight -= weight;
        let owner = recent.entry.header.owner();
        if let Some(held) = self.of_owner.get_mut(owner) {
            held.undo = held.undo.filter(|undo| *undo != seq);
            held.redo = held.redo.filter(|redo| *redo != seq);
            if *held == Tops::default() {
                self.of_owner.remove(owner);
            }
        }
        Some(recent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_history_flow::{Map, Operation, Value};
    use flow_history_replay::{Author, Body, Chain, Entry, FlowVersionId, Header, Intent, Timestamp};

    use super::*;

    /// A change that replaced so long a text, and the stacks with it on top of those of its author.
    fn change(stacks: &mut Stacks, seq: u64, author: usize, replaced: usize) -> Recent {
        let author = Arc::new(Author::user(&format!("author-{author}")));
        let tops = Tops { undo: Some(Seq(seq)), redo: None };
        stacks.authors.insert(Arc::clone(&author.id), tops);
        let header = Header::new(author, Intent::Edit, Timestamp { millis: 0, zone_minutes: 0 });
        let body = Body::Change(vec![Operation::set("pump", "note", "")]);
        let id = FlowVersionId::new(Seq(seq), &Chain([0; 32]));
        // A name in a map weighs as much as what it names.
        let map: Map = [("a".repeat(replaced), Value::Null)].into_iter().collect();
        let inverses = Arc::new(vec![Operation::set("pump", "note", Value::Map(map))]);
        let entry = Arc::new(Entry::new(Seq(seq), id, header, body));
        Recent { entry, inverses, touched: Vec::new(), bytes: 100 }
    }

    fn check(units: &NextUnits) {
        assert!(units.units.len() <= UNITS_MAX && units.weight <= WEIGHT_MAX);
        assert_eq!(units.weight, units.units.values().map(|held| held.weight).sum::<usize>());
        let held: usize =
            units.of_owner.values().map(|tops| [tops.undo, tops.redo].iter().flatten().count()).sum();
        assert_eq!(held, units.units.len());
    }

    #[test]
    fn of_any_number_of_authors_and_whatever_they_replaced_the_newest_units_that_fit_are_held() {
        for (replaced, expected) in [(0, UNITS_MAX), (2_000, WEIGHT_MAX / 3_400), (UNIT_WEIGHT_MAX, 0)] {
            let (mut units, mut stacks) = (NextUnits::default(), Stacks::default());
            for seq in 1..=3_000 {
                let recent = change(&mut stacks, seq, usize::try_from(seq).unwrap(), replaced);
                units.hold(recent, &stacks);
                check(&units);
            }
            let newest = (1..=3_000).rev().take_while(|seq| units.find(Seq(*seq)).is_some()).count();
            assert!(newest >= expected && newest == units.units.len(), "{replaced}: {newest} of {expected}");
            units.let_go_up_to(Seq(3_000));
            check(&units);
            assert!(units.units.is_empty());
        }
    }

    #[test]
    fn what_is_on_top_of_both_stacks_of_an_author_stays_beside_what_comes() {
        let (mut units, mut stacks) = (NextUnits::default(), Stacks::default());
        let both = change(&mut stacks, 1, 0, 0);
        let owner = Arc::clone(both.entry.header.owner());
        let set = |stacks: &mut Stacks, undo, redo| {
            let tops = Tops { undo: Some(Seq(undo)), redo: Some(Seq(redo)) };
            stacks.authors.insert(Arc::clone(&owner), tops);
        };
        set(&mut stacks, 1, 1);
        units.hold(both, &stacks);
        for (seq, undo, redo) in [(2, 2, 1), (3, 1, 3)] {
            let next = change(&mut stacks, seq, 0, 0);
            set(&mut stacks, undo, redo);
            units.hold(next, &stacks);
            check(&units);
            assert!(units.find(Seq(1)).is_some() && units.find(Seq(seq)).is_some());
            assert_eq!(units.units.len(), 2);
        }
    }

    #[test]
    fn of_one_author_one_unit_is_held_however_many_they_made() {
        let (mut units, mut stacks) = (NextUnits::default(), Stacks::default());
        for seq in 1..=3_000 {
            let recent = change(&mut stacks, seq, 0, 0);
            units.hold(recent, &stacks);
            check(&units);
            assert_eq!(units.units.len(), 1);
        }
    }
}
