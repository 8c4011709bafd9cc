//! The steps of one request. Each step passes the request on or ends it; only the last one
//! forwards.

use std::sync::Arc;

use tokio::time::Instant;

use super::RequestContext;
use super::decision::{Decision, decide};
use super::response::GatewayResponse;
use super::snapshot::{CompiledRoute, RouteTarget, Snapshot};
use crate::error::Error;
use crate::request_log::{Record, UpstreamEntry};
use crate::upstream::Attempt;

impl Snapshot {
    pub(super) async fn serve<'s>(
        &'s self,
        mut context: RequestContext<'_, 's>,
    ) -> Result<GatewayResponse, Error> {
        let decided = decide(self, &mut context.head);
        context.note_decision(self);
        match decided? {
            // Boxed, like the other rare branches below: a future is as large as its largest
            // branch.
            Decision::Endpoint(endpoint) => Box::pin(self.serve_endpoint(endpoint, context)).await,
            Decision::Route(route) => self.serve_route(route, context).await,
        }
    }

    async fn serve_route(
        &self,
        route: &CompiledRoute,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        let (session, body) = self.authorize(route, &mut context).await?;
        let rules = &route.config.response_headers;
        match &route.target {
            RouteTarget::Respond(respond) => Ok(GatewayResponse::configured(respond, rules)),
            RouteTarget::Forward(upstream) => {
                let identity = session.map(|session| session.identity);
                // Built before the await, so that the future does not hold the intermediate values.
                let (watch, record);
                let sending = {
                    let (request, its_record) = self.upstream_request(
                        upstream,
                        &route.config,
                        context,
                        body,
                        identity.as_ref(),
                    )?;
                    (watch, record) = (request.body.watch(), its_record);
                    upstream.send(request, |attempt| note_attempt(record, attempt))
                };
                let sent = Instant::now();
                let response = sending.await;
                record.upstream_time = Some(sent.elapsed());
                if let Some(watch) = &watch {
                    record.bytes_in = watch.bytes();
                }
                Ok(GatewayResponse::forwarded(response?, watch, rules))
            }
        }
    }
}

/// Records the endpoint of a try in the request's log line.
fn note_attempt(record: &mut Record, attempt: &Attempt) {
    record.upstream = Some(UpstreamEntry {
        name: Arc::clone(&attempt.upstream),
        address: Arc::clone(&attempt.address),
        tries: attempt.tries,
    });
}

impl<'s> RequestContext<'_, 's> {
    /// Copies the decision, as far as it went, for the log and for a refusal.
    fn note_decision(&mut self, snapshot: &'s Snapshot) {
        let record = &mut self.outcome.record;
        record.host.clone_from(&self.head.host);
        let Some(decision) = self.head.decision else {
            return;
        };
        self.outcome.style = decision.style(snapshot);
        match decision {
            Decision::Endpoint(endpoint) => record.endpoint = Some(endpoint.name()),
            Decision::Route(route) => record.route = Some(Arc::clone(&route.config)),
        }
    }
}
