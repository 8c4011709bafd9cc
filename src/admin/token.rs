//! `admin.token`: the bearer token for all but the probes.

use hyper::header::{AUTHORIZATION, HeaderMap};
use ring::digest::{SHA256, digest};

use crate::secret::Secret;

/// The token's hash. Hashes are compared, so that the time reveals nothing of how much of a guess
/// was right.
pub(super) struct AdminToken(Vec<u8>);

impl AdminToken {
    pub(super) fn new(token: &Secret) -> Self {
        Self(hash(token.expose().as_bytes()))
    }

    /// Whether exactly one `Authorization` line carries the token as a bearer.
    pub(super) fn permits(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (line, more) = (lines.next(), lines.next());
        let bearer = line.and_then(|line| {
            let (scheme, token) = line.as_bytes().split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        more.is_none() && bearer.is_some_and(|bearer| hash(bearer) == self.0)
    }
}

fn hash(token: &[u8]) -> Vec<u8> {
    digest(&SHA256, token).as_ref().to_vec()
}
