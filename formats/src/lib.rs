//! Node-RED documents to flows and back.
//!
//! A host that keeps its flows as documents records a history by turning each document into a [`Flow`], asking
//! [`operations_between`] what changed, and appending that. Any version turns back into the document, byte for byte as
//! `JSON.stringify` would have written it, so that a hash of the text is the hash that Node-RED itself computes.
//!
//! ```
//! use flow_history_flow::{Flow, operations_between};
//! use flow_history_formats::node_red::{Layout, to_document, to_flow};
//!
//! let saved = br#"[{"id":"in","type":"inject","rate":1e1,"wires":[[]]},{"id":"out","type":"debug","wires":[]}]"#;
//! let mut flow = to_flow(saved, &Flow::new())?;
//!
//! // Somebody draws a wire: one component more, and nothing else.
//! let deployed = br#"[{"id":"in","type":"inject","rate":10,"wires":[["out"]]},{"id":"out","type":"debug","wires":[]}]"#;
//! let change = operations_between(&flow, &to_flow(deployed, &flow)?);
//! assert_eq!(change.len(), 1);
//! assert_eq!(change[0].id(), &"~wire/in/0/out");
//!
//! flow.apply_all(&change)?;
//! assert_eq!(to_document(&flow, Layout::Compact)?.as_bytes(), deployed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Flow`]: flow_history_flow::Flow
//! [`operations_between`]: flow_history_flow::operations_between

mod json; //     JSON as JavaScript reads and writes it

pub mod node_red; // documents of Node-RED
