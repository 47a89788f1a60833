//! What hostile bytes are fed to: each target takes bytes, and must return, whatever they are.
//!
//! The targets are plain functions. `fuzz_targets` has a driver of libFuzzer for each, for `cargo fuzz`; a corpus is replayed
//! by an ordinary test, and files by `cargo run -p flow-history-fuzz -- FILE...`, with nothing but Rust.

mod forging; // bytes made into files whose checksums match
mod reading; // reading whatever is there
mod sealing; // bytes as the file of a secret
mod targets; // what bytes are fed to
mod working; // bytes as what a host does

pub use crate::targets::{
    DOCUMENT, TARGETS, Target, checkpoint, directory, document, frame, payload, sealed, secret, segment,
};
pub use crate::working::{crashes, operations};
