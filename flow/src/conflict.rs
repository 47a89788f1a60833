//! What stands in the way of a merge or of taking something back, as facts, with what would resolve it.

use std::fmt;

use crate::{ComponentId, Name, Path, Value};

/// One thing that stands in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Conflict {
    /// The component that it is about.
    pub id: ComponentId,
    /// What is in the way.
    pub obstacle: Obstacle,
    /// How the mode resolved it; `None` where it did not, so that nothing may be applied.
    pub resolved: Option<Resolution>,
}

impl Conflict {
    /// Something that is in the way and that nothing resolves.
    #[must_use]
    pub fn unresolved(id: ComponentId, obstacle: Obstacle) -> Self {
        Self { id, obstacle, resolved: None }
    }
}

/// What is in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// Somebody gave the value another one since.
    FieldChangedSince {
        /// Which value.
        path: Path,
        /// What was left there; `None` where it was absent.
        left: Option<Value>,
        /// What is there now.
        now: Option<Value>,
        /// What would be put there.
        wanted: Option<Value>,
    },
    /// Somebody moved it into another component since.
    MovedSince {
        /// Where it was left.
        left: Option<ComponentId>,
        /// Where it is now.
        now: Option<ComponentId>,
        /// Where it would go.
        wanted: Option<ComponentId>,
    },
    /// The component was removed since.
    TargetMissing,
    /// The component that contained it is gone.
    ParentMissing {
        /// Which.
        parent: ComponentId,
    },
    /// Another component has its id by now.
    IdTaken {
        /// What has it.
        kind: Name,
    },
    /// What the wire led from or to is gone.
    EndpointMissing {
        /// The field that names it.
        field: Name,
        /// What is gone.
        end: ComponentId,
    },
    /// Others came into it, or were wired to it, since.
    HasDependents {
        /// Which.
        dependents: Vec<ComponentId>,
    },
    /// It would be inside itself.
    Cycle {
        /// The parent that it would have.
        parent: ComponentId,
    },
    /// It is of another kind by now.
    KindChanged {
        /// The kind that it had.
        left: Name,
        /// The kind that it has.
        now: Name,
    },
    /// A name that has to be unique is taken; only a host can know.
    NameTaken {
        /// The name.
        name: Name,
    },
    /// A secret that it refers to is gone.
    SecretGone {
        /// The field.
        field: Name,
    },
    /// Whoever asked may not do this.
    Denied {
        /// Why, in words.
        reason: String,
    },
    /// The host will not do this now: a queue is not empty, a component runs.
    Vetoed {
        /// Why, in words.
        reason: String,
    },
    /// Something that whoever looks may not read about. Nothing comes upon it by itself.
    Redacted {
        /// Its name.
        name: &'static str,
        /// What would resolve it.
        resolutions: &'static [Resolution],
    },
}

/// What resolves a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Resolution {
    /// Leave the value or place as it is now.
    Keep,
    /// Put the value or place there all the same.
    Overwrite,
    /// Leave the component out.
    Skip,
    /// Bring back what is missing, and whatever contained it, first.
    BringBack,
    /// Remove what depends on it too.
    RemoveDependents,
    /// Let it come back under another id.
    AnotherId,
    /// Have somebody ask who may.
    AskSomebodyElse,
    /// Let the host do what it takes, then try again.
    TryAgain,
    /// Let it come back without the secret, which has to be given anew.
    WithoutSecret,
}

/// What becomes of conflicts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Mode {
    /// All or nothing: any conflict refuses.
    #[default]
    Strict,
    /// What is in no conflict; the rest is left out, and said to be.
    Partial,
    /// What is needed beside is done too: what is missing comes back, what depends on something goes with it. Values
    /// that somebody changed since still refuse.
    Cascade,
    /// As `Cascade`, and values that somebody changed since are overwritten.
    Force,
}

impl Mode {
    /// The name by which the command line and the output know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Partial => "partial",
            Mode::Cascade => "cascade",
            Mode::Force => "force",
        }
    }
}

impl Obstacle {
    /// The name by which documents and the output know it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Obstacle::FieldChangedSince { .. } => "FieldChangedSince",
            Obstacle::MovedSince { .. } => "MovedSince",
            Obstacle::TargetMissing => "TargetMissing",
            Obstacle::ParentMissing { .. } => "ParentMissing",
            Obstacle::IdTaken { .. } => "IdTaken",
            Obstacle::EndpointMissing { .. } => "EndpointMissing",
            Obstacle::HasDependents { .. } => "HasDependents",
            Obstacle::Cycle { .. } => "Cycle",
            Obstacle::KindChanged { .. } => "KindChanged",
            Obstacle::NameTaken { .. } => "NameTaken",
            Obstacle::SecretGone { .. } => "SecretGone",
            Obstacle::Denied { .. } => "Denied",
            Obstacle::Vetoed { .. } => "Vetoed",
            Obstacle::Redacted { name, .. } => name,
        }
    }

    /// What would resolve it, the gentlest first.
    #[must_use]
    pub fn resolutions(&self) -> &'static [Resolution] {
        use Resolution::{
            AnotherId, AskSomebodyElse, BringBack, Keep, Overwrite, RemoveDependents, Skip, TryAgain,
            WithoutSecret,
        };
        match self {
            Obstacle::FieldChangedSince { .. } | Obstacle::MovedSince { .. } => &[Keep, Overwrite, Skip],
            Obstacle::TargetMissing | Obstacle::ParentMissing { .. } | Obstacle::EndpointMissing { .. } => {
                &[BringBack, Skip]
            }
            Obstacle::IdTaken { .. } => &[AnotherId, Overwrite, Skip],
            Obstacle::HasDependents { .. } => &[RemoveDependents, Skip],
            Obstacle::Cycle { .. } => &[Keep, Skip],
            Obstacle::KindChanged { .. } => &[Overwrite, Skip],
            Obstacle::NameTaken { .. } => &[TryAgain, Skip],
            Obstacle::SecretGone { .. } => &[WithoutSecret],
            Obstacle::Denied { .. } => &[AskSomebodyElse, Skip],
            Obstacle::Vetoed { .. } => &[TryAgain, Skip],
            Obstacle::Redacted { resolutions, .. } => resolutions,
        }
    }

    /// How a mode resolves it; `None` where it refuses instead.
    #[must_use]
    pub(crate) fn resolved_by(&self, mode: Mode) -> Option<Resolution> {
        use Resolution::{BringBack, Keep, Overwrite, RemoveDependents, Skip};
        match (mode, self) {
            // No mode brings it back, and no person.
            (_, Obstacle::SecretGone { .. }) => Some(Resolution::WithoutSecret),
            (Mode::Strict, _) | (_, Obstacle::Redacted { .. }) => None,
            (
                Mode::Partial,
                Obstacle::FieldChangedSince { .. } | Obstacle::MovedSince { .. } | Obstacle::Cycle { .. },
            ) => Some(Keep),
            (Mode::Partial, _) => Some(Skip),
            // Nobody overrides who may do what, or a host that says no.
            (_, Obstacle::Denied { .. } | Obstacle::Vetoed { .. } | Obstacle::NameTaken { .. }) => None,
            (
                _,
                Obstacle::TargetMissing | Obstacle::ParentMissing { .. } | Obstacle::EndpointMissing { .. },
            ) => Some(BringBack),
            (_, Obstacle::HasDependents { .. }) => Some(RemoveDependents),
            (
                Mode::Force,
                Obstacle::FieldChangedSince { .. }
                | Obstacle::MovedSince { .. }
                | Obstacle::IdTaken { .. }
                | Obstacle::KindChanged { .. },
            ) => Some(Overwrite),
            (Mode::Force, Obstacle::Cycle { .. }) => Some(Keep),
            (Mode::Cascade, _) => None,
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = short(&self.id);
        match &self.obstacle {
            // The values themselves are not said: they may be long, and an error may go where they may not.
            Obstacle::FieldChangedSince { path, .. } => write!(f, "{path} of {id:?} was changed since"),
            Obstacle::MovedSince { now: Some(now), .. } => {
                write!(f, "{id:?} was moved into {:?} since", short(now))
            }
            Obstacle::MovedSince { now: None, .. } => write!(f, "{id:?} was moved to the top since"),
            Obstacle::TargetMissing => write!(f, "{id:?} was removed since"),
            Obstacle::ParentMissing { parent } => {
                write!(f, "{:?}, which contained {id:?}, is gone", short(parent))
            }
            Obstacle::IdTaken { kind } => write!(f, "another component, of kind {kind:?}, has the id {id:?}"),
            Obstacle::EndpointMissing { field, end } => {
                write!(f, "{:?}, the end {field:?} of {id:?}, is gone", short(end))
            }
            Obstacle::HasDependents { dependents } => {
                let first = dependents.first().map(|id| short(id)).unwrap_or_default();
                write!(f, "{} components depend on {id:?} by now, {first:?} among them", dependents.len())
            }
            Obstacle::Cycle { parent } => {
                write!(f, "{id:?} would be inside itself, through {:?}", short(parent))
            }
            Obstacle::KindChanged { left, now } => {
                write!(f, "{id:?} was of kind {left:?} and is {now:?} now")
            }
            Obstacle::NameTaken { name } => write!(f, "the name {name:?} of {id:?} is taken"),
            Obstacle::SecretGone { field } => write!(f, "the secret of {field:?} of {id:?} is gone"),
            Obstacle::Denied { reason } | Obstacle::Vetoed { reason } => write!(f, "{id:?}: {reason}"),
            Obstacle::Redacted { name, .. } => write!(f, "{id:?}: {name}"),
        }
    }
}

/// An id can be as long as its sender likes; a sentence cannot.
fn short(id: &str) -> String {
    id.chars().take(80).collect()
}
