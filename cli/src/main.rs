//! The program flow-history.
fn main() {}
