//! HTTP/1: strict framing in front of hyper.

pub(super) mod strict;
