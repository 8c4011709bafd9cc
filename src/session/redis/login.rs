//! One exchange per login code, over all replicas.

use deadpool_redis::redis::pipe;

use super::{RedisSessions, eval, scripts};
use crate::redis::millis;
use crate::session::lifetime::{LOGIN_LOCK_FOR, LOGIN_RESULT_FOR};
use crate::session::login::code_hash;
use crate::session::{LoginClaim, LoginTicket};
use crate::store_error::StoreError;

impl RedisSessions {
    pub(in crate::session) async fn claim_login(
        &self,
        appid: &str,
        code: &str,
    ) -> Result<LoginClaim, StoreError> {
        let inner = &self.inner;
        let place = format!("{}l:{}", inner.prefix, code_hash(appid, code));
        let ticket = LoginTicket::new(appid, place)?;
        let mut commands = pipe();
        commands
            .cmd("SET")
            .arg(&ticket.place)
            .arg(lock_of(&ticket))
            .arg("NX")
            .arg("PX")
            .arg(millis(LOGIN_LOCK_FOR))
            .cmd("GET")
            .arg(&ticket.place);
        let (won, found): (Option<String>, Option<Vec<u8>>) =
            inner.link.pipeline(&commands).await?;
        if won.is_some() {
            return Ok(LoginClaim::Won(ticket));
        }
        let Some(mut value) = found else {
            // Ended between the two commands.
            return Ok(LoginClaim::Pending);
        };
        let Some((b'R', sealed)) = value.split_first_mut() else {
            return Ok(LoginClaim::Pending);
        };
        // A result that does not open, say from a replica with other keys, lasts ten seconds.
        Ok(inner
            .open(&ticket.place, sealed)
            .map_or(LoginClaim::Pending, |result| {
                LoginClaim::Done(result.to_vec())
            }))
    }

    pub(in crate::session) async fn finish_login(
        &self,
        ticket: LoginTicket,
        result: &[u8],
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let value = inner
            .sealer
            .seal(&ticket.appid, &ticket.place, b"R", result)?;
        let finish = eval(scripts::FINISH, &ticket.place)
            .arg(lock_of(&ticket))
            .arg(value)
            .arg(millis(LOGIN_RESULT_FOR))
            .to_owned();
        inner.link.query(&finish).await
    }

    pub(in crate::session) async fn release_login(
        &self,
        ticket: LoginTicket,
    ) -> Result<(), StoreError> {
        let release = eval(scripts::RELEASE, &ticket.place)
            .arg(lock_of(&ticket))
            .to_owned();
        self.inner.link.query(&release).await
    }
}

fn lock_of(ticket: &LoginTicket) -> Vec<u8> {
    [b"L", ticket.mark.as_slice()].concat()
}
