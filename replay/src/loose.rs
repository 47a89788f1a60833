//! Components that are not put together into a flow yet, and what entries do to them, slot by slot.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use flow_history_flow::{Assembly, Component, ComponentId, Name, Slot};

use crate::effects::{Act, Effect, Effects, Known, Stretch, Stretches, apply};
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

    /// Brings the components of a version to a later one, all of which is read here: while this thread reads the first of
    /// the entries between, `start` reads components on another, and then on both. It is called once on each, takes turns
    /// with itself, and gives parts that ascend; together they are all there are.
    ///
    /// # Errors
    /// As [`Loose::run_to`]; what `start` says, as the inner error.
    pub fn starting<E: Send>(
        log: &Log,
        (seq, next_slot, names): (Seq, Slot, Vec<Name>),
        to: Seq,
        start: impl Fn() -> Result<Vec<Vec<Placed>>, E> + Sync,
    ) -> Result<Result<Self, E>, LogError> {
        let mut stretches = Stretches::new(log, seq, to);
        let started = thread::scope(|scope| {
            // A thread that cannot be started is one that does not help.
            let second = thread::Builder::new().spawn_scoped(scope, &start);
            let first = stretches.next()?;
            let effects = first.as_ref().map(|stretch| stretch.effects(next_slot)).transpose()?;
            let here = start();
            let there = match second {
                Ok(second) => second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => Ok(Vec::new()),
            };
            let mut parts = match (here, there) {
                (Ok(mut here), Ok(there)) => {
                    here.extend(there);
                    here
                }
                (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
            };
            parts.sort_by_key(|part| part.first().map(|(slot, _)| *slot));
            let mut loose = Self::new(seq, parts.into_iter().flatten().collect(), next_slot, names);
            if let (Some(stretch), Some(effects)) = (&first, effects) {
                loose.apply(stretch, effects)?;
            }
            Ok(Ok(loose))
        })?;
        let Ok(mut loose) = started else { return Ok(started) };
        loose.run(&mut stretches)?;
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
            let (turns, ahead) = (&turns, &mut stretches);
            next = thread::scope(|scope| {
                let of_stretch = &stretch;
                let beside = move || -> Result<Option<Stretch>, LogError> {
                    let next = ahead.next()?;
                    of_stretch.check_chain(turns).map(|()| next)
                };
                let second = thread::Builder::new().spawn_scoped(scope, beside);
                let effects = stretch.effects(self.next_slot)?;
                self.apply(&stretch, effects)?;
                stretch.check_chain(turns)?;
                let there = second
                    .map(|second| second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                there.ok().transpose()
            })?
            .map_or_else(|| stretches.next(), Ok)?;
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

    /// Applies the entries after this version, up to a later one.
    ///
    /// # Errors
    /// [`LogError`], and then this is of no version at all. Why exactly, a [`Replay`](crate::Replay) says.
    pub fn run_to(&mut self, log: &Log, to: Seq) -> Result<(), LogError> {
        self.run(&mut Stretches::new(log, self.seq, to))
    }

    fn run(&mut self, stretches: &mut Stretches<'_>) -> Result<(), LogError> {
        while let Some(stretch) = stretches.next()? {
            let effects = stretch.effects(self.next_slot)?;
            self.apply(&stretch, effects)?;
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
        for (slot, component) in self.components {
            assembly.add(slot, component).map_err(|error| misfit(error.to_string()))?;
        }
        let flow = assembly.finish().map_err(|(_, error)| misfit(error.to_string()))?;
        Ok(Folded::of(self.seq, flow, self.names, self.entries))
    }

    fn apply(&mut self, stretch: &Stretch, effects: Effects<'_>) -> Result<(), LogError> {
        let Effects { row, names, mentioned, next_slot, .. } = effects;
        self.names.extend(names);
        self.next_slot = Slot(next_slot);
        self.apply_row(row, mentioned).map_err(|why| stretch.broken(why))?;
        self.entries += stretch.entries();
        self.seq = stretch.to();
        Ok(())
    }

    fn apply_row(&mut self, mut row: Vec<Effect<'_>>, mentioned: Vec<u32>) -> Result<(), Broken> {
        let ids = self.ids_of(mentioned, &row)?;
        let id_of = |slot| ids.get(&slot).cloned().ok_or("a slot is empty");
        let known = Known { name_of: |number: u32| self.names.get(number as usize).cloned(), id_of };

        // Slot and place in the row: what happens to one component stays in order.
        let mut order: Vec<(u32, u32)> =
            row.iter().zip(0..).map(|(effect, at)| (effect.slot.0, at)).collect();
        order.sort_unstable();
        let mut before = std::mem::take(&mut self.components).into_iter().peekable();
        let mut after = Vec::with_capacity(before.len());
        for of_slot in order.chunk_by(|one, other| one.0 == other.0) {
            let Some(slot) = of_slot.first().map(|(slot, _)| Slot(*slot)) else { continue };
            while let Some(untouched) = before.next_if(|(other, _)| *other < slot) {
                after.push(untouched);
            }
            let mut standing = before.next_if(|(other, _)| *other == slot).map(|(_, component)| component);
            for (_, at) in of_slot {
                let Some(effect) = row.get_mut(*at as usize) else { continue };
                let act = std::mem::replace(&mut effect.act, Act::Remove);
                let like = after.last().map(|(_, component): &Placed| &**component);
                apply(&mut standing, act, &known, like)?;
            }
            after.extend(standing.map(|component| (slot, component)));
        }
        after.extend(before);
        self.components = after;
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
