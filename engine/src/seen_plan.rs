//! A plan, what was done, and why something was refused, as somebody may see it.
//!
//! A plan is about several versions: the one that it is made on, and those before and after the entries that it takes
//! back. What may not be read in one of them is put out of sight.

use flow_history_flow::{ComponentId, Conflict, Obstacle, Operation};
use flow_history_replay::Seq;

use crate::authorizer::{Denial, Vanished};
use crate::reader::{Reader, SeenOperation, see_operation};
use crate::undo::{Applied, Plan, Right};
use crate::veil::Veil;
use crate::{Error, Stub};

/// What stands in place of words that may speak of what may not be read.
const REDACTED: &str = "(redacted)";
/// Why somebody may not, where they may not read the policy that says so either.
const BY_A_HIDDEN_POLICY: &str = "by a policy that may not be read";

/// What an undo, redo, revert or restore would do, or did, as somebody may see it: as many of everything as there are. In
/// place of an id that may not be seen stands that of its [`Stub`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SeenPlan {
    /// The operations, in order.
    pub operations: Vec<SeenOperation>,
    /// What is in the way; of what may not be seen [`Obstacle::Redacted`].
    pub conflicts: Vec<Conflict>,
    /// Components that nobody asked for and that go, or come back, with the others.
    pub dependents: Vec<ComponentId>,
    /// The rights that it needs.
    pub rights: Vec<Right>,
    /// Which of these its author does not have.
    pub denials: Vec<Denial>,
    /// Whom policies that come back no longer name.
    pub vanished: Vec<Vanished>,
    /// The entries that it takes back or does again, the newest first; or the version that it restores.
    pub taken: Vec<Seq>,
}

impl Reader {
    /// A plan as somebody may see it. The host applies and finishes the plan itself.
    ///
    /// # Errors
    /// Those of [`crate::History::at`].
    pub fn plan(&self, plan: &Plan) -> Result<SeenPlan, Error> {
        let whole = SeenPlan {
            operations: whole(plan.operations()),
            conflicts: plan.conflicts().to_vec(),
            dependents: plan.dependents().to_vec(),
            rights: plan.rights().to_vec(),
            denials: plan.denials().to_vec(),
            vanished: plan.vanished().to_vec(),
            taken: plan.taken().to_vec(),
        };
        self.see_plan(whole, plan.base().seq())
    }

    /// What was done as somebody may see it.
    ///
    /// # Errors
    /// Those of [`crate::History::at`].
    pub fn applied(&self, applied: &Applied) -> Result<SeenPlan, Error> {
        let whole = SeenPlan {
            operations: whole(&applied.operations),
            conflicts: applied.conflicts.clone(),
            vanished: applied.vanished.clone(),
            taken: applied.taken.clone(),
            ..SeenPlan::default()
        };
        self.see_plan(whole, applied.version.seq())
    }

    /// Why an undo, redo, revert or restore was refused, as somebody may see it. Other errors speak of no component, or of
    /// one that the caller named; they are as they were.
    ///
    /// # Errors
    /// Those of [`crate::History::at`].
    pub fn refusal(&self, error: Error) -> Result<Error, Error> {
        let head = self.history().version().seq();
        Ok(match error {
            Error::Denied { denial, entries } => {
                let seen = SeenPlan { denials: vec![*denial], taken: entries, ..SeenPlan::default() };
                let SeenPlan { mut denials, taken, .. } = self.see_plan(seen, head)?;
                match denials.pop() {
                    Some(denial) => Error::Denied { denial: Box::new(denial), entries: taken },
                    None => Error::Conflicts { entries: taken, conflicts: Vec::new() },
                }
            }
            Error::Conflicts { entries, conflicts } => {
                let seen = SeenPlan { conflicts, taken: entries, ..SeenPlan::default() };
                let SeenPlan { conflicts, taken, .. } = self.see_plan(seen, head)?;
                Error::Conflicts { entries: taken, conflicts }
            }
            Error::Stale { base, head, components } => {
                let seen = SeenPlan { dependents: components, ..SeenPlan::default() };
                let seen = self.see_at(seen, base.seq())?;
                Error::Stale { base, head, components: self.see_at(seen, head.seq())?.dependents }
            }
            Error::Vetoed { component, reason } => {
                let version = [self.version(head)?];
                match self.veil(&version).stub(&component) {
                    Some(stub) => Error::Vetoed { component: stub.id(), reason: REDACTED.to_owned() },
                    None => Error::Vetoed { component, reason },
                }
            }
            other => other,
        })
    }

    fn see_plan(&self, mut seen: SeenPlan, base: Seq) -> Result<SeenPlan, Error> {
        if self.sees_everything() {
            return Ok(seen);
        }
        let was: Vec<String> = seen.denials.iter().map(ToString::to_string).collect();
        // What was put out of sight by one version is so for the next: its stub stands in none.
        let around = seen.taken.iter().flat_map(|seq| [Some(*seq), seq.previous()]).flatten();
        let mut versions: Vec<Seq> = around.chain([base]).collect();
        // Of entries that follow one another each version is between two.
        versions.dedup();
        for version in versions {
            seen = self.see_at(seen, version)?;
        }
        for conflict in &mut seen.conflicts {
            if let Obstacle::Denied { reason } = &mut conflict.obstacle {
                // It says which policy, of which component.
                let denial = was.iter().position(|was| was == reason).and_then(|at| seen.denials.get(at));
                *reason = denial.map_or_else(|| REDACTED.to_owned(), ToString::to_string);
            }
        }
        Ok(seen)
    }

    /// The same by the policies of one more version.
    fn see_at(&self, mut seen: SeenPlan, seq: Seq) -> Result<SeenPlan, Error> {
        if self.sees_everything() {
            return Ok(seen);
        }
        let version = [self.version(seq)?];
        let mut veil = self.veil(&version);
        let veil = &mut veil;
        let again = |operation: SeenOperation| match operation {
            SeenOperation::Whole(operation) => see_operation(operation, veil),
            redacted => redacted,
        };
        seen.operations = seen.operations.into_iter().map(again).collect();
        seen.conflicts.iter_mut().for_each(|conflict| see_conflict(conflict, veil));
        seen.dependents.iter_mut().for_each(|id| *id = veil.id(id));
        seen.rights.iter_mut().for_each(|right| right.component = veil.id(&right.component));
        seen.denials.iter_mut().for_each(|denial| see_denial(denial, veil));
        for vanished in &mut seen.vanished {
            if let Some(stub) = veil.stub(&vanished.policy) {
                (vanished.policy, vanished.principal) = (stub.id(), REDACTED.to_owned());
            }
        }
        Ok(seen)
    }
}

fn whole(operations: &[Operation]) -> Vec<SeenOperation> {
    operations.iter().cloned().map(SeenOperation::Whole).collect()
}

fn see_conflict(conflict: &mut Conflict, veil: &mut Veil<'_>) {
    if let Some(stub) = veil.stub(&conflict.id) {
        let (name, resolutions) = (conflict.obstacle.name(), conflict.obstacle.resolutions());
        (conflict.id, conflict.obstacle) = (stub.id(), Obstacle::Redacted { name, resolutions });
        return;
    }
    match &mut conflict.obstacle {
        Obstacle::FieldChangedSince { left, now, wanted, .. } => {
            for value in [left, now, wanted].into_iter().flatten() {
                *value = veil.value(value);
            }
        }
        Obstacle::MovedSince { left, now, wanted } => {
            for id in [left, now, wanted].into_iter().flatten() {
                *id = veil.id(id);
            }
        }
        Obstacle::ParentMissing { parent: id }
        | Obstacle::Cycle { parent: id }
        | Obstacle::EndpointMissing { end: id, .. } => *id = veil.id(id),
        Obstacle::HasDependents { dependents } => dependents.iter_mut().for_each(|id| *id = veil.id(id)),
        _ => {}
    }
}

fn see_denial(denial: &mut Denial, veil: &mut Veil<'_>) {
    denial.component = veil.id(&denial.component);
    let Some(policy) = &denial.policy else { return };
    let ids = policy.policies.iter().map(|policy| &policy.id).chain([&policy.of]);
    let hidden: Vec<Option<Stub>> = ids.map(|id| veil.stub(id)).collect();
    if hidden.iter().any(Option::is_some) {
        denial.policy = None;
        if denial.reason.is_empty() {
            denial.reason = BY_A_HIDDEN_POLICY.to_owned();
        }
    }
}
