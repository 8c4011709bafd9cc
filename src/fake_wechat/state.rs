//! State of the fake: apps, codes, keys, blocks, faults, and a clock that only moves forward.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::fault::Fault;
use super::ids::{self, Seed};
use super::open_data::{self, OpenData};
use super::tokens::Tokens;

/// Lifetime of a code.
const CODE_LIFETIME: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);
/// Prefix of a code under `accept_any_code`; the user's name follows.
const DEV_CODE: &str = "dev-";

/// A mini program that the fake knows.
#[derive(Debug, Clone)]
pub struct FakeApp {
    /// Its appid.
    pub appid: String,
    /// Its AppSecret.
    pub secret: String,
    /// The open-platform account of the app; with `None` its users have no unionid.
    pub account: Option<String>,
}

impl FakeApp {
    /// An app without an account.
    #[must_use]
    pub fn new(appid: &str, secret: &str) -> Self {
        Self {
            appid: appid.to_owned(),
            secret: secret.to_owned(),
            account: None,
        }
    }
}

/// Settings that tests can change.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Minimum age of a session_key before wx.login replaces it. Default 0: replaced each time, the
    /// hard case.
    pub rotate_min: Duration,
    /// Exchanges of one user in a minute before 45011. Default 100.
    pub rate_per_minute: u32,
    /// Whether the gateway's address is on the IP allow-list. Default true; false responds 40164.
    pub ip_allowed: bool,
    /// Whether the code `dev-<user>` logs that user in, any number of times, without wx.login.
    /// Default false.
    pub accept_any_code: bool,
}

/// The user of a code.
pub(super) enum Owner {
    /// The code belongs to this user.
    User(String),
    /// The code was used.
    Spent,
    /// The code is unknown, expired, or of another app.
    Unknown,
}

#[derive(Debug)]
pub(super) struct FakeState {
    apps: Vec<FakeApp>,
    seed: Seed,
    started: Instant,
    advanced: Duration,
    count: u64,
    pub(super) settings: Settings,
    codes: HashMap<String, Code>,
    /// The codes by age, for removing expired ones.
    issued: VecDeque<(Duration, String)>,
    keys: HashMap<UserInApp, Key>,
    blocked: HashSet<String>,
    rates: HashMap<UserInApp, Minute>,
    faults: HashMap<Endpoint, VecDeque<Fault>>,
    pub(super) tokens: Tokens,
}

type UserInApp = (String, String);

#[derive(Debug)]
struct Code {
    appid: String,
    user: String,
    issued: Duration,
    spent: bool,
}

#[derive(Debug)]
struct Key {
    generation: u64,
    since: Duration,
}

#[derive(Debug)]
struct Minute {
    since: Duration,
    calls: u32,
}

impl FakeState {
    pub(super) fn new(apps: Vec<FakeApp>, seed: Seed) -> Self {
        Self {
            apps,
            seed,
            started: Instant::now(),
            advanced: Duration::ZERO,
            count: 0,
            settings: Settings::default(),
            codes: HashMap::new(),
            issued: VecDeque::new(),
            keys: HashMap::new(),
            blocked: HashSet::new(),
            rates: HashMap::new(),
            faults: HashMap::new(),
            tokens: Tokens::default(),
        }
    }

    pub(super) fn app(&self, appid: &str) -> Option<&FakeApp> {
        self.apps.iter().find(|app| app.appid == appid)
    }

    pub(super) fn wx_login(&mut self, appid: &str, user: &str) -> String {
        let code = self.next_code();
        self.issue(appid, user, &code);
        code
    }

    /// A new, unique code.
    pub(super) fn next_code(&mut self) -> String {
        let count = self.next();
        ids::code(&self.seed, count)
    }

    /// A code of the phone button.
    pub(super) fn phone_code(&mut self, appid: &str, user: &str) -> String {
        let code = self.next_code();
        let now = self.now();
        self.tokens.issue(appid, user, &code, now);
        code
    }

    pub(super) fn issue(&mut self, appid: &str, user: &str, code: &str) {
        self.rotate_key(appid, user);
        let now = self.now();
        self.forget_old_codes(now);
        self.issued.push_back((now, code.to_owned()));
        let entry = Code {
            appid: appid.to_owned(),
            user: user.to_owned(),
            issued: now,
            spent: false,
        };
        self.codes.insert(code.to_owned(), entry);
    }

    /// The user of `code` in `appid`. Does not spend the code.
    pub(super) fn owner(&mut self, appid: &str, code: &str) -> Owner {
        let now = self.now();
        match self.codes.get(code) {
            Some(known) if known.appid != appid || is_older(known.issued, now, CODE_LIFETIME) => {
                Owner::Unknown
            }
            Some(known) if known.spent => Owner::Spent,
            Some(known) => Owner::User(known.user.clone()),
            None => match code.strip_prefix(DEV_CODE) {
                Some(user) if self.settings.accept_any_code && !user.is_empty() => {
                    // Stands for the wx.login that did not happen.
                    self.rotate_key(appid, user);
                    Owner::User(user.to_owned())
                }
                _ => Owner::Unknown,
            },
        }
    }

    pub(super) fn spend(&mut self, code: &str) {
        if let Some(code) = self.codes.get_mut(code) {
            code.spent = true;
        }
    }

    pub(super) fn session_key(&self, appid: &str, user: &str) -> Option<String> {
        let key = self.keys.get(&(appid.to_owned(), user.to_owned()))?;
        Some(ids::session_key(appid, user, key.generation))
    }

    /// As `session_key`, by openid.
    pub(super) fn session_key_of(&self, appid: &str, openid: &str) -> Option<String> {
        let mut users = self.keys.keys();
        let (_, user) =
            users.find(|(app, user)| app == appid && ids::openid(app, user) == openid)?;
        self.session_key(appid, user)
    }

    pub(super) fn user_info(&self, appid: &str, user: &str) -> Option<OpenData> {
        let session_key = self.session_key(appid, user)?;
        open_data::seal(self.profile(appid, user), appid, &session_key)
    }

    /// The user's data as WeChat encrypts it.
    pub(super) fn profile(&self, appid: &str, user: &str) -> Map<String, Value> {
        let account = self.app(appid).and_then(|app| app.account.as_deref());
        let unionid = account.map(|account| ids::unionid(account, user));
        open_data::profile(appid, user, unionid.as_deref())
    }

    pub(super) fn block(&mut self, user: &str) {
        self.blocked.insert(user.to_owned());
    }

    pub(super) fn is_blocked(&self, user: &str) -> bool {
        self.blocked.contains(user)
    }

    /// Counts a call of the user; returns whether it exceeds the limit of this minute.
    pub(super) fn is_over_rate(&mut self, appid: &str, user: &str) -> bool {
        let now = self.now();
        let minute = self
            .rates
            .entry((appid.to_owned(), user.to_owned()))
            .or_insert(Minute {
                since: now,
                calls: 0,
            });
        if is_older(minute.since, now, MINUTE) {
            *minute = Minute {
                since: now,
                calls: 0,
            };
        }
        minute.calls = minute.calls.saturating_add(1);
        minute.calls > self.settings.rate_per_minute
    }

    pub(super) fn push_fault(&mut self, endpoint: Endpoint, fault: Fault) {
        self.faults.entry(endpoint).or_default().push_back(fault);
    }

    /// The fault of this call of the endpoint.
    pub(super) fn next_fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let queue = self.faults.get_mut(&endpoint)?;
        while let Some(fault) = queue.front_mut() {
            match fault.times {
                ..=-1 => return Some(fault.clone()),
                0 => {
                    queue.pop_front();
                }
                1.. => {
                    fault.times -= 1;
                    return Some(fault.clone());
                }
            }
        }
        None
    }

    pub(super) fn next_rid(&mut self) -> String {
        let count = self.next();
        ids::rid(&self.seed, count)
    }

    pub(super) fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    pub(super) fn set_account(&mut self, appid: &str, account: Option<&str>) {
        if let Some(app) = self.apps.iter_mut().find(|app| app.appid == appid) {
            app.account = account.map(str::to_owned);
        }
    }

    pub(super) fn set_secret(&mut self, appid: &str, secret: &str) {
        if let Some(app) = self.apps.iter_mut().find(|app| app.appid == appid) {
            secret.clone_into(&mut app.secret);
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }

    pub(super) fn reset(&mut self) {
        // The count continues, so that no code repeats.
        *self = Self {
            started: self.started,
            advanced: self.advanced,
            count: self.count,
            ..Self::new(std::mem::take(&mut self.apps), self.seed)
        };
    }

    fn rotate_key(&mut self, appid: &str, user: &str) {
        let now = self.now();
        let rotate_min = self.settings.rotate_min;
        self.keys
            .entry((appid.to_owned(), user.to_owned()))
            .and_modify(|key| {
                if rotate_min.is_zero() || is_older(key.since, now, rotate_min) {
                    key.generation += 1;
                    key.since = now;
                }
            })
            .or_insert(Key {
                generation: 1,
                since: now,
            });
    }

    fn forget_old_codes(&mut self, now: Duration) {
        while let Some((issued, code)) = self.issued.front() {
            if !is_older(*issued, now, CODE_LIFETIME) {
                return;
            }
            // A named code may have been issued again since.
            if self
                .codes
                .get(code)
                .is_some_and(|known| known.issued == *issued)
            {
                self.codes.remove(code);
            }
            self.issued.pop_front();
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed().saturating_add(self.advanced)
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rotate_min: Duration::ZERO,
            rate_per_minute: 100,
            ip_allowed: true,
            accept_any_code: false,
        }
    }
}

fn is_older(since: Duration, now: Duration, than: Duration) -> bool {
    now.saturating_sub(since) > than
}
