//! What need not be done, because what comes later in the same slot undoes it.
//!
//! A text that another one replaces is neither copied nor looked at, and of a component that is removed nothing is made. What
//! stays is the place of a field: a field that is new stands behind the others, however often it is given a value after
//! that.

use super::{Act, Effect};

/// What happens to one slot, by its place in a row of effects.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Turn {
    pub(crate) slot: u32,
    pub(crate) at: u32,
    /// Whether what it puts is put again later.
    pub(crate) is_passing: bool,
}

/// Puts turns in the order of their slots, those of one slot in the order of the row.
///
/// They come in the order of the row, so that counting does it, where the slots lie close enough to be counted.
pub(crate) fn sort(turns: Vec<Turn>) -> Vec<Turn> {
    let bounds = turns.iter().map(|turn| turn.slot).min().zip(turns.iter().map(|turn| turn.slot).max());
    let Some((least, most)) = bounds else { return turns };
    let place_of = |turn: &Turn| (turn.slot - least) as usize;
    let slots = (most - least) as usize + 1;
    if slots / 4 > turns.len() {
        let mut turns = turns;
        turns.sort_unstable();
        return turns;
    }
    let mut begins = vec![0_u32; slots];
    for turn in &turns {
        if let Some(count) = begins.get_mut(place_of(turn)) {
            *count += 1;
        }
    }
    let mut before = 0;
    for begin in &mut begins {
        before += std::mem::replace(begin, before);
    }
    let mut sorted = vec![Turn::default(); turns.len()];
    for turn in turns {
        let begin = begins.get_mut(place_of(&turn));
        if let Some(place) =
            begin.and_then(|begin| sorted.get_mut(std::mem::replace(begin, *begin + 1) as usize))
        {
            *place = turn;
        }
    }
    sorted
}

/// Which fields of the component in one slot are given a value by what comes later. One is used for many slots, one
/// after the other.
#[derive(Default)]
pub(crate) struct Later {
    /// For each name that has a number, the round in which it was last met.
    met: Vec<u32>,
    round: u32,
}

impl Later {
    /// For fields whose names have numbers below this.
    pub(crate) fn new(names: usize) -> Self {
        Self { met: vec![0; names], round: 0 }
    }

    /// Marks what is passing of the turns of one slot. Returns those that are left when everything up to the last removal is
    /// left out, and whether anything was.
    pub(crate) fn mark<'t>(&mut self, turns: &'t mut [Turn], row: &[Effect<'_>]) -> (&'t [Turn], bool) {
        self.begin();
        for place in (0..turns.len()).rev() {
            let Some(turn) = turns.get_mut(place) else { break };
            let Some(Effect { act, .. }) = row.get(turn.at as usize) else { break };
            match (act.puts(), act) {
                (Some(number), _) => turn.is_passing = self.meet(number),
                (None, Act::Remove) => return (turns.get(place + 1..).unwrap_or_default(), true),
                // What an edit does depends on what is there; what is spelt may be what another spells with a number.
                (None, Act::Edit(_) | Act::Put(_) | Act::Text(..)) => self.begin(),
                (None, Act::Move { .. } | Act::Add(_)) => {}
            }
        }
        (turns, false)
    }

    /// Whether a field is given a value by what comes after the first of the turns that were marked last.
    pub(crate) fn gives(&self, number: u32) -> bool {
        self.met.get(number as usize) == Some(&self.round)
    }

    /// Nothing was met so far.
    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.met.fill(0);
            self.round = 1;
        }
    }

    /// Whether a name was met before in this round.
    fn meet(&mut self, number: u32) -> bool {
        let round = self.round;
        self.met.get_mut(number as usize).is_some_and(|met| std::mem::replace(met, round) == round)
    }
}

#[cfg(test)]
mod tests {
    use super::{Turn, sort};

    #[test]
    fn turns_are_sorted_by_slot_and_stay_in_order_within_one() {
        for spread in [1, 7, 300, 40_000, u32::MAX] {
            let turn = |at: u32| Turn { slot: at.wrapping_mul(0x9e37_79b9) % spread, at, is_passing: false };
            for count in [0, 1, 2, 1_000] {
                let turns: Vec<Turn> = (0..count).map(turn).collect();
                let mut expected = turns.clone();
                expected.sort_by_key(|turn| turn.slot);
                assert_eq!(sort(turns), expected);
            }
        }
    }
}
