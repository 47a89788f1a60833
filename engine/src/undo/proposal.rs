//! What somebody wants taken back, done again or made as it was.

use std::collections::HashMap;

use flow_history_flow::{ComponentId, Facet, Mode, Name, Obstacle};
use flow_history_replay::Seq;

use crate::change::About;
use crate::selector::At;

/// Whose changes undo and redo look at. Who acts is another question: an administrator may undo an author's change.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Scope {
    /// The whole flow, whoever changed it.
    Flow,
    /// The changes of the author with this id.
    Author(String),
    /// The changes of this login session.
    Session(String),
    /// The changes that touched this component or anything inside it.
    Subtree(ComponentId),
}

/// What a restore makes as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Part {
    /// Everything.
    Flow,
    /// A component, everything inside it and the wires attached to these.
    Subtree(ComponentId),
    /// One component.
    Component(ComponentId),
    /// Some fields of a component.
    Fields(ComponentId, Vec<Name>),
    /// Every field of this facet, by the facet table of now, of the components that there were and are.
    Facet(Facet),
}

/// What is wanted, and on which terms.
#[derive(Clone, Debug)]
#[must_use = "a proposal that is not planned changes nothing"]
pub struct Proposal {
    pub(super) wanted: Wanted,
    pub(super) mode: Mode,
    pub(super) about: About,
    pub(super) left_out: HashMap<ComponentId, Obstacle>,
    pub(super) renamed: HashMap<ComponentId, ComponentId>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Undo(Scope),
    Redo(Scope),
    Revert(Vec<Seq>),
    Restore(Part, At),
}

impl Proposal {
    /// To take the newest unit of a scope back.
    pub fn undo(scope: Scope) -> Self {
        Self::of(Wanted::Undo(scope))
    }

    /// To do what was undone last in a scope again.
    pub fn redo(scope: Scope) -> Self {
        Self::of(Wanted::Redo(scope))
    }

    /// To take these entries back although later ones exist. To revert an undo brings back what it took.
    pub fn revert(entries: impl IntoIterator<Item = Seq>) -> Self {
        Self::of(Wanted::Revert(entries.into_iter().collect()))
    }

    /// To make a part as it was at a version.
    pub fn restore(part: Part, version: impl Into<At>) -> Self {
        Self::of(Wanted::Restore(part, version.into()))
    }

    fn of(wanted: Wanted) -> Self {
        Self {
            wanted,
            mode: Mode::Strict,
            about: About::default(),
            left_out: HashMap::new(),
            renamed: HashMap::new(),
        }
    }

    /// Says what becomes of conflicts; strict where nothing is said.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Says what else goes into the header of the entry. Its intent and links follow from what it does.
    pub fn about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// Leaves a component alone, for a reason that the host gives in words.
    pub fn veto(mut self, id: impl Into<ComponentId>, reason: &str) -> Self {
        self.left_out.insert(id.into(), Obstacle::Vetoed { reason: reason.to_owned() });
        self
    }

    /// Leaves a component alone because its name, which the host wants unique, is taken.
    pub fn name_taken(mut self, id: impl Into<ComponentId>, name: impl Into<Name>) -> Self {
        self.left_out.insert(id.into(), Obstacle::NameTaken { name: name.into() });
        self
    }

    /// Lets a component come back under another id.
    pub fn rename(mut self, id: impl Into<ComponentId>, other: impl Into<ComponentId>) -> Self {
        self.renamed.insert(id.into(), other.into());
        self
    }
}
