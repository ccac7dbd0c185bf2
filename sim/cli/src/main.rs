//! The trial binary.
fn main() {}
