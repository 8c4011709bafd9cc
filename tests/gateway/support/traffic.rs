//! Steady traffic, so that a test can break something under it and count the responses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::{Client, Request};
use super::within;

/// Outcome of one request.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// When it was sent.
    pub(crate) sent: Instant,
    /// Until its answer was read.
    pub(crate) took: Duration,
    /// The status; `None` when the connection broke.
    pub(crate) status: Option<u16>,
}

/// Requests sent at a steady rate, each on time whether or not earlier ones were answered.
pub(crate) struct Traffic {
    samples: mpsc::UnboundedReceiver<Sample>,
    seen: Vec<Sample>,
    running: Option<DropGuard>,
}

impl Traffic {
    /// Sends the requests in turn, so many a second, over as many kept-alive connections as are
    /// needed.
    pub(crate) fn start(to: SocketAddr, requests: Vec<Request>, per_second: u32) -> Self {
        let (sender, samples) = mpsc::unbounded_channel();
        let token = CancellationToken::new();
        let stop = token.clone();
        tokio::spawn(async move {
            let idle = Arc::new(Mutex::new(Vec::new()));
            let mut running = JoinSet::new();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for request in requests.into_iter().cycle() {
                if stop.run_until_cancelled(ticks.tick()).await.is_none() {
                    break;
                }
                let idle = Arc::clone(&idle);
                let sender = sender.clone();
                running.spawn(async move {
                    // The test may be over already.
                    let _ = sender.send(one(to, &request, &idle).await);
                });
            }
            running.join_all().await;
        });
        Self {
            samples,
            seen: Vec::new(),
            running: Some(token.drop_guard()),
        }
    }

    /// Waits for an answer like this to a request sent from now on.
    pub(crate) async fn until(&mut self, what: &str, like: impl Fn(&Sample) -> bool) -> Sample {
        let now = Instant::now();
        let found = async {
            loop {
                let sample = self.samples.recv().await.expect("the traffic goes on");
                self.seen.push(sample.clone());
                if sample.sent >= now && like(&sample) {
                    return sample;
                }
            }
        };
        within(what, found).await
    }

    /// Sends no more, waits for the answers that are due, and gives all of them.
    pub(crate) async fn stop(mut self) -> Vec<Sample> {
        self.running = None;
        let rest = async {
            while let Some(sample) = self.samples.recv().await {
                self.seen.push(sample);
            }
        };
        within("the last answers", rest).await;
        self.seen
    }
}

/// How often each status came; 0 stands for a connection that broke.
pub(crate) fn tally(samples: &[Sample]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for sample in samples {
        *tally.entry(sample.status.unwrap_or(0)).or_default() += 1;
    }
    tally
}

async fn one(to: SocketAddr, request: &Request, idle: &Mutex<Vec<Client>>) -> Sample {
    let sent = Instant::now();
    let client = idle.lock().expect("lock").pop();
    let client = match client {
        Some(client) => Ok(client),
        None => Client::try_connect(to).await,
    };
    let mut status = None;
    if let Ok(mut client) = client
        && let Ok(response) = client.try_exchange(request).await
    {
        status = Some(response.status);
        if !response.headers.lists("connection", "close") {
            idle.lock().expect("lock").push(client);
        }
    }
    Sample {
        sent,
        took: sent.elapsed(),
        status,
    }
}
