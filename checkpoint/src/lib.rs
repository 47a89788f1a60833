//! A flow at a version, to bytes and back.
