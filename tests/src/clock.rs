//! Time and randomness from a seed.

use std::sync::{Arc, Mutex};

use flow_history::{Clock, Timestamp};

use crate::Chance;

/// A clock that goes on by seven milliseconds a look, now and then back by a second, and rolls seeded dice.
pub struct SeededClock(Mutex<(i64, Chance)>);

impl SeededClock {
    /// The clock of a seed. Two of one seed say the same.
    #[must_use]
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new((1_795_000_000_000, Chance::new(seed)))))
    }
}

impl Clock for SeededClock {
    fn now(&self) -> Timestamp {
        let mut held = self.0.lock().unwrap();
        held.0 += if held.0 % 11 == 0 { -1_000 } else { 7 };
        Timestamp { millis: held.0, zone_minutes: 60 }
    }

    fn random(&self) -> [u8; 16] {
        self.0.lock().unwrap().1.bytes()
    }
}
