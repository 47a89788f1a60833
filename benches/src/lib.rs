//! The reference streams and the benches.
