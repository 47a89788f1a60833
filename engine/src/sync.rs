//! What threads of one process wait for and share: locks, condition variables, atomics, threads themselves, and which process
//! it is.
//!
//! In the engine's own tests they are those of a scheduler, which decides who goes on at each of them and so tries orders
//! that a machine seldom takes: the tests are the module `schedules`.

#[cfg(not(test))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, ReentrantMutex};
#[cfg(not(test))]
pub(crate) use std::sync::{OnceLock, atomic};
#[cfg(not(test))]
pub(crate) use std::thread;

#[cfg(not(test))]
pub(crate) use self::origin::Origin;
#[cfg(test)]
pub(crate) use self::scheduled::{Condvar, Mutex, MutexGuard, OnceLock, Origin, ReentrantMutex, process_id};
#[cfg(test)]
pub(crate) use shuttle::{sync::atomic, thread};

#[cfg(not(test))]
mod origin; // the process that something was made in
#[cfg(test)]
pub(crate) mod scheduled; // the same by the scheduler

/// Something that all histories of the process share, made when it is needed first.
#[cfg(not(test))]
macro_rules! of_the_process {
    ($name:ident: $type:ty) => {
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(Default::default);
    };
}

/// The same, anew for each schedule.
#[cfg(test)]
macro_rules! of_the_process {
    ($name:ident: $type:ty) => {
        shuttle::lazy_static! { static ref $name: $type = Default::default(); }
    };
}

pub(crate) use of_the_process;
