//! One change of a stream.

use flow_history::{Author, Operation};

/// One change of a stream: who, how long after the one before, and what.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which of the five authors.
    pub author: u8,
    /// Milliseconds after the step before.
    pub gap_millis: u32,
    /// What.
    pub operations: Vec<Operation>,
}

impl Step {
    /// The five authors.
    #[must_use]
    pub fn authors() -> [Author; 5] {
        ["alice", "bob", "carol", "dan", "eve"].map(Author::user)
    }
}

/// The hash that fixes a stream: over each step's author, gap and operations as Debug prints them, which says everything.
#[must_use]
pub fn stream_hash(steps: impl Iterator<Item = Step>) -> String {
    let mut hasher = blake3::Hasher::new();
    for step in steps {
        hasher.update(&[step.author]);
        hasher.update(&step.gap_millis.to_le_bytes());
        hasher.update(format!("{:?}\n", step.operations).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
