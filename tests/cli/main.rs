//! The built binary from the command line: the output of each command, its stream, and its exit
//! status. Requests are tested in `tests/gateway`.
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
