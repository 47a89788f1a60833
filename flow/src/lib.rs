//! What a flow is, and every way it can change.
//!
//! A [`Flow`] is the graph at one version: components by id. It changes by four [`Operation`]s, each with an exact
//! inverse; [`operations_between`] finds the operations that turn one flow into another, and
//! [`Difference::between`] tells a person what they did. Everything here is pure: no file, no clock, no thread.
//!
//! ```
//! use flow_history_flow::{Component, Flow, Operation};
//!
//! let mut flow = Flow::new();
//! flow.apply(&Operation::add(Component::new("pump-1", "processor").field("rate", 80)))?;
//! let back = flow.apply(&Operation::set("pump-1", "rate", 8))?;
//! assert_eq!(flow.component("pump-1").unwrap().get("rate"), Some(&8.into()));
//!
//! flow.apply(&back)?; // the inverse
//! assert_eq!(flow.component("pump-1").unwrap().get("rate"), Some(&80.into()));
//! # Ok::<(), flow_history_flow::Misfit>(())
//! ```
//!
//! The modules, in the order data flows through them:

mod limits; //     every bound of the model, with their relations
mod name; //       ids and names: shared, cheap to clone
mod number; //     a number with its lexeme
mod text; //       the text of a value, an id or a name
mod value; //      what a field holds
mod map; //        an ordered map of values
mod path; //       where inside a component's fields
mod order; //      order keys between any two others
mod component; //  id, kind, parent, order, fields
mod operation; //  Add, Remove, Set, Move
mod weight; //     about how much memory an operation takes
mod misfit; //     why an operation does not fit a flow
mod slots; //      what stands in each slot
mod index; //      slots by the hash of an id
mod guesses; //    what was found for a name the last time
mod flow; //       the graph at one version
mod apply; //      an operation onto a flow, and its inverse
mod alone; //      one component followed through operations, without its flow
mod splice; //     one long text as an edit of another
mod assembly; //   components in any order to a flow
mod removal; //    what goes with a component that is removed
mod secrets; //    which secrets are named, and what is left without some
mod leaves; //     values that hold no others, and what is left where some become something else
mod edits; //      the edits that turn one value into another
mod diff; //       the operations that turn one flow into another
mod conflict; //   what stands in the way, and what resolves it
mod goals; //      the operations that make some components as wanted
mod merge; //      what one side did, onto the other side
mod sequence; //   which components really stand elsewhere
mod difference; // what changed between two flows, for a person
mod facet; //      which fields are configuration, layout, runtime, ...
mod hash; //       state hashes
#[doc(hidden)]
pub mod mistake; // mistakes made on purpose, to try the tests with

pub use crate::apply::Inverse;
pub use crate::assembly::{Assembly, Checked};
pub use crate::component::Component;
pub use crate::conflict::{Conflict, Mode, Obstacle, Resolution};
pub use crate::diff::operations_between;
pub use crate::difference::{
    BeforeAndAfter, ChangeKind, ComponentDifference, Difference, FieldDifference, Summary,
};
pub use crate::facet::{Facet, FacetTable};
pub use crate::flow::{Flow, Slot};
pub use crate::goals::operations_among;
pub use crate::guesses::Guesses;
pub use crate::hash::StateHash;
pub use crate::limits::*;
pub use crate::map::Map;
pub use crate::merge::{Merged, Terms, merge, merge_among};
pub use crate::misfit::{Misfit, Reason};
pub use crate::name::{ComponentId, Name};
pub use crate::number::Number;
pub use crate::operation::{Edit, Operation};
pub use crate::order::Order;
pub use crate::path::{Path, Step};
pub use crate::removal::removal_of;
pub use crate::splice::{SPLICED_BYTES_MIN, SPLICES_MAX, Splice, Splices, splice_long_texts};
pub use crate::text::Text;
pub use crate::value::{SecretRef, Value};

/// Id of the one component that holds what belongs to the whole document.
pub const ROOT_ID: &str = "$root";
/// Kind of the component [`ROOT_ID`].
pub const ROOT_KIND: &str = "root";
/// Kind of a component that is a wire: it leaves its parent, or its field `from`, and leads to its field `to`.
pub const WIRE_KIND: &str = "wire";
