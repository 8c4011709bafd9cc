//! HTTP/1: strict framing and the head deadline in front of hyper, and the state of one connection.

pub(super) mod deadline;
pub(super) mod guarded_body;
pub(super) mod state;
pub(super) mod strict;
