//! History files to verified entries to a flow at any version.
