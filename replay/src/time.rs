//! Host time and log time.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment as a host's clock told it: milliseconds since 1970 in UTC, and the offset of the zone it was told in.
///
/// Clocks run backwards; the log keeps what they said and orders entries by sequence. Its own time, the *log time* of an
/// entry, is the larger of the host's time and the log time before, and so never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z; negative before.
    pub millis: i64,
    /// Minutes that the zone is ahead of UTC.
    pub zone_minutes: i16,
}

impl Timestamp {
    /// A moment in UTC.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self { millis, zone_minutes: 0 }
    }

    /// The present moment by the system's clock, in UTC.
    #[must_use]
    pub fn now() -> Self {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Self::from_millis(millis)
    }
}
