//! A group of entries that become durable together, and the tickets of those who wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flow_history_flow::mistake;
use flow_history_replay::FlowVersionId;

use crate::Error;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, OnceLock};
use crate::writer::Writer;

/// How a group ended; the reason is shared by all who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nothing of it was written: there was no room. The handle goes on.
    Full { path: std::path::PathBuf, errno: Option<i32>, message: String },
    /// Nothing of it was written: the process is a child of the one that opened the history.
    Forked { opened_by: u32 },
    /// Nothing of it was written. The handle goes on.
    Refused {
        operation: &'static str,
        path: std::path::PathBuf,
        offset: u64,
        errno: Option<i32>,
        message: String,
    },
    /// Nothing is known of it. The handle is done for.
    Poisoned { cause: String },
}

impl Failure {
    /// The error that each member of the group gets.
    pub(crate) fn to_error(&self) -> Error {
        let source = |errno: &Option<i32>, message: &String| match errno {
            Some(errno) => std::io::Error::from_raw_os_error(*errno),
            None => std::io::Error::other(message.clone()),
        };
        match self {
            Failure::Full { path, errno, message } => {
                Error::Full { path: path.clone(), source: source(errno, message) }
            }
            Failure::Refused { operation, path, offset, errno, message } => {
                Error::Io { operation, path: path.clone(), offset: *offset, source: source(errno, message) }
            }
            Failure::Forked { opened_by } => Error::Forked { opened_by: *opened_by },
            Failure::Poisoned { cause } => Error::Poisoned { cause: cause.clone() },
        }
    }
}

/// Called once, when the group has ended.
type Callback = Box<dyn FnOnce(Result<(), Failure>) + Send>;

#[derive(Default)]
pub(crate) struct Group {
    /// Members wait here. The system wakes all of them with one call, and none of them has a lock to take: a condition
    /// variable of the writer's woke one after the other, each to find that it had nothing more to do there.
    outcome: OnceLock<Result<(), Failure>>,
    /// Whether one of those who wait for it sees to it that somebody leads.
    attended: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Waker>,
    callbacks: Vec<Callback>,
}

impl Group {
    pub(crate) fn outcome(&self) -> Option<Result<(), Failure>> {
        self.outcome.get().cloned()
    }

    /// Whether the caller, who is about to wait, is the first to do so: that one leads where nobody else does.
    pub(crate) fn attend(&self) -> bool {
        !self.attended.swap(true, Ordering::Relaxed)
    }

    /// Waits for the end of a group that somebody else sees to.
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        self.outcome.wait().clone()
    }

    /// Says how the group ended, once.
    pub(crate) fn settle(&self, outcome: &Result<(), Failure>) {
        let _ = self.outcome.set(outcome.clone());
    }

    /// Tells everyone who waits without a thread, once. To be called without a lock held: callbacks are the host's.
    pub(crate) fn tell(&self, outcome: &Result<(), Failure>) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        // A host's callback that panics takes neither the others' answers nor the thread.
        let guarded = |call: &mut dyn FnMut()| {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        };
        for waker in waiting.wakers {
            guarded(&mut || waker.wake_by_ref());
        }
        for callback in waiting.callbacks {
            let mut callback = Some(callback);
            guarded(&mut || {
                if let Some(callback) = callback.take() {
                    callback(outcome.clone());
                }
            });
        }
    }

    fn wake_on_end(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        if !waiting.wakers.iter().any(|other| other.will_wake(waker)) {
            waiting.wakers.push(waker.clone());
        }
    }

    fn call_on_end(&self, callback: Callback) {
        let mut waiting = self.waiting.lock();
        if self.outcome.get().is_none() {
            waiting.callbacks.push(callback);
            return;
        }
        drop(waiting);
        if let Some(outcome) = self.outcome() {
            callback(outcome);
        }
    }
}

/// The claim to an entry that was submitted and is not durable yet.
///
/// It is a future that needs no runtime; [`Ticket::wait`] blocks, [`Ticket::try_result`] looks, and
/// [`Ticket::on_durable`] calls back. Dropping it gives up the claim, not the entry.
#[must_use = "an entry that was submitted is durable only when its ticket says so"]
pub struct Ticket {
    pub(crate) group: Arc<Group>,
    pub(crate) id: FlowVersionId,
    pub(crate) writer: Arc<Writer>,
}

impl Ticket {
    /// The name that the version has if the entry becomes durable. Stamp nothing with it before that.
    #[must_use]
    pub fn promised_version(&self) -> FlowVersionId {
        self.id
    }

    /// Waits until the entry is durable.
    ///
    /// # Errors
    /// As for an append.
    pub fn wait(self) -> Result<FlowVersionId, Error> {
        if let Some(outcome) = self.outcome() {
            return self.result(outcome);
        }
        self.writer.wait_for(&self.group)?;
        Ok(self.id)
    }

    /// The result, once there is one.
    #[must_use]
    pub fn try_result(&self) -> Option<Result<FlowVersionId, Error>> {
        self.outcome().map(|outcome| self.result(outcome))
    }

    /// Calls back when there is a result, at once if there is one; on whatever thread made the entry durable, so be
    /// quick.
    pub fn on_durable(self, callback: impl FnOnce(Result<FlowVersionId, Error>) + Send + 'static) {
        let id = self.id;
        let call = move |outcome: Result<(), Failure>| {
            callback(outcome.map(|()| id).map_err(|failure| failure.to_error()));
        };
        match self.outcome() {
            Some(outcome) => call(outcome),
            None => self.group.call_on_end(Box::new(call)),
        }
    }

    /// How the group ended. In a child of the process that opened the history nobody will ever settle it: there it has failed.
    fn outcome(&self) -> Option<Result<(), Failure>> {
        self.group.outcome().or_else(|| self.writer.check_process().err().map(Err))
    }

    fn result(&self, outcome: Result<(), Failure>) -> Result<FlowVersionId, Error> {
        outcome.map(|()| self.id).map_err(|failure| failure.to_error())
    }
}

impl Future for Ticket {
    type Output = Result<FlowVersionId, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if mistake::is_made("an outcome is looked at before the waker is left") {
            let outcome = self.group.outcome();
            self.group.wake_on_end(context.waker());
            return outcome.map_or(Poll::Pending, |outcome| Poll::Ready(self.result(outcome)));
        }
        // The waker is left before the outcome is looked at, so that an outcome that comes in between wakes it.
        self.group.wake_on_end(context.waker());
        match self.outcome() {
            Some(outcome) => Poll::Ready(self.result(outcome)),
            None => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("id", &self.id)
            .field("ended", &self.group.outcome().is_some())
            .finish()
    }
}
