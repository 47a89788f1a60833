//! The four primitive steps of which every change is made.

use std::sync::Arc;

use crate::{Component, ComponentId, Order, Path, Slot, Splices, Value};

/// One primitive step. Applying it to a flow returns its exact inverse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A component that did not exist.
    Add {
        /// All of it.
        component: Arc<Component>,
        /// The slot it had before it was removed, when this undoes, redoes or restores a removal; a new one otherwise.
        slot: Option<Slot>,
    },
    /// A component that has no children (any more).
    Remove {
        /// Which.
        id: ComponentId,
    },
    /// One value of a component.
    Set {
        /// Which component.
        id: ComponentId,
        /// Which value of it.
        path: Path,
        /// What becomes of it.
        edit: Edit,
    },
    /// A component's place: its parent, its order, or both.
    Move {
        /// Which.
        id: ComponentId,
        /// The parent from now on.
        parent: Option<ComponentId>,
        /// The order from now on.
        order: Order,
    },
}

/// What becomes of the value at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// It becomes this, in place; where it was absent, as the last of its map or list.
    Put(Value),
    /// It stands at this place among its siblings: a key of a map, new or moved; an element inserted into a list, where
    /// the place is the path's and this one is ignored.
    Place(u32, Value),
    /// It becomes absent; later elements of a list move up.
    Clear,
    /// A long text becomes another that is told by what differs. A history makes these of a Put where that takes less;
    /// nobody else has to.
    Splice(Splices),
}

impl Operation {
    /// Adds a component.
    #[must_use]
    pub fn add(component: Component) -> Self {
        Operation::Add { component: Arc::new(component), slot: None }
    }

    /// Removes a component.
    #[must_use]
    pub fn remove(id: impl Into<ComponentId>) -> Self {
        Operation::Remove { id: id.into() }
    }

    /// Gives a field, or a part of one, a value.
    #[must_use]
    pub fn set(id: impl Into<ComponentId>, path: impl Into<Path>, value: impl Into<Value>) -> Self {
        Operation::Set { id: id.into(), path: path.into(), edit: Edit::Put(value.into()) }
    }

    /// Makes a field, or a part of one, absent.
    #[must_use]
    pub fn clear(id: impl Into<ComponentId>, path: impl Into<Path>) -> Self {
        Operation::Set { id: id.into(), path: path.into(), edit: Edit::Clear }
    }

    /// Gives a component another parent, order or both.
    #[must_use]
    pub fn shift(id: impl Into<ComponentId>, parent: Option<ComponentId>, order: Order) -> Self {
        Operation::Move { id: id.into(), parent, order }
    }

    /// The component that it is about.
    #[must_use]
    pub fn id(&self) -> &ComponentId {
        match self {
            Operation::Add { component, .. } => &component.id,
            Operation::Remove { id } | Operation::Set { id, .. } | Operation::Move { id, .. } => id,
        }
    }
}
