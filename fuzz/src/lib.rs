//! What hostile bytes are fed to: each target takes bytes, and must return, whatever they are.
//!
//! The targets are plain functions, so that a corpus is replayed by `cargo run -p flow-history-fuzz -- FILE...` with
//! nothing but Rust. Drivers for coverage-guided fuzzers, which need a C++ compiler, are not here yet.

mod targets; // bytes as a segment, a checkpoint, a document

pub use crate::targets::{TARGETS, Target};
