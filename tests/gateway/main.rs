//! The gateway from outside: each test starts what it needs (see `support`), acts once, and looks at what the other side saw.
#![cfg(test)]

mod harness;
mod support;
