//! The log, entry by entry, with what each changed.

use std::sync::Arc;

use flow_history_flow::{ComponentId, Difference, Operation, Summary};
use flow_history_replay::{Body, Entry, Replay, Seq};

use crate::Error;
use crate::files::Files;

/// An entry and what it changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogLine {
    /// The entry.
    pub entry: Entry,
    /// What changed, in numbers; all zero for a mark.
    pub summary: Summary,
    /// What changed, component by component; empty for a mark.
    pub difference: Difference,
}

/// An iterator over the entries of a history, oldest first, up to the version that was the newest when it was made. It
/// reads as it goes and holds the writer up in nothing. After an error it ends.
#[must_use = "the log is read as it is iterated"]
pub struct Log {
    files: Arc<Files>,
    from: Seq,
    to: Seq,
    replay: Option<Replay>,
    failed: bool,
}

impl Log {
    pub(crate) fn new(files: Arc<Files>, to: Seq) -> Self {
        Self { files, from: Seq::ZERO, to, replay: None, failed: false }
    }

    /// Begins with this entry.
    pub fn from(mut self, seq: Seq) -> Self {
        self.from = seq.max(Seq(1));
        self
    }

    /// Ends with this entry.
    pub fn to(mut self, seq: Seq) -> Self {
        self.to = self.to.min(seq);
        self
    }

    fn next_line(&mut self) -> Result<Option<LogLine>, Error> {
        if self.from == Seq::ZERO {
            let oldest = self.files.log()?.oldest();
            self.from = oldest.next().unwrap_or(oldest);
        }
        if self.from > self.to {
            return Ok(None);
        }
        let replay = match &mut self.replay {
            Some(replay) => replay,
            none => {
                let before = self.from.previous().unwrap_or_default();
                none.insert(self.files.replay_from(before)?)
            }
        };
        if replay.state().seq >= self.to {
            return Ok(None);
        }
        let before = replay.state().flow.clone();
        let Some(entry) = self.files.next_entry(replay)? else {
            return Ok(None);
        };
        let difference = match &entry.body {
            Body::Change(operations) => Difference::among(&before, &replay.state().flow, touched(operations)),
            _ => Difference::default(),
        };
        Ok(Some(LogLine { summary: difference.summary(), difference, entry }))
    }
}

fn touched(operations: &[Operation]) -> impl Iterator<Item = &ComponentId> {
    operations.iter().map(Operation::id)
}

impl Iterator for Log {
    type Item = Result<LogLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.next_line();
        self.failed = line.is_err();
        line.transpose()
    }
}
