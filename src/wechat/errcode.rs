//! WeChat's errcodes and their meaning for a login. An unknown errcode is `None`, never guessed.

/// The meaning of an errcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Not an error.
    Success,
    /// WeChat is busy; the same call may be repeated.
    Busy,
    /// The login code is unknown, too old, or of another mini program.
    CodeInvalid,
    /// The login code has been spent.
    CodeUsed,
    /// WeChat rates this user a high risk.
    UserBlocked,
    /// This user makes too many calls a minute.
    UserRateLimited,
    /// The mini program as a whole is over its quota.
    QuotaExceeded,
    /// A setting of the operator is wrong: appid, secret, address, account.
    Misconfigured,
    /// The call was malformed.
    GatewayBug,
    /// The access_token has expired; only calls that carry one get this.
    TokenStale,
    /// The session_key is no longer the current one; only checksession returns this.
    SessionKeyStale,
}

/// One errcode of the table.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// WeChat's errcode.
    pub errcode: i64,
    /// Its meaning.
    pub class: Class,
    /// For the operator: the cause and, if there is one, the cure.
    pub meaning: &'static str,
}

/// Every errcode with a known meaning, of all calls that a gateway makes, by number.
pub const KNOWN: &[Known] = &[
    known(-1, Class::Busy, "wechat is busy"),
    known(0, Class::Success, "no error"),
    known(
        40001,
        Class::Misconfigured,
        "the AppSecret or access_token is wrong or was replaced; compare `apps.secret` with the \
         WeChat console",
    ),
    known(40002, Class::GatewayBug, "the grant_type is wrong"),
    known(40003, Class::GatewayBug, "the openid is wrong"),
    known(
        40013,
        Class::Misconfigured,
        "the appid is unknown; compare `apps.appid` with the WeChat console, letter by letter",
    ),
    known(40014, Class::TokenStale, "the access_token is not valid"),
    known(
        40029,
        Class::CodeInvalid,
        "the login code is unknown, older than 5 minutes, or of another mini program; if most \
         logins fail like this, `apps.appid` is not the appid of the client",
    ),
    known(
        40125,
        Class::Misconfigured,
        "the AppSecret is wrong or was reset; set `apps.secret` to the one in the WeChat console",
    ),
    known(
        40163,
        Class::CodeUsed,
        "the login code was used before; a client must call wx.login for each login",
    ),
    known(
        40164,
        Class::Misconfigured,
        "this gateway's address is not on the mini program's IP allow-list; add the \
         address that errmsg names in the WeChat console",
    ),
    known(
        40226,
        Class::UserBlocked,
        "wechat rates this user a high risk and refuses the login",
    ),
    known(
        40243,
        Class::Misconfigured,
        "the AppSecret is frozen; thaw it in the WeChat console, which takes about 10 minutes",
    ),
    known(41001, Class::GatewayBug, "the access_token is missing"),
    known(
        41002,
        Class::Misconfigured,
        "the appid is missing; set `apps.appid`",
    ),
    known(
        41004,
        Class::Misconfigured,
        "the AppSecret is missing; set `apps.secret`, or the environment variable it names",
    ),
    known(41008, Class::GatewayBug, "the login code is missing"),
    known(42001, Class::TokenStale, "the access_token has expired"),
    known(42003, Class::CodeInvalid, "the login code has expired"),
    known(43002, Class::GatewayBug, "the call must be a POST"),
    known(44002, Class::GatewayBug, "the body is empty"),
    known(
        45009,
        Class::QuotaExceeded,
        "the mini program has used up its quota for this call; ask for more, or clear it, in \
         the WeChat console",
    ),
    known(
        45011,
        Class::UserRateLimited,
        "this user makes too many calls a minute; wechat allows 100",
    ),
    known(
        47001,
        Class::GatewayBug,
        "the body is not the JSON that wechat expects",
    ),
    known(
        48001,
        Class::Misconfigured,
        "the mini program may not use this call; its account is not verified or the \
         interface not granted",
    ),
    known(
        50002,
        Class::Misconfigured,
        "the mini program's account is restricted; see the notices in the WeChat console",
    ),
    known(
        61003,
        Class::Misconfigured,
        "the third-party platform is not authorised by this mini program",
    ),
    known(
        61004,
        Class::Misconfigured,
        "this gateway's address is not registered; add it to the mini program's IP allow-list in the \
         WeChat console",
    ),
    known(87008, Class::GatewayBug, "the sig_method is wrong"),
    known(
        87009,
        Class::SessionKeyStale,
        "the signature is wrong: the session_key is no longer the live one",
    ),
    known(
        89503,
        Class::Misconfigured,
        "the first call from a new address waits for the mini program's administrator to confirm it on \
         the phone",
    ),
];

const fn known(errcode: i64, class: Class, meaning: &'static str) -> Known {
    Known {
        errcode,
        class,
        meaning,
    }
}

/// The table's entry; `None` for an errcode that is not in it.
#[must_use]
pub fn lookup(errcode: i64) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.errcode == errcode)
}

/// Whether a call with an access_token and no AppSecret was refused because of the token, so that
/// another token may help.
#[must_use]
pub fn refuses_token(errcode: i64) -> bool {
    matches!(errcode, 40001 | 40014 | 42001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_each_code_once() {
        assert_eq!(KNOWN.len(), 31);
        assert!(KNOWN.is_sorted_by(|a, b| a.errcode < b.errcode));
    }

    #[test]
    fn a_code_outside_the_table_is_not_guessed() {
        assert!(lookup(40030).is_none());
        assert!(lookup(i64::MIN).is_none());
    }

    #[test]
    fn meanings_are_clauses_without_a_full_stop() {
        for known in KNOWN {
            assert!(!known.meaning.ends_with('.'), "{}", known.errcode);
            assert!(!known.meaning.contains("  "), "{}", known.errcode);
        }
    }
}
