//! skeygate.
fn main() {}
