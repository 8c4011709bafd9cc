//! The built binary as its user meets it: what each command says, where it says it, and its exit
//! status. What the gateway does with requests is in `tests/gateway`.
#![cfg(test)]

mod check;
mod dev;
mod explain;
mod healthcheck;
mod help;
mod init;
mod log;
mod run;
mod schema;
mod sessions;
mod support;
mod users;
