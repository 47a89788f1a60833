//! JSON as JavaScript reads and writes it.
//!
//! `serde_json` parses; what is here is where JavaScript differs: objects put keys that are array indices first and keep
//! the last of two equal keys, numbers are doubles printed in their shortest form, and strings may hold halves of
//! surrogate pairs. Such a string is WTF-8 here: UTF-8 in which a lone surrogate is encoded like any other code point.

mod keys; //   the order of the keys of an object
mod number; // lexemes as JavaScript prints them
mod read; //   text to levels and values
mod write; //  values to text

use flow_history_flow::Value;

pub(crate) use keys::{in_javascript_order, is_array_index};
pub(crate) use read::{Level, deeper_than, level, rewrite, value};
pub(crate) use write::{Unwritable, Writer};

/// The members of a value, where it is a list.
pub(crate) fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(list) => Some(list),
        _ => None,
    }
}
