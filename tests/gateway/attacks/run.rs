//! Runs the cases of one group against one installation, each twice: as it is written, and byte by
//! byte. A request of our own after each shows, without waiting for nothing, that no byte of the
//! case became anything more.

use super::case::{Case, End, SKEY};
use super::judge::{self, Known, same};
use super::responses::{answer, exchange, in_time};
use crate::support::client::{Client, Request};
use crate::support::fields::Head;
use crate::support::redis::Reply;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::upstream::{Recorded, Seen};

/// A route without auth, and one that requires a session.
const ROUTES: &str = r#"
    [[routes]]
    path = "/known/*"
    upstream = "api"

    [[routes]]
    path = "/open/*"
    upstream = "api"
    auth = "off"

    [[routes]]
    path = "/places/*"
    upstream = "api"
    token_from = ["header:skey", "bearer", "cookie:sid", "query:tk", "form:tk", "json:tk"]
"#;

/// Limits that the cases go over; all else is as by default.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Commands of the harness and of the link supervisors.
const HOUSEKEEPING: [&str; 6] = ["client", "command", "config", "hello", "info", "ping"];

/// How the bytes of a case go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As the case has them.
    AsWritten,
    /// In the smallest pieces, with time between them.
    Dripping,
}

/// A gateway, an upstream that answers with what it was asked for, a user, and a connection for our
/// own requests.
pub(super) struct Bench {
    /// The parts.
    pub(super) stack: Stack,
    skey: String,
    known: Known,
    control: Client,
    sentinels: usize,
}

/// The requests that the upstream saw during one case.
#[derive(Default)]
struct Witnessed {
    heads: Vec<Head>,
    whole: Vec<Recorded>,
    ended: usize,
}

/// Runs a group, and counts what each case makes the gateway ask of Redis.
///
/// # Panics: with every case that failed, or that made more or fewer look-ups than it says.
pub(super) async fn run_counting(cases: Vec<(Case, u64)>) {
    let mut bench = Bench::start(Setup::new()).await;
    let mut failures = Vec::new();
    for (case, lookups) in &cases {
        let before = bench.lookups().await;
        let mut outcome = bench.attack(case, Pace::AsWritten).await;
        if outcome.is_ok() {
            outcome = same("look-ups", &(bench.lookups().await - before), lookups);
        }
        if let Err(problem) = outcome {
            failures.push(format!("{}: {problem}", case.name));
            bench = Bench::start(Setup::new()).await;
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases went wrong:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Runs a group.
///
/// # Panics: with every case that failed.
pub(super) async fn run(cases: Vec<Case>) {
    let mut bench = Bench::start(Setup::new().memory()).await;
    let mut failures = Vec::new();
    for case in &cases {
        for pace in [Pace::AsWritten, Pace::Dripping] {
            if let Err(problem) = bench.attack(case, pace).await {
                failures.push(format!("{} ({pace:?}): {problem}", case.name));
                // Late events of this case must not count for the next one.
                bench = Bench::start(Setup::new().memory()).await;
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases went wrong:\n{}",
        failures.len(),
        cases.len() * 2,
        failures.join("\n")
    );
}

impl Bench {
    /// Starts the parts and logs the user in.
    pub(super) async fn start(setup: Setup) -> Self {
        let setup = setup.routes(ROUTES);
        let limit = format!("max_body = \"{}KiB\"", MAX_BODY / 1024);
        let stack = Stack::start(setup.table("server", &limit)).await;
        stack.upstream.always(respond);
        let login = stack.log_in(stack.address(), "ann").await;
        let known = [
            ("x-openid", stack.wechat.openid(APP.0, "ann")),
            ("x-user-id", login.field("user_id")),
            ("x-wx-appid", APP.0.to_owned()),
        ];
        let mut known: Vec<_> = known.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let skey = login.field("skey");
        let mut bench = Self {
            control: Client::connect(stack.address()).await,
            stack,
            skey,
            known: Known {
                headers: Vec::new(),
            },
            sentinels: 0,
        };
        // The unionid is asked for, not computed: an honest request tells it.
        let honest = Request::get("/known/honest").header("skey", &bench.skey);
        bench.control.exchange(&honest).await;
        let honest = bench.stack.upstream.request().await.head;
        let unionid = honest.headers.get("x-unionid").expect("a unionid");
        known.push(("x-unionid".to_owned(), unionid.to_owned()));
        bench.known.headers = known;
        bench
    }

    /// Of the user.
    pub(super) fn skey(&self) -> &str {
        &self.skey
    }

    async fn attack(&mut self, case: &Case, pace: Pace) -> Result<(), String> {
        let mut client = Client::connect(self.stack.address()).await;
        for write in &case.writes {
            self.send(&mut client, write, pace).await;
        }
        if case.finishes {
            client.finish().await;
        }
        for want in &case.answers {
            answer(&mut client, want).await?;
        }
        let (target, sentinel) = self.sentinel();
        let told = match case.end {
            End::Open => exchange(&mut client, &sentinel).await,
            End::Closed => {
                let more = in_time("the end of the connection", client.some()).await?;
                same(
                    "more bytes",
                    &more.escape_ascii().to_string(),
                    &String::new(),
                )?;
                exchange(&mut self.control, &sentinel).await
            }
            // Events of the closed connection do not matter.
            End::Either => match in_time("an end", client.try_exchange(&sentinel)).await? {
                Ok(answer) => Ok(answer.text()),
                Err(_) => exchange(&mut self.control, &sentinel).await,
            },
        };
        same("the next answer", &told?, &target)?;
        let witnessed = self.witness(&target).await?;
        self.judge(case, &witnessed)
    }

    async fn send(&self, client: &mut Client, bytes: &[u8], pace: Pace) {
        let bytes = replaced(bytes, SKEY, &self.skey);
        let piece = match pace {
            Pace::AsWritten => bytes.len().max(1),
            // One byte each, but for cases that are long only to be too long.
            Pace::Dripping => bytes.len() / 2048 + 1,
        };
        for piece in bytes.chunks(piece) {
            client.write(piece).await;
            // Lets the gateway, which runs in this thread, read what is there.
            tokio::task::yield_now().await;
        }
    }

    /// A request of our own, with its answer.
    pub(super) fn sentinel(&mut self) -> (String, Request) {
        self.sentinels += 1;
        let target = format!("/open/sentinel/{}", self.sentinels);
        let request = Request::get(&target);
        (target, request)
    }

    /// Commands about keys that Redis received so far, without those that supervise the link.
    async fn lookups(&mut self) -> u64 {
        let reply = self
            .stack
            .redis()
            .command(&[b"INFO", b"commandstats"])
            .await;
        let Reply::Text(text) = reply else {
            panic!("INFO without a text: {reply:?}");
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let calls = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let name = name.split('|').next().unwrap_or_default();
            let calls: u64 = rest.split(',').next()?.parse().ok()?;
            (!HOUSEKEEPING.contains(&name)).then_some(calls)
        };
        text.lines().filter_map(calls).sum::<u64>()
    }

    /// Asks over the connection that no case uses.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<String, String> {
        exchange(&mut self.control, request).await
    }

    /// The requests seen by the upstream before the one for this target.
    async fn witness(&mut self, target: &str) -> Result<Witnessed, String> {
        let mut seen = Witnessed::default();
        let upstream = &mut self.stack.upstream;
        loop {
            match in_time("our own request", upstream.next_seen()).await? {
                Seen::Head(head) if head.target() == target => {}
                Seen::Head(head) => seen.heads.push(head),
                Seen::Piece(_) => {}
                Seen::Request(request) if request.head.target() == target => break,
                Seen::Request(request) => seen.whole.push(request),
                Seen::Closed => seen.ended += 1,
            }
        }
        // A request that is still partial must never become whole: its connection ends.
        while seen.heads.len() > seen.whole.len() + seen.ended {
            match in_time("the end of a cut request", upstream.next_seen()).await? {
                Seen::Closed => seen.ended += 1,
                Seen::Request(request) => seen.whole.push(request),
                Seen::Head(head) => seen.heads.push(head),
                Seen::Piece(_) => {}
            }
        }
        Ok(seen)
    }

    fn judge(&self, case: &Case, seen: &Witnessed) -> Result<(), String> {
        let starts = |heads: &mut dyn Iterator<Item = &Head>| -> Vec<String> {
            heads.map(|head| head.start.clone()).collect()
        };
        if seen.whole.len() != case.saw.len() {
            let saw = starts(&mut seen.whole.iter().map(|request| &request.head));
            return Err(format!("the upstream saw {saw:?}"));
        }
        for (request, clean) in seen.whole.iter().zip(&case.saw) {
            judge::is_clean(request, clean, &self.known)?;
        }
        let count = seen.heads.len() - seen.whole.len();
        if count > usize::from(case.may_be_cut) {
            return Err(format!("heads: {:?}", starts(&mut seen.heads.iter())));
        }
        let whole = |head: &Head| {
            seen.whole
                .iter()
                .any(|request| request.head.raw == head.raw)
        };
        let mut cut = seen.heads.iter().filter(|head| !whole(head));
        cut.try_for_each(|head| judge::is_well_formed(&head.raw))
    }

    /// As `attack` for cases that are not over HTTP/1: the requests seen by the upstream before the
    /// harness's own.
    pub(super) async fn saw(&mut self, case: &Case, target: &str) -> Result<(), String> {
        let witnessed = self.witness(target).await?;
        self.judge(case, &witnessed)
    }
}

/// Behaviour of the upstream by target.
fn respond(head: &Head) -> Answer {
    let target = head.target();
    match target.rsplit('/').next() {
        Some("echo") => Answer::echo_upgrade(),
        Some("426") => Answer::text(426, "upgrade"),
        _ => Answer::text(200, target),
    }
}

/// The bytes with each mark replaced.
pub(super) fn replaced(bytes: &[u8], mark: &str, text: &str) -> Vec<u8> {
    let mark = mark.as_bytes();
    let mut rest = bytes;
    let mut out = Vec::new();
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        out.extend(&rest[..at]);
        out.extend(text.as_bytes());
        rest = &rest[at + mark.len()..];
    }
    out.extend(rest);
    out
}
