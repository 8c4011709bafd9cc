//! A user's session_keys: the newest and the one before it, because WeChat may replace the key
//! while data encrypted with the old one is still in transit.

use deadpool_redis::redis::cmd;
use ring::digest::{SHA256, digest};

use super::{Inner, RedisSessions, eval, scripts, whole_seconds};
use crate::secret::Secret;
use crate::session::lifetime::SESSION_KEY_TTL;
use crate::store_error::StoreError;

/// Leading bytes of a session_key's hash, which recognize a repeated key without opening it. They
/// reveal nothing useful of its 128 random bits.
const FINGERPRINT_LEN: usize = 8;

impl RedisSessions {
    pub(in crate::session) async fn remember_session_key(
        &self,
        appid: &str,
        openid: &str,
        session_key: &Secret,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let name = inner.history_name(appid, openid);
        let text = session_key.expose().as_bytes();
        let hash = digest(&SHA256, &[name.as_bytes(), b"\0", text].concat());
        let fingerprint = hash.as_ref().get(..FINGERPRINT_LEN).unwrap_or_default();
        let value = inner.sealer.seal(appid, &name, fingerprint, text)?;
        let remember = eval(scripts::REMEMBER, &name)
            .arg(fingerprint)
            .arg(value)
            .arg(whole_seconds(SESSION_KEY_TTL))
            .to_owned();
        inner.link.query(&remember).await
    }

    pub(in crate::session) async fn session_keys(
        &self,
        appid: &str,
        openid: &str,
    ) -> Result<Vec<Secret>, StoreError> {
        let inner = &self.inner;
        let name = inner.history_name(appid, openid);
        let values: Vec<Vec<u8>> = inner
            .link
            .read(cmd("LRANGE").arg(&name).arg(0).arg(-1))
            .await?;
        Ok(values
            .into_iter()
            .filter_map(|mut value| inner.open_text(&name, value.get_mut(FINGERPRINT_LEN..)?))
            .map(Secret::new)
            .collect())
    }
}

impl Inner {
    fn open_text(&self, name: &str, sealed: &mut [u8]) -> Option<String> {
        let text = self.open(name, sealed)?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}
