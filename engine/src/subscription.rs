//! Entries as they come: past ones from a version, then live ones, with no gap in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_history_replay::{Entry, Seq};

use crate::{Error, History};

/// How long a subscription of a handle that only reads sleeps before it looks at the files again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Entries that are read ahead from the log.
const READ_AHEAD: usize = 256;

/// The durable entries of a history after a version, in order, each exactly once. Iterating waits for the next one, and
/// ends when the history is closed and everything was delivered.
///
/// The writer is never held up: a subscriber that is slower reads what it missed from the log. Dropping it unsubscribes. It
/// is a handle like any other: while it lives the history stays open, until somebody calls [`History::close`].
#[must_use = "a subscription delivers what is iterated"]
pub struct Subscription {
    history: History,
    delivered: Seq,
    ahead: VecDeque<Arc<Entry>>,
    failed: bool,
}

impl Subscription {
    pub(crate) fn new(history: History, after: Seq) -> Self {
        Self { history, delivered: after, ahead: VecDeque::new(), failed: false }
    }

    /// The next entry if it is there already.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Io`], where it has to be read.
    pub fn try_next(&mut self) -> Result<Option<Arc<Entry>>, Error> {
        self.next_within(Duration::ZERO)
    }

    /// The next entry, waiting for at most so long; `None` where none came.
    ///
    /// # Errors
    /// As [`Subscription::try_next`].
    pub fn next_within(&mut self, at_most: Duration) -> Result<Option<Arc<Entry>>, Error> {
        const A_YEAR: Duration = Duration::from_secs(365 * 86_400);
        self.next_until(Instant::now() + at_most.min(A_YEAR)).map(|(entry, _)| entry)
    }

    /// The next entry, and whether there may be more where there is none.
    fn next_until(&mut self, deadline: Instant) -> Result<(Option<Arc<Entry>>, bool), Error> {
        loop {
            if let Some(entry) = self.ahead.pop_front() {
                self.delivered = entry.seq;
                return Ok((Some(entry), true));
            }
            let next = Seq(self.delivered.0 + 1);
            let left = deadline.saturating_duration_since(Instant::now());
            let newest = match self.history.writer() {
                Ok(writer) => match writer.wait_for_more(self.delivered, left) {
                    Some(newest) => newest,
                    None => return Ok((None, false)),
                },
                Err(_) => self.history.find(crate::At::Head)?.seq(),
            };
            if newest >= next {
                self.read(next, newest)?;
                continue;
            }
            if Instant::now() >= deadline {
                return Ok((None, true));
            }
            if self.history.writer().is_err() {
                std::thread::sleep(LOOK_AGAIN.min(left));
            }
        }
    }

    fn read(&mut self, next: Seq, newest: Seq) -> Result<(), Error> {
        if let Ok(writer) = self.history.writer()
            && let Some(entry) = writer.recent_entry(next)
        {
            self.ahead.push_back(entry);
            return Ok(());
        }
        let files = self.history.files();
        let mut replay = files.replay_from(self.delivered)?;
        while self.ahead.len() < READ_AHEAD && replay.state().seq < newest {
            match files.next_entry(&mut replay)? {
                Some(entry) => self.ahead.push_back(Arc::new(entry)),
                None => break,
            }
        }
        Ok(())
    }
}

impl Iterator for Subscription {
    type Item = Result<Arc<Entry>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // A subscription waits as long as it takes; an hour at a time, so that no deadline overflows.
        const AN_HOUR: Duration = Duration::from_secs(3_600);
        while !self.failed {
            match self.next_until(Instant::now() + AN_HOUR) {
                Ok((Some(entry), _)) => return Some(Ok(entry)),
                Ok((None, true)) => {}
                Ok((None, false)) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("delivered", &self.delivered).finish_non_exhaustive()
    }
}
