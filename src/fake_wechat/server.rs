//! The HTTP server of the fake: connections, paths, faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::control;
use super::endpoint::Endpoint;
use super::fault::{DropWhen, Fault};
use super::jscode2session;
use super::render::{Answer, Fields, HangUp, Refused, api_answer, refused_fields};
use super::samples;
use super::state::State;
use super::tokens;

/// Connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Before the next accept when one has failed: no descriptors are left, and some must be closed
/// first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest body of a call that is JSON.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// For the head of a request, and for the next request on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What the connections and the owner of the fake share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    calls: watch::Sender<HashMap<Endpoint, u64>>,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            calls: watch::Sender::new(HashMap::new()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calls(&self, endpoint: Endpoint) -> u64 {
        self.calls.borrow().get(&endpoint).copied().unwrap_or(0)
    }

    pub(super) async fn wait_for_calls(&self, endpoint: Endpoint, count: u64) {
        let enough = |calls: &HashMap<_, _>| calls.get(&endpoint).copied().unwrap_or(0) >= count;
        // The sender is in `self`, so it cannot have gone.
        let _ = self.calls.subscribe().wait_for(enough).await;
    }

    pub(super) fn reset(&self) {
        self.state().reset();
        self.calls.send_modify(HashMap::clear);
    }

    fn count(&self, endpoint: Endpoint) {
        self.calls
            .send_modify(|calls| *calls.entry(endpoint).or_default() += 1);
    }
}

/// Takes connections until it is dropped, and its connections with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared, request).await }
    });
    // An error is a caller that went away, or a fault that closed the connection.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Answer>, HangUp> {
    let path = request.uri().path();
    if let Some(control) = path.strip_prefix("/_mock/") {
        let control = control.to_owned();
        return control::answer(shared, &control, request).await;
    }
    match path {
        "/sns/jscode2session" => {
            let endpoint = Endpoint::Jscode2session;
            call(shared, endpoint, |state| match request.method() {
                &Method::GET => {
                    jscode2session::answer(state, request.uri().query().unwrap_or_default())
                }
                _ => Err(Refused(43001, "require GET method")),
            })
            .await
        }
        "/cgi-bin/stable_token" => {
            let (_, body) = whole(request).await?;
            call(shared, Endpoint::StableToken, |state| {
                tokens::stable_token(state, &body)
            })
            .await
        }
        "/cgi-bin/token" => {
            let query = request.uri().query().unwrap_or_default();
            call(shared, Endpoint::Token, |state| tokens::token(state, query)).await
        }
        "/wxa/business/getuserphonenumber" => {
            let (query, body) = whole(request).await?;
            call(shared, Endpoint::Getuserphonenumber, |state| {
                tokens::phone_number(state, &query, &body)
            })
            .await
        }
        "/wxa/checksession" => {
            let query = request.uri().query().unwrap_or_default();
            call(shared, Endpoint::Checksession, |state| {
                tokens::check_session(state, query)
            })
            .await
        }
        "/wxa/msg_sec_check" => {
            let (query, body) = whole(request).await?;
            call(shared, Endpoint::MsgSecCheck, |state| {
                samples::msg_sec_check(state, &query, &body)
            })
            .await
        }
        "/cgi-bin/media/upload" => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            shared.count(Endpoint::MediaUpload);
            // The token is looked at before the body is there, as WeChat does.
            let refused = check_token(shared, &query);
            let fields = samples::media_upload(request).await?;
            api_answer(refused.unwrap_or(fields), &Fault::default())
        }
        "/cgi-bin/media/get" => {
            let query = request.uri().query().unwrap_or_default();
            shared.count(Endpoint::MediaGet);
            let fault = shared.state().next_fault(Endpoint::MediaGet);
            match check_token(shared, query) {
                Some(refused) => api_answer(refused, &Fault::default()),
                None => samples::media_get(fault.unwrap_or_default()),
            }
        }
        _ => {
            let refused = refused(&mut shared.state(), &Refused(40066, "invalid url"));
            api_answer(refused, &Fault::default())
        }
    }
}

/// Query and body of a POST; no body of anything else, which the call then refuses.
async fn whole(request: Request<Incoming>) -> Result<(String, Vec<u8>), HangUp> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.method() != Method::POST {
        return Ok((query, Vec::new()));
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    let body = body.await.map_err(|_| HangUp)?;
    Ok((query, body.to_bytes().to_vec()))
}

/// One call of the API, with the fault that is its turn.
async fn call(
    shared: &Shared,
    endpoint: Endpoint,
    carry_out: impl FnOnce(&mut State) -> Result<Fields, Refused>,
) -> Result<Response<Answer>, HangUp> {
    let fault = shared.state().next_fault(endpoint).unwrap_or_default();
    shared.count(endpoint);
    if fault.delay_ms > 0 {
        sleep(fault.delay()).await;
    }
    if fault.drop == Some(DropWhen::Before) {
        return Err(HangUp);
    }
    let fields = if let Some(errcode) = fault.errcode {
        refused_fields(errcode, fault.errmsg.clone().unwrap_or_default())
    } else if fault.body.is_some() {
        Vec::new()
    } else {
        let mut state = shared.state();
        let outcome = carry_out(&mut state);
        outcome.unwrap_or_else(|why| refused(&mut state, &why))
    };
    if fault.drop == Some(DropWhen::After) {
        return Err(HangUp);
    }
    api_answer(fields, &fault)
}

/// The refusal of a token that is not good.
fn check_token(shared: &Shared, query: &str) -> Option<Fields> {
    let mut state = shared.state();
    let checked = tokens::check_token(&mut state, query);
    checked.err().map(|why| refused(&mut state, &why))
}

fn refused(state: &mut State, Refused(errcode, errmsg): &Refused) -> Fields {
    refused_fields(*errcode, format!("{errmsg}, rid: {}", state.next_rid()))
}
