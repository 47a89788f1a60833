//! What could not be tried here.

use std::sync::atomic::{AtomicUsize, Ordering};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Says that something could not be tried, and why, so that a green run never hides it.
pub fn skip(what_and_why: &str) {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    eprintln!("SKIPPED {count}: {what_and_why}");
}
