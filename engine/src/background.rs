//! The one background thread of the process: it begins with the first work, and ends with the last close.

use std::collections::BinaryHeap;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Work to be done later, on the background thread.
struct Job {
    due: Instant,
    number: u64,
    own: Arc<(Mutex<Own>, Condvar)>,
    work: Box<dyn FnOnce() + Send>,
}

// The heap gives the greatest first; the job that is due first, and of equals the one that came first, is that.
impl Ord for Job {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Job {}

#[derive(Default)]
struct Pool {
    jobs: BinaryHeap<Job>,
    next_number: u64,
    users: usize,
    running: bool,
}

static POOL: LazyLock<(Mutex<Pool>, Condvar)> = LazyLock::new(Default::default);

/// A history's share of the background thread. While one exists the thread may run; dropping it waits until what it
/// asked for is done or forgotten.
pub(crate) struct Background {
    own: Arc<(Mutex<Own>, Condvar)>,
}

#[derive(Default)]
struct Own {
    waiting: usize,
    /// Nothing new is taken on; what is due is still done.
    ending: bool,
}

impl Background {
    pub(crate) fn new() -> Self {
        POOL.0.lock().users += 1;
        Self { own: Arc::default() }
    }

    /// Does this at a time, or soon after, unless the history is closed before.
    fn at(&self, due: Instant, work: impl FnOnce() + Send + 'static) {
        let own = Arc::clone(&self.own);
        {
            let mut held = own.0.lock();
            if held.ending {
                return;
            }
            held.waiting += 1;
        }
        let job_own = Arc::clone(&own);
        let work = move || {
            // The history waits for this however it ends.
            let _done = Done(Arc::clone(&own));
            work();
        };
        let mut pool = POOL.0.lock();
        let number = pool.next_number;
        pool.next_number += 1;
        pool.jobs.push(Job { due, number, own: job_own, work: Box::new(work) });
        if !pool.running {
            pool.running = thread::Builder::new().name("flow-history".to_owned()).spawn(run).is_ok();
        }
        POOL.1.notify_all();
    }

    /// Does this after so long, or soon after that, unless the history is closed before.
    pub(crate) fn after(&self, wait: Duration, work: impl FnOnce() + Send + 'static) {
        // A wait that no clock can hold is as good as a year.
        const A_YEAR: Duration = Duration::from_secs(365 * 86_400);
        self.at(Instant::now() + wait.min(A_YEAR), work);
    }

    /// Does this soon, unless the history is closed before.
    pub(crate) fn soon(&self, work: impl FnOnce() + Send + 'static) {
        self.at(Instant::now(), work);
    }

    /// Takes on nothing new, forgets what is not due yet, and waits until the rest is done.
    pub(crate) fn finish(&self) {
        self.own.0.lock().ending = true;
        self.forget(Instant::now());
        let (own, changed) = &*self.own;
        let mut held = own.lock();
        while held.waiting > 0 && !on_background_thread() && POOL.0.lock().running {
            changed.wait_for(&mut held, Duration::from_millis(50));
        }
    }

    /// Forgets what is not due by then.
    fn forget(&self, due_by: Instant) {
        let mut forgotten = 0;
        POOL.0.lock().jobs.retain(|job| {
            let keep = job.due <= due_by || !Arc::ptr_eq(&job.own, &self.own);
            forgotten += usize::from(!keep);
            keep
        });
        self.own.0.lock().waiting -= forgotten;
    }
}

struct Done(Arc<(Mutex<Own>, Condvar)>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.0.lock().waiting -= 1;
        self.0.1.notify_all();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.finish();
        POOL.0.lock().users -= 1;
        POOL.1.notify_all();
    }
}

fn on_background_thread() -> bool {
    thread::current().name() == Some("flow-history")
}

fn run() {
    let (pool, changed) = &*POOL;
    let mut held = pool.lock();
    loop {
        let now = Instant::now();
        match held.jobs.peek() {
            Some(job) if job.due <= now || held.users == 0 => {
                if let Some(job) = held.jobs.pop() {
                    parking_lot::MutexGuard::unlocked(&mut held, || {
                        // A panic in one history's work must not take the thread from the others.
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job.work));
                    });
                }
            }
            Some(job) => {
                let due = job.due;
                changed.wait_until(&mut held, due);
            }
            None if held.users == 0 => break,
            None => changed.wait(&mut held),
        }
    }
    held.running = false;
}
