//! The locks of the engine as they are tried: by the scheduler, with the calls of `parking_lot`.
//!
//! Time is the scheduler's too: whoever waits until a moment that is near may find that it has come, whenever it is asked;
//! a moment that is more than a minute away never comes.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use shuttle::rand::Rng;
use shuttle::sync as shuttle_sync;
use shuttle::thread::{self, ThreadId};

/// Whatever is due later than this is never due.
const FAR_AWAY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle_sync::Mutex<T>);

pub(crate) struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    /// `None` only while it is let go of for a moment.
    held: Option<shuttle_sync::MutexGuard<'m, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle_sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.take()) }
    }

    fn take(&self) -> shuttle_sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> MutexGuard<'_, T> {
    /// Does something while the lock is not held.
    pub(crate) fn unlocked<R>(guard: &mut Self, act: impl FnOnce() -> R) -> R {
        drop(guard.held.take());
        let result = act();
        guard.held = Some(guard.mutex.take());
        result
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().unwrap()
    }
}

#[derive(Default)]
pub(crate) struct Condvar(shuttle_sync::Condvar);

pub(crate) struct TimedOut(bool);

impl TimedOut {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().unwrap();
        guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> TimedOut {
        self.wait_for(guard, until.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, at_most: Duration) -> TimedOut {
        if at_most > FAR_AWAY {
            self.wait(guard);
            return TimedOut(false);
        }
        // Whoever waits for a moment that may come at any time need not be woken: it looks again, and again.
        MutexGuard::unlocked(guard, thread::yield_now);
        TimedOut(shuttle::rand::thread_rng().gen_bool(0.25))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock that its holder can take again.
pub(crate) struct ReentrantMutex<T> {
    value: T,
    /// Who holds it, and how often.
    holder: Mutex<Option<(ThreadId, usize)>>,
    let_go: Condvar,
}

pub(crate) struct ReentrantGuard<'m, T>(&'m ReentrantMutex<T>);

impl<T> ReentrantMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, holder: Mutex::default(), let_go: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> ReentrantGuard<'_, T> {
        let own = thread::current().id();
        let mut holder = self.holder.lock();
        loop {
            match &mut *holder {
                Some((by, times)) if *by == own => *times += 1,
                Some(_) => {
                    self.let_go.wait(&mut holder);
                    continue;
                }
                None => *holder = Some((own, 1)),
            }
            return ReentrantGuard(self);
        }
    }
}

impl<T> Deref for ReentrantGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Drop for ReentrantGuard<'_, T> {
    fn drop(&mut self) {
        let mut holder = self.0.holder.lock();
        *holder = holder.take().and_then(|(by, times)| (times > 1).then(|| (by, times - 1)));
        if holder.is_none() {
            self.0.let_go.notify_one();
        }
    }
}

/// What is set once, and can be waited for.
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    turn: Mutex<()>,
    set: Condvar,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self { value: std::sync::OnceLock::new(), turn: Mutex::default(), set: Condvar::new() }
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn get(&self) -> Option<&T> {
        drop(self.turn.lock());
        self.value.get()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _turn = self.turn.lock();
        let set = self.value.set(value);
        self.set.notify_all();
        set
    }

    pub(crate) fn wait(&self) -> &T {
        let mut turn = self.turn.lock();
        loop {
            if let Some(value) = self.value.get() {
                return value;
            }
            self.set.wait(&mut turn);
        }
    }
}

shuttle::thread_local! {
    static IN_A_CHILD: Cell<bool> = Cell::new(false);
}

/// The number of the process that a thread is in.
pub(crate) fn process_id() -> u32 {
    std::process::id() + u32::from(IN_A_CHILD.with(Cell::get))
}

/// The process that something was made in.
pub(crate) struct Origin(u32);

impl Origin {
    pub(crate) fn here() -> Self {
        Self(process_id())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0
    }

    pub(crate) fn is_here(&self) -> bool {
        self.is_surely_here()
    }

    pub(crate) fn is_surely_here(&self) -> bool {
        process_id() == self.0
    }
}

/// From here on this thread is one of a child of the process.
pub(crate) fn fork() {
    IN_A_CHILD.with(|is_in| is_in.set(true));
}

/// Does something as if in a child of the process.
pub(crate) fn in_a_child(act: impl FnOnce()) {
    fork();
    act();
    IN_A_CHILD.with(|is_in| is_in.set(false));
}
