//! One change of a stream.

use std::sync::LazyLock;

use flow_history::{Author, Error, FlowVersionId, History, Operation, Timestamp};

/// When the first step of a stream is appended, in milliseconds since 1970.
pub const STREAM_BEGINS: i64 = 1_700_000_000_000;

static AUTHORS: LazyLock<[Author; 5]> = LazyLock::new(Step::authors);

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

    /// The author of a number.
    #[must_use]
    pub fn author_of(number: u8) -> &'static Author {
        AUTHORS.get(usize::from(number)).unwrap_or(&AUTHORS[0])
    }

    /// Appends it to a history, so long after the step before, whose time this moves on.
    ///
    /// # Errors
    /// Those of an append.
    pub fn append_to(self, history: &History, millis: &mut i64) -> Result<FlowVersionId, Error> {
        *millis += i64::from(self.gap_millis);
        let author = Self::author_of(self.author);
        let change = history.change(author, "").host_time(Timestamp::from_millis(*millis));
        change.operations(self.operations).append()
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
