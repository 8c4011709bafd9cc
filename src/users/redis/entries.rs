//! Listing of the directory in Redis, by SCAN.

use deadpool_redis::redis::{cmd, pipe};
use percent_encoding::percent_decode_str;

use super::{RedisUsers, UserId};
use crate::store_error::StoreError;
use crate::users::{Entries, Entry, EntryKind};

/// Keys per SCAN call: about a tenth of a millisecond of Redis's time.
const SCAN_COUNT: u64 = 1000;

impl RedisUsers {
    pub(in crate::users) async fn current_id(&self, user_id: &str) -> Result<String, StoreError> {
        match UserId::parse(user_id) {
            Some(id) => Ok(self.resolve(id).await?.to_string()),
            // An id that this directory did not issue; sessions may hold ids of an earlier
            // directory.
            None => Ok(user_id.to_owned()),
        }
    }

    pub(in crate::users) async fn entries(
        &self,
        kind: EntryKind,
        from: &str,
    ) -> Result<Entries, StoreError> {
        let letter = match kind {
            EntryKind::Openids => "o:",
            EntryKind::Unionids => "n:",
            EntryKind::Merged => "a:",
        };
        let start = [&self.prefix, letter].concat();
        let scan = cmd("SCAN")
            .arg(if from.is_empty() { "0" } else { from })
            .arg("MATCH")
            .arg(format!("{start}*"))
            .arg("COUNT")
            .arg(SCAN_COUNT)
            .to_owned();
        let (next, names): (String, Vec<String>) = self.link.read(&scan).await?;
        let mut page = Entries {
            entries: Vec::new(),
            looked_at: SCAN_COUNT,
            next: Some(next).filter(|next| next != "0"),
        };
        if names.is_empty() {
            return Ok(page);
        }
        let mut commands = pipe();
        for name in &names {
            commands.cmd("GET").arg(name);
        }
        let values: Vec<Option<String>> = self.link.pipeline(&commands).await?;
        for (name, value) in names.iter().zip(values) {
            let parts = name.strip_prefix(&start).unwrap_or_default();
            if let Some(id) = self.parse(value)? {
                page.entries.extend(entry(kind, parts, &id.to_string()));
            }
        }
        Ok(page)
    }
}

/// `None` for a key that skeygate never writes.
fn entry(kind: EntryKind, parts: &str, user_id: &str) -> Option<Entry> {
    let plain = |text| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .map(String::from)
    };
    let user_id = user_id.to_owned();
    match kind {
        EntryKind::Openids => {
            let (appid, openid) = parts.split_once(':')?;
            Some(Entry::Openid {
                user_id,
                appid: plain(appid)?,
                openid: plain(openid)?,
            })
        }
        EntryKind::Unionids => Some(Entry::Unionid {
            user_id,
            unionid: plain(parts)?,
        }),
        EntryKind::Merged => Some(Entry::Merged {
            user_id: plain(parts)?,
            into: user_id,
        }),
    }
}
