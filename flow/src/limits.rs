//! Every bound of the model, in one place, with the relations that must hold between them.
//!
//! A loop over anything that came from a disk or a caller is bounded by one of these.

/// Longest id of a component, in bytes. The shortest is one byte.
pub const ID_BYTES_MAX: usize = 255;
/// Longest name of a kind, a field or a map key, in bytes.
pub const NAME_BYTES_MAX: usize = 65_536;
/// Longest order key, in bytes.
pub const ORDER_BYTES_MAX: usize = 1_024;
/// Largest value of one field, in bytes of its content.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Deepest nesting of lists and maps in one value.
pub const NESTING_MAX: usize = 512;
/// Most steps of a path: the field, then one step per level of nesting.
pub const PATH_STEPS_MAX: usize = NESTING_MAX + 1;
/// Most operations in one change.
pub const CHANGE_OPERATIONS_MAX: usize = 1 << 20;
/// Most bytes in one change, as it is written to the log.
pub const CHANGE_BYTES_MAX: usize = 256 << 20;
/// Most components that a flow ever holds, the removed ones counted.
pub const COMPONENTS_MAX: u32 = 1 << 31;

const _: () = assert!(ID_BYTES_MAX <= NAME_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX < CHANGE_BYTES_MAX);
const _: () = assert!(CHANGE_OPERATIONS_MAX < CHANGE_BYTES_MAX);
const _: () = assert!(CHANGE_BYTES_MAX < u32::MAX as usize);
