//! What the documents of Node-RED are promised: every byte back, and small changes between them.
//!
//! Method: small documents with the expected text beside them; and, where the real histories and Node.js are at hand,
//! every revision of every history against what Node.js makes of it.

#![allow(missing_docs, reason = "a test says what it promises by its name")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the checks stand in functions of their own, which clippy does not take for tests"
)]

mod byte_exact;
mod errors;
mod histories;
mod small_changes;
mod without_documents;
