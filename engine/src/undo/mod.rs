//! Undo, redo, revert and restore: new entries, never rewritten ones.
//!
//! ```text
//! proposal   what somebody wants: undo of a scope, revert of entries, restore of a part
//! stack      which entries that is: from the tops of the stacks down, as far as it takes
//! taking     the operations that take them back from the flow as it is now, and what is in the way
//! rights     who may
//! plan       all of it, for the host to look at, apply, and finish
//! ```

mod proposal; //  what somebody wants
mod entries; //   reading entries backwards
mod stack; //     walking down a stack
mod taking; //    the operations that take entries back
mod gone; //      what shredded secrets leave
mod restoring; // the operations that make a part as it was
mod rights; //    the rights that a plan needs
mod plan; //      plan and finish
mod without; //   what would be without some entries
mod left_behind; // what was undone and left behind

pub use self::left_behind::LeftBehind;
pub use self::plan::{Applied, Plan};
pub use self::proposal::{Part, Proposal, Scope};
pub use self::rights::Right;
pub use self::without::Without;

pub(crate) use self::left_behind::left_behind;
pub(crate) use self::plan::{apply, components_left_out, plan};
pub(crate) use self::without::replay_without;
