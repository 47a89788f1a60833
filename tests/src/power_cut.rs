//! Cutting the power after every step of a workload, and looking at what is left.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::disk::{Disk, Files, Outcome, Step};
use crate::oracle::{Said, check_crash};
use crate::workload::{Settings, Truth};

/// How the power is cut.
#[derive(Clone, Copy)]
pub struct Cuts {
    /// After a step with at most so many ways to keep or lose what is pending, all of them are tried.
    pub every_up_to: usize,
    /// And so many by chance, with torn sectors and garbage.
    pub by_chance: u64,
    /// Of images that differ from all before, one in so many is looked at by every route.
    pub whole_one_in: u64,
}

/// What was looked at.
#[derive(Default)]
pub struct Tally {
    /// Power cuts.
    pub cuts: usize,
    /// Images, distinct by what is on the disk and where the power was cut.
    images: HashSet<u64>,
    /// What was on the disk and had been said, and what was recovered from it: looked at once.
    looked_at: HashMap<u64, u64>,
    /// Images with torn sectors or garbage or other things by chance.
    pub by_chance: usize,
    /// Images that lost entries of the workload.
    pub lost_entries: usize,
    /// Workloads.
    pub workloads: u64,
}

fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Tally {
    /// Images, distinct by what is on the disk and where the power was cut.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Notes an image; says whether it is a new one.
    pub fn is_new(&mut self, files: &Files, name: u64, at: usize) -> bool {
        self.cuts += 1;
        self.images.insert(hash_of(&(hash_of(files), name, at)))
    }

    /// Distinct contents of disks, with what had been said.
    #[must_use]
    pub fn looked_at(&self) -> usize {
        self.looked_at.len()
    }

    /// Says what was looked at.
    pub fn tell(&self, name: &str) {
        eprintln!(
            "{name}: {} workloads, {} power cuts, {} distinct images, {} looked at, {} by chance, {} with entries missing",
            self.workloads,
            self.cuts,
            self.images(),
            self.looked_at(),
            self.by_chance,
            self.lost_entries
        );
    }
}

/// A workload whose power is cut: from which disk on, with which steps.
pub struct Sweep<'w> {
    /// What tells this workload from others.
    pub name: u64,
    /// The disk before the first step.
    pub start: &'w Disk,
    /// What happened to it.
    pub steps: &'w [Step],
    /// What had been said before the first step.
    pub said: Said,
    /// What is true after the last step.
    pub truth: &'w Truth,
    /// How the history was and will be opened.
    pub settings: &'w Settings,
}

impl<'w> Sweep<'w> {
    /// Of a history from its first step on: nothing had been said before.
    #[must_use]
    pub fn from_the_start(
        name: u64,
        start: &'w Disk,
        (steps, truth): (&'w [Step], &'w Truth),
        settings: &'w Settings,
    ) -> Self {
        Self { name, start, steps, said: Said::all(0), truth, settings }
    }

    /// Cuts the power after every step, until so many images were seen.
    ///
    /// # Panics
    /// Where what is left is not what must be, with the faults that it takes.
    pub fn run(&self, cuts: Cuts, most: usize, tally: &mut Tally) {
        tally.workloads += 1;
        self.each_image(cuts, most, tally, |_, _, _, _| {});
    }

    /// As [`Sweep::run`], and does something with each image that differs from all before.
    ///
    /// # Panics
    /// As [`Sweep::run`].
    pub fn each_image(
        &self,
        cuts: Cuts,
        most: usize,
        tally: &mut Tally,
        mut then: impl FnMut(&mut Tally, Files, Said, u64),
    ) {
        let mut disk = self.start.clone();
        let mut said = self.said;
        for at in 0..=self.steps.len() {
            if let Some(step) = at.checked_sub(1).map(|at| &self.steps[at]) {
                disk.take(step).unwrap();
                match step {
                    Step::Attempting(seq) => said.attempted = said.attempted.max(*seq),
                    Step::Acknowledged(seq) => said.acknowledged = *seq,
                    Step::Pruning(seq) => said.pruning = *seq,
                    Step::Pruned(seq) => said.pruned = *seq,
                    _ => {}
                }
            }
            let every = disk.every_outcome(cuts.every_up_to);
            let plain = if every.is_none() { vec![disk.outcome(0), disk.outcome(1)] } else { Vec::new() };
            let by_chance = if disk.is_pending() { cuts.by_chance } else { 0 };
            let seeds = (2..2 + by_chance).map(|outcome| (self.name << 20) + 1_000 * at as u64 + outcome);
            let mut outcomes: Vec<(Outcome, bool)> =
                every.into_iter().flatten().chain(plain).map(|outcome| (outcome, false)).collect();
            outcomes.extend(seeds.map(|seed| (disk.outcome(seed), true)));
            for (outcome, is_by_chance) in outcomes {
                if tally.images.len() >= most {
                    return;
                }
                tally.cuts += 1;
                let files = disk.left(&outcome);
                let content = hash_of(&files);
                if !tally.images.insert(hash_of(&(content, self.name, at))) {
                    continue;
                }
                let seen = hash_of(&(content, said, self.name));
                if tally.looked_at.contains_key(&seen) {
                    continue;
                }
                tally.by_chance += usize::from(is_by_chance);
                let whole = seen.is_multiple_of(cuts.whole_one_in);
                let recovered = match self.look(&files, said, at, whole) {
                    Ok(recovered) => recovered,
                    Err(why) => panic!("{}", self.story(&why, &disk, outcome, said, at, whole)),
                };
                tally.looked_at.insert(seen, recovered);
                tally.lost_entries += usize::from(recovered < self.truth.seq());
                then(tally, files, said, recovered);
            }
        }
    }

    fn look(&self, files: &Files, said: Said, at: usize, whole: bool) -> Result<u64, String> {
        let look = || check_crash(files, said, self.truth, self.settings, self.name ^ at as u64, whole);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(look))
            .unwrap_or_else(|_| Err("a panic".to_owned()))
    }

    fn story(&self, why: &str, disk: &Disk, outcome: Outcome, said: Said, at: usize, whole: bool) -> String {
        let faults = outcome.faults();
        let least = outcome.least(|outcome| self.look(&disk.left(outcome), said, at, whole).is_err());
        let short = |step: &Step| match step {
            Step::Write(file, offset, bytes) => format!("write {file} {offset}+{}", bytes.len()),
            other => format!("{other:?}"),
        };
        let last: Vec<String> = self.steps[at.saturating_sub(14)..at].iter().map(short).collect();
        let sizes =
            |files: &Files| files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect::<Vec<_>>();
        format!(
            "power cut after step {at} of {}, workload {}; {said:?}: {why}\nlast steps: {last:#?}\n{faults} faults; it takes \
             these: {:#?}\nleft: {:?}\nFLOW_HISTORY_SEED={} runs it again",
            self.steps.len(),
            self.name,
            disk.tell(&least),
            sizes(&disk.left(&least)),
            self.name
        )
    }
}
