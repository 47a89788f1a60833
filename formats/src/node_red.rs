//! Documents of Node-RED: a flat array of elements, each with an id, a type, properties and wires.
//!
//! # What becomes of a document
//!
//! * **An element** is a component: its `id`, its `type` as the kind, its `z` as the parent where that names another
//!   element of the document, and every other property as a field, in order. Its place in the array is its order key.
//! * **A wire** is a component of kind [`WIRE_KIND`] inside the element that it leaves, with the fields `from`, `port` and
//!   `to`, so that wires drawn by two people merge one by one. Its id says what it connects: `~wire/SOURCE/PORT/TARGET`.
//! * **What the model cannot name** is kept whole: scalars in the array, elements whose id is missing, repeated, longer
//!   than 255 bytes or not Unicode, elements without a type. Such a component has the kind `$verbatim` and holds the
//!   element in `$element`, or as text in `$json` where the model cannot hold it as a value.
//! * **Numbers** keep the lexeme that JavaScript prints: `1.0` is `1`, and `1e400` is `null`.
//! * **Text that is not Unicode**, a lone surrogate in it, is [`Value::Bytes`] in WTF-8.
//!
//! Names of our own begin with `$`, and derived ids with `~`. A property that begins with `$` gets one more in front, and
//! so does such a type and the type `wire`; an element whose own id begins with `~`, or is that of the root component,
//! is kept whole. Elements have three fields of our own, the first of their fields where they have any:
//!
//! | field | holds |
//! |---|---|
//! | `$wires` | the number of output ports; absent where the element has no `wires` |
//! | `$layout` | where `id`, `type`, `z` and `wires` stand among the keys, if not first and, for `wires`, right behind `y` or last |
//! | `$element`, `$json` | the whole of an element that is kept verbatim |
//!
//! `$layout` is a list of runs such as `["y", "wires"]`: the keys after the first stand right behind the property that it
//! names, or at the start where it is null. Properties come and go without disturbing it.
//!
//! # What no document shows
//!
//! The root component, fields that hold a secret or whose name begins with a `$` that is not listed above, and wires
//! whose source is gone. An import carries the root component and those fields over from the flow before.
//!
//! [`WIRE_KIND`]: flow_history_flow::WIRE_KIND
//! [`Value::Bytes`]: flow_history_flow::Value::Bytes

// In the order in which a document passes through them; rustfmt would sort them if they stood together.
mod import; // a document to a flow

mod element; // one element: read, named, made a component

mod names; // ids, kinds and field names, ours and the document's

mod layout; // the order of an element's keys

mod wires; // which component each wire is

mod places; // order keys that stay

mod export; // a flow to a document

mod error; // what can be wrong with either

pub use error::{DocumentError, DocumentErrorKind, ExportError, ExportErrorKind};
pub use export::{Layout, to_document};
pub use import::to_flow;
