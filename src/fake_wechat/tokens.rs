//! access_tokens and phone codes of all apps, with WeChat's rules for their lifetimes. The two
//! kinds of token are independent.

use std::collections::HashMap;
use std::time::Duration;

use super::ids;
use super::render::ApiRefusal;

/// Lifetime of a token.
pub(super) const LIFETIME: Duration = Duration::from_secs(7200);
/// Remaining lifetime at which a stable token is replaced, and lifetime of the old token beside the
/// new one.
const OVERLAP: Duration = Duration::from_secs(300);
const MIN_FORCE_INTERVAL: Duration = Duration::from_secs(30);
const MAX_FORCED_PER_DAY: u32 = 20;
const DAY: Duration = Duration::from_secs(86_400);
const PHONE_CODE_LIFETIME: Duration = Duration::from_secs(300);

/// State of tokens and phone codes.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    tokens: HashMap<String, Token>,
    current: HashMap<(String, TokenKind), String>,
    forced: HashMap<String, Vec<Duration>>,
    phone_codes: HashMap<String, PhoneCode>,
    refused: u64,
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TokenKind {
    /// From `POST /cgi-bin/stable_token`.
    Stable,
    /// From `GET /cgi-bin/token`.
    Plain,
}

#[derive(Debug)]
struct Token {
    appid: String,
    ends: Duration,
    killed: bool,
}

#[derive(Debug)]
struct PhoneCode {
    appid: String,
    user: String,
    issued: Duration,
    spent: bool,
}

/// Tokens.
impl Tokens {
    /// Adds a new current token. An older one, unless it was killed, keeps its own end.
    pub(super) fn add(&mut self, token: &str, appid: &str, kind: TokenKind, now: Duration) {
        let added = Token {
            appid: appid.to_owned(),
            ends: now + LIFETIME,
            killed: false,
        };
        self.tokens.insert(token.to_owned(), added);
        let of = (appid.to_owned(), kind);
        self.current.insert(of, token.to_owned());
    }

    /// The app's stable token and its remaining lifetime; `None` if it is due for replacement.
    pub(super) fn stable(&self, appid: &str, now: Duration) -> Option<(String, Duration)> {
        let current = self.current(appid, TokenKind::Stable, now);
        current.filter(|(_, left)| *left > OVERLAP)
    }

    /// Ends the app's stable token for a forced renewal.
    ///
    /// # Errors
    /// Renewals were forced too often.
    pub(super) fn force(&mut self, appid: &str, now: Duration) -> Result<(), ApiRefusal> {
        let forced = self.forced.entry(appid.to_owned()).or_default();
        forced.retain(|at| now.saturating_sub(*at) < DAY);
        if forced
            .last()
            .is_some_and(|at| now.saturating_sub(*at) < MIN_FORCE_INTERVAL)
        {
            return Err(ApiRefusal(45011, "api minute-quota reach limit"));
        }
        if u32::try_from(forced.len()).unwrap_or(u32::MAX) >= MAX_FORCED_PER_DAY {
            return Err(ApiRefusal(45009, "reach max api daily quota limit"));
        }
        forced.push(now);
        if let Some((old, _)) = self.current(appid, TokenKind::Stable, now) {
            self.kill(&old);
        }
        Ok(())
    }

    /// Leaves the app's plain token five minutes at most, before it gets a successor.
    pub(super) fn retire_plain(&mut self, appid: &str, now: Duration) {
        if let Some((old, left)) = self.current(appid, TokenKind::Plain, now)
            && let Some(old) = self.tokens.get_mut(&old)
        {
            old.ends = now + left.min(OVERLAP);
        }
    }

    /// The app of a valid token.
    ///
    /// # Errors
    /// The token is not valid; `refused` counts it.
    pub(super) fn app_of(&mut self, token: &str, now: Duration) -> Result<String, ApiRefusal> {
        let refusal = match self.tokens.get(token) {
            Some(known) if known.killed => ApiRefusal(
                40001,
                "invalid credential, access_token is invalid or not latest",
            ),
            Some(known) if known.ends <= now => ApiRefusal(42001, "access_token expired"),
            Some(known) => return Ok(known.appid.clone()),
            None => ApiRefusal(40014, "invalid access_token"),
        };
        self.refused += 1;
        Err(refusal)
    }

    /// Ends the app's stable token at once, as a forced renewal by another client does, without a
    /// successor.
    pub(super) fn kill_stable(&mut self, appid: &str) {
        if let Some(token) = self.current.remove(&(appid.to_owned(), TokenKind::Stable)) {
            self.kill(&token);
        }
    }

    /// Refuses the app's stable token from now on, but keeps returning it: an inconsistent WeChat.
    pub(super) fn spoil_stable(&mut self, appid: &str) {
        if let Some(token) = self.current.get(&(appid.to_owned(), TokenKind::Stable)) {
            let token = token.clone();
            self.kill(&token);
        }
    }

    /// Number of calls with an invalid token.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn current(&self, appid: &str, kind: TokenKind, now: Duration) -> Option<(String, Duration)> {
        let token = self.current.get(&(appid.to_owned(), kind))?;
        let left = self.tokens.get(token)?.ends.checked_sub(now)?;
        Some((token.clone(), left))
    }

    fn kill(&mut self, token: &str) {
        if let Some(token) = self.tokens.get_mut(token) {
            token.killed = true;
        }
    }
}

/// Phone codes.
impl Tokens {
    /// Issues a code of the phone button.
    pub(super) fn issue(&mut self, appid: &str, user: &str, code: &str, now: Duration) {
        let issued = PhoneCode {
            appid: appid.to_owned(),
            user: user.to_owned(),
            issued: now,
            spent: false,
        };
        self.phone_codes.insert(code.to_owned(), issued);
    }

    /// Spends a phone code; the phone number of its user.
    ///
    /// # Errors
    /// The code is not valid, or of another app or user; it stays unspent.
    pub(super) fn spend_phone_code(
        &mut self,
        code: &str,
        appid: &str,
        openid: Option<&str>,
        now: Duration,
    ) -> Result<String, ApiRefusal> {
        let code = self.phone_codes.get_mut(code);
        // As for an unknown code: WeChat does not distinguish old, spent and foreign codes.
        let Some(code) = code
            .filter(|code| !code.spent && now.saturating_sub(code.issued) <= PHONE_CODE_LIFETIME)
        else {
            return Err(ApiRefusal(40029, "invalid code"));
        };
        if code.appid != appid {
            return Err(ApiRefusal(40013, "invalid appid"));
        }
        if openid.is_some_and(|named| named != ids::openid(appid, &code.user)) {
            return Err(ApiRefusal(40003, "invalid openid"));
        }
        code.spent = true;
        Ok(ids::phone_number(&code.user))
    }
}
