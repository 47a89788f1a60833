//! Mistakes made on purpose, to try the tests with: each of them must be caught by the test that says it would.
//!
//! Only a build with the feature `mistakes`, which nothing but the suite turns on, can make one: the one that the variable
//! `FLOW_HISTORY_MISTAKE` names. In every other build [`is_made`] is a constant, and nothing is left of the places that
//! ask.

/// Whether this mistake is made.
#[cfg(feature = "mistakes")]
#[must_use]
pub fn is_made(mistake: &str) -> bool {
    static MADE: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("FLOW_HISTORY_MISTAKE").ok());
    MADE.as_deref() == Some(mistake)
}

/// Whether this mistake is made: never.
#[cfg(not(feature = "mistakes"))]
#[must_use]
#[inline(always)]
pub const fn is_made(_mistake: &str) -> bool {
    false
}
