//! What the program `flow-history` promises to those who type it and to scripts, tried on the built binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails says so")]

mod fixture; //  running the program; documents and histories to run it on
mod demo; //     the demo, and the commands that it ends with
mod importing; // documents to versions and back
mod reading; //  log, diff, show, stat: text and JSON Lines
mod undoing; //  plans, scopes, parts, the trash
mod succeeding; // going on where a history is damaged
mod asking; //   filters and pages of the log, blame, when, running, backup
mod writing; //  undo, redo, restore, label
mod failing; //  every exit code, with a hint
