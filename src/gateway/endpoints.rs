//! Serves the gateway's own endpoints: login and logout here, the others in `profile.rs`,
//! `decrypt.rs` and `phone.rs`.

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::{Method, StatusCode};

use super::RequestContext;
use super::endpoint::Endpoint;
use super::response::GatewayResponse;
use super::snapshot::{CompiledLogin, Snapshot};
use super::upstream_request::ReadBody;
use crate::auth::{self, BODY_TOKEN_LIMIT, Caller};
use crate::clock;
use crate::config::{Auth, OnBadToken};
use crate::error::{Error, SkeyState};
use crate::http::body::{self, BodyKind};
use crate::login::{self, LOGIN_BODY_LIMIT, LoginAttempt};
use crate::request_log::AuthOutcome;
use crate::session::{Session, Skey};
use crate::style;
use crate::users::CreateUsers;

impl Snapshot {
    /// Responds to a request to an endpoint.
    pub(super) async fn serve_endpoint(
        &self,
        endpoint: Endpoint<'_>,
        context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        match endpoint {
            Endpoint::Login(login) => self.serve_login(login, context).await,
            Endpoint::Logout => self.serve_logout(context).await,
            Endpoint::Me(_) if context.head.parts.method == Method::GET => {
                self.serve_me(context).await
            }
            Endpoint::Me(_) => self.serve_profile(context).await,
            Endpoint::Decrypt => self.serve_decrypt(context).await,
            Endpoint::Phone(tokens) => self.serve_phone(tokens, context).await,
            Endpoint::Unknown => Err(Error::NoRoute),
        }
    }

    /// The whole body, of at most `limit` bytes.
    pub(super) async fn read(
        &self,
        context: &mut RequestContext<'_, '_>,
        limit: u64,
    ) -> Result<Bytes, Error> {
        if context.body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let bytes = body::read(context.body, limit, self.server.body_timeout).await?;
        context.outcome.record.bytes_in = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(bytes)
    }

    async fn serve_login(
        &self,
        login: &CompiledLogin,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        // Before anything is read or asked: what is refused here costs nothing, its code least of
        // all.
        let client = context.outcome.record.client;
        self.limits.note_login(client, &self.server.trusted_proxies);
        if let Some(limit) = &login.limit {
            self.count_by_address(limit, &mut context).await?;
        }
        let entry = &login.config;
        let body = if login::reads_body(entry) {
            let bytes = self.read(&mut context, LOGIN_BODY_LIMIT).await?;
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::BadRequest("the body is not UTF-8"))?
        } else {
            String::new()
        };
        let headers = &context.head.parts.headers;
        // wx.request sets the JSON content type; older clients send JSON as text.
        let kind = body::kind(headers)
            .or_else(|| body.trim_start().starts_with('{').then_some(BodyKind::Json));
        let body = kind
            .map(|kind| (kind, body.as_str()))
            .filter(|(_, text)| !text.is_empty());
        let code = login::find_code(entry, headers, context.query.as_deref(), body)?;
        let app = login::choose_app(&self.apps, entry, headers, context.head.host.as_deref())?;
        let record = &mut context.outcome.record;
        record.appid = Some(app.appid.clone());
        let origin = login::origin(headers, record.client);
        let create_users = if entry.create_users {
            CreateUsers::Yes
        } else {
            CreateUsers::No
        };
        let attempt = LoginAttempt {
            app,
            code,
            origin,
            create_users,
            request_id: record.id.as_str().to_owned(),
        };
        let (outcome, waited) = self.logins.log_in(attempt).await;
        record.store_time = Some(waited.store);
        record.wechat_time = waited.wechat;
        let answer = outcome?;
        record.auth = AuthOutcome::User;
        record.user_id.clone_from(&answer.user_id);
        let profile = self.profile(entry, headers, &answer).await;
        let expires_in = answer.expires_at.saturating_sub(clock::unix_seconds());
        Ok(GatewayResponse::json(
            StatusCode::OK,
            style::login(&entry.style, &answer, expires_in, profile.as_ref()),
        ))
    }

    async fn serve_logout(
        &self,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        let (session, skey, _) = self.own_session(&mut context).await?;
        let gone = self
            .sessions
            .revoke(&skey)
            .await
            .map_err(Error::StoreUnavailable)?;
        tracing::debug!(user.id = ?session.identity.user_id, ended = gone.is_some(), "logged out");
        let style = Endpoint::Logout.style(self);
        Ok(GatewayResponse::json(StatusCode::OK, style::done(style)))
    }

    /// The session of a request to an endpoint, its skey, and the body if it had to be read for
    /// that.
    pub(super) async fn own_session(
        &self,
        context: &mut RequestContext<'_, '_>,
    ) -> Result<(Session, Skey, ReadBody), Error> {
        if let Some(limit) = &self.endpoint_limit {
            self.count_by_address(limit, context).await?;
        }
        let (mut taken, body) = self
            .take_skey(&self.every_source, Some(BODY_TOKEN_LIMIT), context)
            .await?;
        let decision =
            auth::authenticate(&self.sessions, Auth::Required, OnBadToken::Reject, &taken).await;
        let record = &mut context.outcome.record;
        record.store_time = decision.store_time;
        record.token_source = taken.source;
        let caller = decision
            .caller
            .inspect_err(|error| record.auth = AuthOutcome::of(error))?;
        match (caller, taken.skey.take()) {
            (Caller::User(session), Some(skey)) => {
                record.auth = AuthOutcome::User;
                record.user_id.clone_from(&session.identity.user_id);
                record.appid = Some(session.identity.appid.clone());
                Ok((session, skey, body))
            }
            (Caller::User(_) | Caller::Anonymous, _) => Err(Error::NotLoggedIn(SkeyState::Missing)),
        }
    }
}
