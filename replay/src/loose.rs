//! Components that are not put together into a flow yet, and what entries do to them, slot by slot.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use flow_history_flow::{Assembly, Component, ComponentId, Guesses, Name, Slot};

use crate::both::{End, Parts, both, in_order, on_both};
use crate::effects::{
    Act, Allowance, Effect, Effects, Known, Later, PIECES, Stretch, Stretches, Turn, WHOLE, apply, pass, sort,
};
use crate::sealed::Broken;
use crate::{Folded, Log, LogError, Seq, What};

/// A component, and its slot.
pub type Placed = (Slot, Arc<Component>);

/// The components of a version, ascending by slot: what a checkpoint gives, to be brought to a later version before they
/// are put together.
///
/// A [`Folded`] applies one entry after the other to a flow, each at another place of memory. Here all that happens to a
/// component is done at once, and the components are gone through in the order in which they lie. Of a log that a
/// [`Replay`](crate::Replay) accepts both give its flow; what makes a log none that it accepts is left to it.
#[derive(Clone, Debug)]
pub struct Loose {
    seq: Seq,
    components: Vec<Placed>,
    next_slot: Slot,
    /// The names that entries up to here gave numbers to.
    names: Vec<Name>,
    entries: u64,
}

impl Loose {
    /// The components of a version, ascending by slot; the slot that its next add takes; the names that have numbers
    /// there.
    #[must_use]
    pub fn new(seq: Seq, components: Vec<Placed>, next_slot: Slot, names: Vec<Name>) -> Self {
        Self { seq, components, next_slot, names, entries: 0 }
    }

    /// The components of a flow, which it shares.
    #[must_use]
    pub fn of(folded: &Folded) -> Self {
        let flow = folded.flow();
        let components = flow.iter().map(|(slot, component)| (slot, Arc::clone(component))).collect();
        Self::new(folded.seq(), components, flow.next_slot(), folded.names().to_vec())
    }

    /// Brings the components of a version to a later one, all of which is read here: on each of two threads `start` reads
    /// components from its end on, before or after it is seen to the first of the entries between. It takes turns with itself, and
    /// gives parts that ascend inside; together they are all there are, about as many as is said.
    ///
    /// # Errors
    /// As [`Loose::run_to`]; what `start` says, as the inner error.
    pub fn starting<E: Send>(
        log: &Log,
        (seq, next_slot, names, about): (Seq, Slot, Vec<Name>, u64),
        to: Seq,
        start: impl Fn(End) -> Result<Vec<Vec<Placed>>, E> + Sync,
    ) -> Result<Result<Self, E>, LogError> {
        let mut stretches = Stretches::new(log, seq, to).onto(about);
        let first = stretches.next()?;
        let (pieces, allowance) = match &first {
            Some(of) => (of.pieces(PIECES), of.allowance()),
            None => (Vec::new(), Allowance::default()),
        };
        let pieces = Parts::new(pieces);
        let read =
            |end| pieces.work(end, |piece| first.as_ref().map(|of| of.read(piece, &allowance, next_slot)));
        let ((effects, here), there) =
            both(|| (start(End::Last), read(End::Last)), || (read(End::First), start(End::First)));
        let (there, effects_there) = there.unwrap_or_else(|| (Ok(Vec::new()), Vec::new()));
        let mut parts = match (here, there) {
            (Ok(mut here), Ok(there)) => {
                here.extend(there);
                here
            }
            (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
        };
        parts.sort_by_key(|part| part.first().map(|(slot, _)| *slot));
        let mut loose = Self::new(seq, parts.into_iter().flatten().collect(), next_slot, names);
        if let Some(stretch) = &first {
            let effects = stretch.joined(next_slot, in_order(effects, effects_there).flatten())?;
            loose.apply(stretch, effects, PIECES)?;
        }
        loose.run(&mut stretches, PIECES)?;
        Ok(Ok(loose))
    }

    /// As [`Loose::run_to`], and checks that every entry is where the hash chain says it is. A second thread helps.
    ///
    /// # Errors
    /// As [`Loose::run_to`].
    pub fn run_checked(&mut self, log: &Log, to: Seq) -> Result<(), LogError> {
        let mut stretches = Stretches::new(log, self.seq, to);
        let mut next = stretches.next()?;
        while let Some(stretch) = next.take() {
            let turns = AtomicUsize::new(0);
            let (here, there) = both(
                || {
                    let next = stretches.next()?;
                    stretch.check_chain(&turns).map(|()| next)
                },
                || {
                    let effects = stretch.effects(self.next_slot, WHOLE)?;
                    self.apply(&stretch, effects, WHOLE)?;
                    stretch.check_chain(&turns)
                },
            );
            here?;
            next = there.unwrap_or_else(|| stretches.next())?;
        }
        Ok(())
    }

    /// The version.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The components.
    #[must_use]
    pub fn components(&self) -> &[Placed] {
        &self.components
    }

    /// How many entries were read to get here.
    #[must_use]
    pub fn entries_read(&self) -> u64 {
        self.entries
    }

    /// Applies the entries after this version, up to a later one.
    ///
    /// # Errors
    /// [`LogError`], and then this is of no version at all. Why exactly, a [`Replay`](crate::Replay) says.
    pub fn run_to(&mut self, log: &Log, to: Seq) -> Result<(), LogError> {
        self.run(&mut self.stretches(log, to), WHOLE)
    }

    /// As [`Loose::run_to`]. A second thread helps.
    ///
    /// # Errors
    /// As [`Loose::run_to`].
    pub fn run_on_both(&mut self, log: &Log, to: Seq) -> Result<(), LogError> {
        self.run(&mut self.stretches(log, to), PIECES)
    }

    fn stretches<'l>(&self, log: &'l Log, to: Seq) -> Stretches<'l> {
        Stretches::new(log, self.seq, to).onto(self.components.len() as u64)
    }

    fn run(&mut self, stretches: &mut Stretches<'_>, pieces: usize) -> Result<(), LogError> {
        while let Some(stretch) = stretches.next()? {
            let effects = stretch.effects(self.next_slot, pieces)?;
            self.apply(&stretch, effects, pieces)?;
        }
        Ok(())
    }

    /// Puts the components together.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where they are no flow.
    pub fn into_folded(self) -> Result<Folded, LogError> {
        let misfit = |misfit: String| LogError::damaged("", 0, Some(self.seq), What::Misfit(misfit));
        let mut assembly = Assembly::new(self.next_slot);
        let pieces = if self.components.len() < COMPONENTS_FOR_TWO { WHOLE } else { PIECES };
        let checked = on_both(pieces_of(self.components, pieces), |piece| assembly.check(piece));
        for checked in checked {
            assembly.take(checked);
        }
        let flow = assembly.finish().map_err(|(_, error)| misfit(error.to_string()))?;
        Ok(Folded::of(self.seq, flow, self.names, self.entries))
    }

    fn apply(&mut self, stretch: &Stretch, effects: Effects<'_>, pieces: usize) -> Result<(), LogError> {
        let Effects { row, names, mentioned, next_slot, .. } = effects;
        self.names.extend(names);
        self.next_slot = Slot(next_slot);
        self.apply_row(&row, mentioned, pieces).map_err(|why| stretch.broken(why))?;
        self.entries += stretch.entries();
        self.seq = stretch.to();
        Ok(())
    }

    fn apply_row(&mut self, row: &[Effect<'_>], mentioned: Vec<u32>, pieces: usize) -> Result<(), Broken> {
        let ids = self.ids_of(mentioned, row)?;
        let names = &*self.names;
        let id_of = |slot| ids.get(&slot).cloned().ok_or("a slot is empty");
        let known = Known { name_of: |number: u32| names.get(number as usize), id_of };
        let shares = shares(std::mem::take(&mut self.components), row, pieces);
        let after = on_both(shares, |share| share.apply(row, &known, names.len()));
        for share in after {
            let mut share = share?;
            if self.components.is_empty() {
                self.components = share;
            } else {
                self.components.append(&mut share);
            }
        }
        Ok(())
    }

    /// The ids of what stands in the slots that are mentioned, when it is mentioned.
    fn ids_of(
        &self,
        mut mentioned: Vec<u32>,
        row: &[Effect<'_>],
    ) -> Result<HashMap<u32, ComponentId>, Broken> {
        mentioned.sort_unstable();
        mentioned.dedup();
        let mut ids = HashMap::with_capacity(mentioned.len());
        if mentioned.is_empty() {
            return Ok(ids);
        }
        for slot in &mentioned {
            if let Ok(place) = self.components.binary_search_by_key(slot, |(other, _)| other.0)
                && let Some((_, component)) = self.components.get(place)
            {
                ids.insert(*slot, component.id.clone());
            }
        }
        for effect in row {
            if let Act::Add(adding) = &effect.act
                && mentioned.binary_search(&effect.slot.0).is_ok()
                && let Some(other) = ids.insert(effect.slot.0, adding.id.clone())
                && other != adding.id
            {
                // Which of the two was meant depends on when. The way through a flow knows.
                return Err(Broken("a slot has more than one id"));
            }
        }
        Ok(ids)
    }
}

/// The components in some slots that follow each other, and what happens in these slots.
struct Share {
    before: Vec<Placed>,
    turns: Vec<Turn>,
}

/// From how many effects on a second thread is worth its start; few where this is tested.
const EFFECTS_FOR_TWO: usize = if cfg!(test) { 10 } else { 2_000 };

/// From how many components on a second thread is worth its start; few where this is tested.
const COMPONENTS_FOR_TWO: usize = if cfg!(test) { 10 } else { 2_000 };

/// All components, as so many pieces that are of about as many.
fn pieces_of(mut components: Vec<Placed>, pieces: usize) -> Vec<Vec<Placed>> {
    let most = components.len().div_ceil(pieces.max(1));
    let mut behind: Vec<Vec<Placed>> =
        (1..pieces).rev().map(|piece| components.split_off((piece * most).min(components.len()))).collect();
    behind.push(components);
    behind.reverse();
    behind
}

/// All components and effects, as so many shares that are of about as many effects each.
fn shares(components: Vec<Placed>, row: &[Effect<'_>], pieces: usize) -> Vec<Share> {
    let turn = |(at, effect): (u32, &Effect<'_>)| Turn { slot: effect.slot.0, at, is_passing: false };
    let turns = (0..).zip(row).map(turn);
    if pieces == WHOLE || row.len() < EFFECTS_FOR_TWO.max(pieces) {
        return vec![Share { before: components, turns: turns.collect() }];
    }
    // Slots of effects here and there say where the shares have to end.
    let mut sample: Vec<u32> =
        row.iter().step_by((row.len() / 256).max(1)).map(|effect| effect.slot.0).collect();
    sample.sort_unstable();
    let mut begins: Vec<u32> =
        (1..pieces).filter_map(|place| sample.get(place * sample.len() / pieces).copied()).collect();
    begins.dedup();
    let room = row.len() / pieces * 5 / 4;
    let share = || Share { before: Vec::new(), turns: Vec::with_capacity(room) };
    let mut shares: Vec<Share> = (0..=begins.len()).map(|_| share()).collect();
    for turn in turns {
        let place = begins.partition_point(|begin| *begin <= turn.slot);
        if let Some(share) = shares.get_mut(place) {
            share.turns.push(turn);
        }
    }
    let mut rest = components;
    for (share, begin) in shares.iter_mut().skip(1).zip(&begins).rev() {
        share.before = rest.split_off(rest.partition_point(|(slot, _)| slot.0 < *begin));
    }
    if let Some(first) = shares.first_mut() {
        first.before = rest;
    }
    shares
}

impl Share {
    /// The components after all that happens to them. `names` is how many names have numbers.
    fn apply<'n, N: Fn(u32) -> Option<&'n Name>, F: Fn(u32) -> Result<ComponentId, &'static str>>(
        self,
        row: &[Effect<'_>],
        known: &Known<N, F>,
        names: usize,
    ) -> Result<Vec<Placed>, Broken> {
        let Self { before, turns } = self;
        let mut turns = sort(turns);
        let mut before = before.into_iter();
        let mut after = Vec::with_capacity(before.len());
        let (mut later, mut places) = (Later::new(names), Guesses::default());
        let mut rest = turns.as_mut_slice();
        while !rest.is_empty() {
            let (some, behind) = rest.split_at_mut(some_slots(rest));
            rest = behind;
            look_ahead(some, row, before.as_slice());
            for of_slot in some.chunk_by_mut(|one, other| one.slot == other.slot) {
                let Some(slot) = of_slot.first().map(|turn| Slot(turn.slot)) else { continue };
                while before.as_slice().first().is_some_and(|(other, _)| *other < slot) {
                    after.extend(before.next());
                }
                let is_there = before.as_slice().first().is_some_and(|(other, _)| *other == slot);
                let standing = if is_there { before.next() } else { None };
                let mut standing = standing.map(|(_, component)| component);
                let (left, is_removed) = later.mark(of_slot, row);
                if is_removed {
                    standing = None;
                }
                for turn in left {
                    let Some(Effect { act, .. }) = row.get(turn.at as usize) else { continue };
                    let like = after.last().map(|(_, component): &Placed| &**component);
                    match act.puts().filter(|_| turn.is_passing) {
                        Some(number) => pass(&mut standing, number, known, &mut places)?,
                        None => apply(&mut standing, act, known, &later, &mut places, like)?,
                    }
                }
                after.extend(standing.map(|component| (slot, component)));
            }
        }
        after.extend(before);
        Ok(after)
    }
}

/// Turns whose effects and components are looked at before they are gone through.
const TURNS_AHEAD: usize = 256;

/// How many of the first turns are about that many, of whole slots.
fn some_slots(turns: &[Turn]) -> usize {
    let last = turns.get(TURNS_AHEAD - 1).map(|turn| turn.slot);
    last.map_or(turns.len(), |last| {
        TURNS_AHEAD + turns.iter().skip(TURNS_AHEAD).take_while(|turn| turn.slot == last).count()
    })
}

/// Reads a little of everything that will be needed, one thing after the other: where none of it is in a cache, a processor
/// waits for many at a time, and while they are gone through for one after the other.
fn look_ahead(turns: &[Turn], row: &[Effect<'_>], before: &[Placed]) {
    let mut seen = 0_usize;
    for turn in turns {
        if let Some(Effect { act: Act::Text(_, text), .. }) = row.get(turn.at as usize) {
            seen = seen.wrapping_add(text.as_bytes().first().copied().unwrap_or_default().into());
        }
    }
    let mut rest = before;
    for turn in turns {
        let untouched = rest.iter().take_while(|(other, _)| other.0 < turn.slot).count();
        rest = rest.get(untouched..).unwrap_or_default();
        if let Some(((slot, component), behind)) = rest.split_first()
            && slot.0 == turn.slot
        {
            seen = seen.wrapping_add(component.glance());
            rest = behind;
        }
    }
    std::hint::black_box(seen);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_history_flow::{Component, Name, Slot};

    use super::{Loose, PIECES, Placed, WHOLE};
    use crate::Seq;
    use crate::effects::{Act, Effect};

    /// What one thread makes of effects, whatever they are, is what applying one after the other makes of them, and so is what
    /// two make of shares of them.
    #[test]
    fn shares_and_what_is_left_out_change_nothing() {
        let names: Vec<Name> = ["a", "b", "c", "d"].map(Name::from).to_vec();
        let mut state = 1_u32;
        let mut below = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        for slots in [1, 3, 60, 500] {
            let made =
                |slot: u32| (Slot(slot), Arc::new(Component::new(format!("{slot}"), "x").field("b", "0")));
            let components: Vec<Placed> = (0..slots).map(made).collect();
            let texts: Vec<String> = (0..600).map(|at| format!("text {at}")).collect();
            let mut expected = components.clone();
            let mut row = Vec::new();
            for text in &texts {
                let slot = below(slots);
                // Those of slot 0 go on after a removal would have ended them.
                let Some(place) = expected.iter().position(|(other, _)| other.0 == slot) else { continue };
                let act = match below(40) {
                    0 if slot > 0 => Act::Remove,
                    _ => Act::Text(below(4), text),
                };
                match &act {
                    Act::Text(number, text) => {
                        let component = Arc::make_mut(&mut expected[place].1);
                        component.fields.put(&names[*number as usize], *text);
                    }
                    _ => drop(expected.remove(place)),
                }
                row.push(Effect { slot: Slot(slot), act });
            }
            assert!(row.len() > 100 || slots > 1, "{} effects", row.len());
            for pieces in [WHOLE, PIECES] {
                let mut loose = Loose::new(Seq(1), components.clone(), Slot(slots), names.clone());
                loose.apply_row(&row, Vec::new(), pieces).unwrap();
                assert_eq!(loose.components(), expected, "{slots} slots");
            }
        }
    }
}
