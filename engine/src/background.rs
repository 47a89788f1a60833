//! The background threads of the process: one for what must be quick, one for what may take its time. Each begins with the
//! first work for it, and ends with the last close.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, MutexGuard, Origin, of_the_process, thread};

/// Which thread does it. What somebody may wait for never stands behind what reads and writes whole segments.
#[derive(Clone, Copy)]
enum Lane {
    /// Leading, flushing, vouching.
    Quick,
    /// Sealing, checkpoints, the catalog.
    Slow,
}

/// Work to be done later, on a background thread.
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

/// The threads of a process, and what they are to do.
struct Lanes {
    /// A child that was forked has the lists of its parent, but not the threads: it begins anew.
    origin: Origin,
    quick: (Mutex<Pool>, Condvar),
    slow: (Mutex<Pool>, Condvar),
}

of_the_process!(LANES: Mutex<Option<Arc<Lanes>>>);

impl Lanes {
    fn of_this_process() -> Arc<Self> {
        let mut lanes = LANES.lock();
        if let Some(lanes) = lanes.as_ref().filter(|lanes| lanes.origin.is_surely_here()) {
            return Arc::clone(lanes);
        }
        let (quick, slow) = Default::default();
        let new = Arc::new(Self { origin: Origin::here(), quick, slow });
        // What the parent has to do is not let go of either: that may take locks which nobody lets go here.
        std::mem::forget(lanes.replace(Arc::clone(&new)));
        new
    }

    fn pool(&self, lane: Lane) -> &(Mutex<Pool>, Condvar) {
        match lane {
            Lane::Quick => &self.quick,
            Lane::Slow => &self.slow,
        }
    }

    fn both(&self) -> [&(Mutex<Pool>, Condvar); 2] {
        [&self.quick, &self.slow]
    }
}

impl Lane {
    fn thread_name(self) -> &'static str {
        match self {
            Lane::Quick => "flow-history",
            Lane::Slow => "flow-history-2",
        }
    }
}

/// A history's share of the background threads. While one exists the threads may run; dropping it waits until what it
/// asked for is done or forgotten.
pub(crate) struct Background {
    own: Arc<(Mutex<Own>, Condvar)>,
    lanes: Arc<Lanes>,
    /// Whether there are threads; otherwise callers do the work, in the order in which it was asked for.
    threads: bool,
}

#[derive(Default)]
struct Own {
    waiting: usize,
    /// Nothing new is taken on; what is due is still done.
    ending: bool,
    /// What callers are to do, where there are no threads.
    by_callers: VecDeque<Box<dyn FnOnce() + Send>>,
    /// Whether a caller is doing it.
    at_work: bool,
}

impl Background {
    pub(crate) fn new(threads: bool) -> Self {
        let lanes = Lanes::of_this_process();
        for (pool, _) in lanes.both().into_iter().filter(|_| threads) {
            pool.lock().users += 1;
        }
        Self { own: Arc::default(), lanes, threads }
    }

    /// Does what was asked for, where there are no threads. To be called with no lock held.
    pub(crate) fn do_own(&self) {
        if self.threads || std::mem::replace(&mut self.own.0.lock().at_work, true) {
            return;
        }
        loop {
            let mut own = self.own.0.lock();
            let Some(work) = own.by_callers.pop_front() else {
                own.at_work = false;
                return;
            };
            drop(own);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        }
    }

    /// Does this at a time, or soon after, unless the history is closed before; says whether it was taken on.
    fn at(&self, lane: Lane, due: Instant, work: impl FnOnce() + Send + 'static) -> bool {
        let own = Arc::clone(&self.own);
        {
            let mut held = own.0.lock();
            if held.ending {
                return false;
            }
            if !self.threads {
                if due <= Instant::now() {
                    held.by_callers.push_back(Box::new(work));
                }
                return true;
            }
            held.waiting += 1;
        }
        let job_own = Arc::clone(&own);
        let work = move || {
            // The history waits for this however it ends.
            let _done = Done(Arc::clone(&own));
            work();
        };
        let (pool, changed) = self.lanes.pool(lane);
        let mut pool = pool.lock();
        let number = pool.next_number;
        pool.next_number += 1;
        pool.jobs.push(Job { due, number, own: job_own, work: Box::new(work) });
        if !pool.running {
            let thread = thread::Builder::new().name(lane.thread_name().to_owned());
            let lanes = Arc::clone(&self.lanes);
            pool.running = thread.spawn(move || run(&lanes, lane)).is_ok();
        }
        changed.notify_all();
        true
    }

    /// Does this after so long, or soon after that, unless the history is closed before.
    pub(crate) fn after(&self, wait: Duration, work: impl FnOnce() + Send + 'static) {
        // A wait that no clock can hold is as good as a year.
        const A_YEAR: Duration = Duration::from_secs(365 * 86_400);
        self.at(Lane::Quick, Instant::now() + wait.min(A_YEAR), work);
    }

    /// Does this soon, unless the history is closed before.
    pub(crate) fn soon(&self, work: impl FnOnce() + Send + 'static) {
        self.at(Lane::Quick, Instant::now(), work);
    }

    /// Does this when there is time for it, unless the history is closed before; says whether it was taken on.
    pub(crate) fn at_leisure(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.at(Lane::Slow, Instant::now(), work)
    }

    /// Takes on nothing new, forgets what is not due yet, and waits until the rest is done.
    pub(crate) fn finish(&self) {
        if self.is_of_the_parent() {
            return;
        }
        self.do_own();
        self.own.0.lock().ending = true;
        self.forget(Instant::now());
        let (own, changed) = &*self.own;
        let mut held = own.lock();
        let runs = || self.lanes.both().iter().any(|(pool, _)| pool.lock().running);
        while held.waiting > 0 && !on_background_thread() && runs() {
            changed.wait_for(&mut held, Duration::from_millis(50));
        }
    }

    /// Whether this is a child of the process whose threads they are: there is nothing to wait for there, and the locks may be
    /// ones that nobody lets go.
    fn is_of_the_parent(&self) -> bool {
        !self.lanes.origin.is_surely_here()
    }

    /// Forgets what is not due by then.
    fn forget(&self, due_by: Instant) {
        let mut forgotten = 0;
        for (pool, _) in self.lanes.both() {
            pool.lock().jobs.retain(|job| {
                let keep = job.due <= due_by || !Arc::ptr_eq(&job.own, &self.own);
                forgotten += usize::from(!keep);
                keep
            });
        }
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
        if self.is_of_the_parent() {
            return;
        }
        self.finish();
        for (pool, changed) in self.lanes.both().into_iter().filter(|_| self.threads) {
            pool.lock().users -= 1;
            changed.notify_all();
        }
    }
}

fn on_background_thread() -> bool {
    let current = thread::current();
    [Lane::Quick, Lane::Slow].iter().any(|lane| current.name() == Some(lane.thread_name()))
}

fn run(lanes: &Lanes, lane: Lane) {
    let (pool, changed) = lanes.pool(lane);
    let mut held = pool.lock();
    loop {
        let now = Instant::now();
        match held.jobs.peek() {
            Some(job) if job.due <= now || held.users == 0 => {
                if let Some(job) = held.jobs.pop() {
                    MutexGuard::unlocked(&mut held, || {
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
