//! Runs attacks over HTTP/2. A request of our own, on the same connection where that is to go on,
//! shows that nothing more comes.

use std::collections::BTreeMap;

use tokio::net::TcpStream;

use super::case::{
    Attack, DATA, END_STREAM, GOAWAY, HEADERS, Outcome, RST_STREAM, SETTINGS, SKEY, frame, headers,
    request,
};
use super::hpack;
use crate::attacks::judge::same;
use crate::attacks::responses::in_time;
use crate::attacks::run::{Bench, replaced};
use crate::support::setup::Setup;
use crate::support::wire::Wire;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The stream of our own request, behind those of every attack.
const OURS: u32 = 1001;

/// Runs a group.
///
/// # Panics: with every attack that failed.
pub(super) async fn run(attacks: Vec<Attack>) {
    let mut bench = Bench::start(Setup::new().memory()).await;
    let mut failures = Vec::new();
    for attack in &attacks {
        if let Err(problem) = attempt(&mut bench, attack).await {
            failures.push(format!("{}: {problem}", attack.case.name));
            bench = Bench::start(Setup::new().memory()).await;
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} attacks went wrong:\n{}",
        failures.len(),
        attacks.len(),
        failures.join("\n")
    );
}

async fn attempt(bench: &mut Bench, attack: &Attack) -> Result<(), String> {
    let stream = TcpStream::connect(bench.stack.address()).await;
    let stream = stream.map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let mut link = Link::new(stream);
    let mut bytes = PREFACE.to_vec();
    if !attack.no_settings {
        // No dynamic table, no push.
        bytes.extend(frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]));
    }
    for write in &attack.case.writes {
        bytes.extend(replaced(write, SKEY, bench.skey()));
    }
    link.write(&bytes).await;
    let ends = attack
        .outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::GoAway(_)));
    for outcome in &attack.outcomes {
        in_time("an outcome", link.read_until(|link| link.tells(outcome))).await??;
        link.holds(outcome)?;
    }
    let (target, sentinel) = bench.sentinel();
    if ends {
        in_time("the end", link.read_until(|link| link.ended)).await??;
        same("our own answer", &bench.ask(&sentinel).await?, &target)?;
    } else {
        let ours = request("GET", &target, &[]);
        link.write(&headers(OURS, END_STREAM, &ours)).await;
        let outcome = Outcome::Passed(OURS, target.clone());
        in_time(
            "our own answer",
            link.read_until(|link| link.tells(&outcome)),
        )
        .await??;
        link.holds(&outcome)?;
    }
    let told: Vec<u32> = attack.outcomes.iter().map(Outcome::stream).collect();
    let known = |stream: &u32| ends || *stream == OURS || told.contains(stream);
    let other = link.streams.keys().find(|stream| !known(stream));
    same("other streams", &other, &None)?;
    bench.saw(&attack.case, &target).await
}

/// State of a stream.
#[derive(Debug, Default)]
struct Told {
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    whole: bool,
    reset: Option<u32>,
}

/// The client's end of a connection.
struct Link {
    wire: Wire<TcpStream>,
    streams: BTreeMap<u32, Told>,
    go_away: Option<u32>,
    ended: bool,
}

impl Outcome {
    fn stream(&self) -> u32 {
        match self {
            Self::Reset(stream, _) | Self::Refusal(stream, ..) | Self::Passed(stream, _) => *stream,
            Self::GoAway(_) => 0,
        }
    }
}

impl Link {
    fn new(stream: TcpStream) -> Self {
        Self {
            wire: Wire::new(stream),
            streams: BTreeMap::new(),
            go_away: None,
            ended: false,
        }
    }

    /// A write error shows when the response is read.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.wire.write(bytes).await;
    }

    /// Whether enough has come to judge by.
    fn tells(&self, outcome: &Outcome) -> bool {
        let stream = self.streams.get(&outcome.stream());
        match outcome {
            Outcome::GoAway(_) => self.go_away.is_some() || self.ended,
            _ => {
                self.ended
                    || self.go_away.is_some()
                    || stream.is_some_and(|told| told.whole || told.reset.is_some())
            }
        }
    }

    fn holds(&self, outcome: &Outcome) -> Result<(), String> {
        let nothing = Told::default();
        let told = self.streams.get(&outcome.stream()).unwrap_or(&nothing);
        let field = |name: &str| {
            let found = told.fields.iter().find(|field| field.0 == name);
            found.map(|field| field.1.as_str())
        };
        let text = String::from_utf8_lossy(&told.body);
        let describe = || format!("{told:?}, GOAWAY {:?}, ended {}", self.go_away, self.ended);
        match outcome {
            Outcome::Reset(_, code) if told.reset == Some(*code) && told.fields.is_empty() => {
                Ok(())
            }
            Outcome::GoAway(code) if self.go_away == Some(*code) => Ok(()),
            Outcome::Passed(_, target) if told.whole => {
                same("the status", &field(":status"), &Some("200"))?;
                same("the answer", &text.as_ref(), &target.as_str())
            }
            Outcome::Refusal(_, status, error) if told.whole => {
                let status = status.to_string();
                same("the status", &field(":status"), &Some(status.as_str()))?;
                same("the error", &field("x-gateway-error"), &Some(error))?;
                match text.contains(&format!("\"error\":\"{error}\"")) {
                    true => Ok(()),
                    false => Err(format!("the body {text:?}")),
                }
            }
            _ => Err(format!("{} instead of {outcome:?}", describe())),
        }
    }

    async fn read_until(&mut self, enough: impl Fn(&Self) -> bool) -> Result<(), String> {
        while !enough(self) {
            if self.ended {
                return Err("the connection ended".to_owned());
            }
            self.read().await?;
        }
        Ok(())
    }

    /// Takes in one frame, or the end.
    async fn read(&mut self) -> Result<(), String> {
        let Ok(head) = self.wire.exactly(9).await else {
            self.ended = true;
            return Ok(());
        };
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = number(&head[5..9]);
        let Ok(payload) = self.wire.exactly(length).await else {
            self.ended = true;
            return Ok(());
        };
        match kind {
            SETTINGS if flags == 0 => self.write(&frame(SETTINGS, 1, 0, &[])).await,
            GOAWAY => self.go_away = Some(number(&payload[4..8])),
            HEADERS | DATA | RST_STREAM => {
                let told = self.streams.entry(stream).or_default();
                match kind {
                    HEADERS => told.fields.extend(hpack::fields(&payload)?),
                    DATA => told.body.extend(payload),
                    // Behind a whole answer it only says that the rest of the request is not
                    // wanted.
                    _ if told.whole => {}
                    _ => told.reset = Some(number(&payload)),
                }
                told.whole |= kind != RST_STREAM && flags & END_STREAM != 0;
            }
            _ => {}
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}
