//! The HTTP server of the fake: connections, paths, faults.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::control;
use super::endpoint::Endpoint;
use super::fault::{DropWhen, Fault};
use super::jscode2session;
use super::render::{ApiRefusal, FakeBody, Fields, HangUp, api_answer, refused_fields};
use super::samples;
use super::shared::FakeShared;
use super::state::FakeState;
use super::token_calls;

/// Maximum number of connections; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Delay after a failed accept: without free descriptors, some must be closed first.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Largest JSON body of a call.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Timeout of a request head, and of the next request on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Accepts connections until it is dropped, and its connections with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<FakeShared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(_) => sleep(ACCEPT_RETRY_DELAY).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<FakeShared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared, request).await }
    });
    // An error is a client that disconnected, or a fault that closed the connection.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    shared: &FakeShared,
    request: Request<Incoming>,
) -> Result<Response<FakeBody>, HangUp> {
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
                _ => Err(ApiRefusal(43001, "require GET method")),
            })
            .await
        }
        "/cgi-bin/stable_token" => {
            let (_, body) = whole(request).await?;
            call(shared, Endpoint::StableToken, |state| {
                token_calls::stable_token(state, &body)
            })
            .await
        }
        "/cgi-bin/token" => {
            let query = request.uri().query().unwrap_or_default();
            call(shared, Endpoint::Token, |state| {
                token_calls::token(state, query)
            })
            .await
        }
        "/wxa/business/getuserphonenumber" => {
            let (query, body) = whole(request).await?;
            call(shared, Endpoint::Getuserphonenumber, |state| {
                token_calls::phone_number(state, &query, &body)
            })
            .await
        }
        "/wxa/checksession" => {
            let query = request.uri().query().unwrap_or_default();
            call(shared, Endpoint::Checksession, |state| {
                token_calls::check_session(state, query)
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
            // The token is checked before the body arrives, as WeChat does.
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
            let refused = refused(&mut shared.state(), &ApiRefusal(40066, "invalid url"));
            api_answer(refused, &Fault::default())
        }
    }
}

/// Query and body of a POST; an empty body for other methods, which the call then refuses.
async fn whole(request: Request<Incoming>) -> Result<(String, Vec<u8>), HangUp> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if request.method() != Method::POST {
        return Ok((query, Vec::new()));
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    let body = body.await.map_err(|_| HangUp)?;
    Ok((query, body.to_bytes().to_vec()))
}

/// One API call, with the next queued fault.
async fn call(
    shared: &FakeShared,
    endpoint: Endpoint,
    carry_out: impl FnOnce(&mut FakeState) -> Result<Fields, ApiRefusal>,
) -> Result<Response<FakeBody>, HangUp> {
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

/// The refusal of an invalid token.
fn check_token(shared: &FakeShared, query: &str) -> Option<Fields> {
    let mut state = shared.state();
    let checked = token_calls::check_token(&mut state, query);
    checked.err().map(|why| refused(&mut state, &why))
}

fn refused(state: &mut FakeState, ApiRefusal(errcode, errmsg): &ApiRefusal) -> Fields {
    refused_fields(*errcode, format!("{errmsg}, rid: {}", state.next_rid()))
}
