//! The gateway from outside: each test starts what it needs (see `support`), acts once, and looks
//! at what the other side saw.
#![cfg(test)]

mod access_tokens;
mod answer_headers;
mod attacks;
mod backends;
mod bad_answers;
mod bad_upstreams;
mod client_library;
mod connections;
mod decrypt;
mod door;
mod floods;
mod forged_headers;
mod harness;
mod hostile;
mod hosts;
mod keys;
mod lasting;
mod leaving;
mod lifecycle;
mod limits;
mod log_injection;
mod login_limits;
mod login_styles;
mod methods;
mod mixing;
mod outages;
mod own_answers;
mod paths;
mod phone_numbers;
mod proxying;
mod rate_limits;
mod recipes;
mod secrets;
mod session_control;
mod single_flight;
mod skeys;
mod slow_clients;
mod sql_users;
mod support;
mod targets;
mod unread_bytes;
mod upstreams;
mod users;
mod wafer;
