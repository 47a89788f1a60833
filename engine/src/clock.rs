//! What time it is, and random bytes.

use flow_history_replay::Timestamp;

/// Where a history takes the time and randomness from; tests give their own.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Sixteen random bytes.
    fn random(&self) -> [u8; 16];
}

/// The system's clock and randomness.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> [u8; 16] {
        // Two calls of the standard library's randomly keyed hasher: seeded by the system once a process, and never the
        // same twice. Names need to be unlikely, not secret.
        use std::hash::{BuildHasher, Hasher, RandomState};
        let word = || {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u128(std::time::SystemTime::now().elapsed_nanos());
            hasher.finish().to_le_bytes()
        };
        let (high, low) = (word(), word());
        std::array::from_fn(|at| {
            if at < 8 { high.get(at) } else { low.get(at - 8) }.copied().unwrap_or_default()
        })
    }
}

trait ElapsedNanos {
    fn elapsed_nanos(&self) -> u128;
}

impl ElapsedNanos for std::time::SystemTime {
    fn elapsed_nanos(&self) -> u128 {
        self.duration_since(std::time::UNIX_EPOCH).map(|elapsed| elapsed.as_nanos()).unwrap_or_default()
    }
}
