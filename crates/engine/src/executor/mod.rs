//! The walk of one request: known, matched, edited, acted on, answered.

#![expect(clippy::result_large_err, reason = "an early answer is as large as any other")]

mod draft;
mod forward;
mod respond;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use vane_core::graph::walk::{self, Step, Stop};
use vane_core::graph::{NodeId, RuleId};
use vane_core::rules::action::Action;
use vane_core::rules::middleware::{HeaderEdit, Middleware, RateLimit, Rewrite};

use crate::executor::draft::Draft;
use crate::executor::forward::Forwarding;
use crate::floor::Limit;
use crate::flow::Flow;
use crate::http2::interim::Queue;
use crate::inbound::Inbound;
use crate::middleware::headers::{self, PreparedEdit};
use crate::middleware::{rate_limit, rewrite};
use crate::registry::{Active, ConnectionKind};
use crate::response::{Closed, ResponseBody, limited, plain, refused};

/// Answers one request. `stream` takes the interim answers of one that has a stream of its own; the
/// others go over the connection.
///
/// # Errors
/// [`Closed`] where a rule closes the connection without an answer.
///
/// # Cancel safety
/// Dropping the future gives the exchange up; its upstream connection is closed, not reused.
pub(crate) fn answer<'a>(
    flow: &'a Arc<Flow>,
    request: Request<Inbound>,
    stream: Option<&Arc<Queue>>,
) -> Answering<'a> {
    let active = flow.place.begin_request();
    let ending = Ending { flow, active, version: request.version() };
    let has_rest = !is_small(request.body());
    match decide(flow, request, stream) {
        Ok(Decision::Answer(response)) => Answering::Now(Some(Ok(ending.of(response, has_rest)))),
        Ok(Decision::Forward(forwarding)) => {
            Answering::Later(Box::pin(ending.forwarded(forwarding)))
        }
        Err(closed) => Answering::Now(Some(Err(closed))),
    }
}

/// The answer to a request: there at once, or waited for. Only what waits is kept on the heap,
/// and it does not carry the request.
#[expect(clippy::large_enum_variant, reason = "an answer that is there is handed on at once")]
pub(crate) enum Answering<'a> {
    /// There; taken when it is asked for.
    Now(Option<Result<Response<ResponseBody>, Closed>>),
    /// On its way.
    Later(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>>),
}

impl Future for Answering<'_> {
    type Output = Result<Response<ResponseBody>, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => Poll::Ready(answer.take().expect("an answer is taken once")),
            Self::Later(waiting) => waiting.as_mut().poll(cx).map(Ok),
        }
    }
}

/// What is done to every answer.
struct Ending<'a> {
    flow: &'a Flow,
    active: Active,
    version: Version,
}

impl Ending<'_> {
    async fn forwarded(self, forwarding: Box<Forwarding<'_>>) -> Response<ResponseBody> {
        let body = forwarding.body();
        let response = forwarding.run().await;
        self.of(response, body.is_some_and(|body| body.finished().is_none()))
    }

    /// `unread` says that a part of the request's body will not be read.
    fn of(self, mut response: Response<ResponseBody>, unread: bool) -> Response<ResponseBody> {
        if self.version < Version::HTTP_2 && (unread || self.flow.is_leaving()) {
            say_close(&mut response);
        }
        response.body_mut().keep(self.active);
        response
    }
}

/// Whether hyper reads what is left of a body by itself once its request is answered.
fn is_small(body: &Inbound) -> bool {
    body.is_end_stream() || body.size_hint().exact().is_some_and(|length| length <= 8192)
}

/// Tells an HTTP/1 client to come back on a new connection: nothing is read any more behind a
/// body that nobody reads to its end. An answer that changes the protocol says so already.
fn say_close(response: &mut Response<ResponseBody>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// What a request comes to. Everything up to here waits for nothing, so that what does wait, and
/// is kept for as long, is small.
#[expect(clippy::large_enum_variant, reason = "an answer that is there is handed on at once")]
enum Decision<'a> {
    Answer(Response<ResponseBody>),
    Forward(Box<Forwarding<'a>>),
}

fn decide<'a>(
    flow: &'a Arc<Flow>,
    request: Request<Inbound>,
    stream: Option<&Arc<Queue>>,
) -> Result<Decision<'a>, Closed> {
    if let Err(refusal) = admit(flow) {
        return Ok(Decision::Answer(refusal));
    }
    if request.method() == Method::CONNECT {
        return Ok(Decision::Answer(refuse_connect()));
    }
    let (draft, body) = match Draft::new(request, flow.scheme()) {
        Ok(known) => known,
        Err(problem) => return Ok(Decision::Answer(refuse_malformed(flow, &problem))),
    };
    if let Some(answer) = challenge(flow, draft.path()) {
        return Ok(Decision::Answer(answer));
    }
    if !flow.may_carry(draft.host()) {
        return Ok(Decision::Answer(plain(StatusCode::MISDIRECTED_REQUEST)));
    }
    let stop = walk::find(&flow.program.graph, flow.entry, &draft.facts(&flow.facts), &mut ());
    match stop {
        Stop::Matched { rule, .. } if !flow.satisfies(rule) => {
            Ok(Decision::Answer(plain(StatusCode::MISDIRECTED_REQUEST)))
        }
        Stop::Matched { rule, next } => Matched { flow, rule, draft }.run(next, body, stream),
        _ => Ok(Decision::Answer(plain(StatusCode::NOT_FOUND))),
    }
}

/// The answer to an `http-01` challenge that is open now, RFC 8555 §8.3; in clear alone, which is
/// where authorities ask.
fn challenge(flow: &Flow, path: &str) -> Option<Response<ResponseBody>> {
    let token = path.strip_prefix("/.well-known/acme-challenge/")?;
    let answer = flow.shared.challenges.token(token).filter(|_| flow.tls.is_none())?;
    let body = bytes::Bytes::from(String::from(&*answer));
    let mut response = Response::new(ResponseBody::whole(body));
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Some(response)
}

fn admit(flow: &Flow) -> Result<(), Response<ResponseBody>> {
    let most = flow.shared.settings.floor.requests_per_second;
    let mut rate = flow.rate.lock().unwrap_or_else(PoisonError::into_inner);
    if rate.allow(most, Instant::now()) {
        return Ok(());
    }
    flow.shared.floor.refuse(Limit::RequestRate, flow.remote().ip(), "");
    let second = std::time::Duration::from_secs(1);
    let mut response = limited(StatusCode::TOO_MANY_REQUESTS, second);
    if flow.place.entry.kind() != ConnectionKind::Http2 {
        say_close(&mut response);
    }
    Err(response)
}

/// A proxy in front of servers tunnels to nowhere.
fn refuse_connect() -> Response<ResponseBody> {
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here");
    say_close(&mut response);
    response
}

fn refuse_malformed(flow: &Flow, problem: &dyn std::fmt::Display) -> Response<ResponseBody> {
    let details = problem.to_string();
    flow.shared.floor.refuse(Limit::Head, flow.remote().ip(), &details);
    let mut response = refused(StatusCode::BAD_REQUEST, &details);
    if flow.place.entry.kind() != ConnectionKind::Http2 {
        say_close(&mut response);
    }
    response
}

/// A request for which a rule has been found.
struct Matched<'a> {
    flow: &'a Arc<Flow>,
    rule: RuleId,
    draft: Draft,
}

/// The node of an action, and what it does.
type ActionAt<'g> = (NodeId, &'g Action);

/// Edits of a response, with the values that they had when the request was walked.
struct Edits<'a> {
    flow: &'a Flow,
    rule: RuleId,
    edits: Vec<PreparedEdit<'a>>,
}

impl Edits<'_> {
    fn apply(self, response: &mut Response<ResponseBody>) {
        for edit in self.edits {
            report_skipped(self.flow, self.rule, &edit.apply(response.headers_mut()));
        }
    }
}

impl<'a> Matched<'a> {
    fn run(
        mut self,
        next: NodeId,
        body: Inbound,
        stream: Option<&Arc<Queue>>,
    ) -> Result<Decision<'a>, Closed> {
        let (flow, rule) = (self.flow, self.rule);
        let mut edits = Vec::new();
        let early = self.prepare(walk::steps(&flow.program.graph, next), &mut edits);
        let edits = Edits { flow, rule, edits };
        let mut response = match early {
            Err(early) => early,
            Ok((_, Action::Forward(forward))) => {
                return Ok(self.forward(forward, body, edits, stream));
            }
            Ok((node, Action::Respond(respond))) => self.respond(node, respond),
            Ok((_, Action::Redirect(redirect))) => self.redirect(redirect),
            Ok((_, Action::Close | Action::Tunnel(_))) => return Err(Closed),
        };
        edits.apply(&mut response);
        Ok(Decision::Answer(response))
    }

    /// Runs the middleware up to the action, or to an early answer. Edits of the response are
    /// kept for later, with the values that they have now.
    fn prepare<'g>(
        &mut self,
        steps: impl Iterator<Item = Step<'g>>,
        edits: &mut Vec<PreparedEdit<'g>>,
    ) -> Result<ActionAt<'g>, Response<ResponseBody>> {
        for step in steps {
            match step {
                Step::Action(node, action) => return Ok((node, action)),
                Step::Middleware(node, middleware) => self.edit(node, middleware, edits)?,
            }
        }
        Err(plain(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn edit<'g>(
        &mut self,
        node: NodeId,
        middleware: &'g Middleware,
        edits: &mut Vec<PreparedEdit<'g>>,
    ) -> Result<(), Response<ResponseBody>> {
        match middleware {
            Middleware::RequestHeaders(edit) => {
                let skipped = self.rendered(edit).apply(self.draft.headers_mut());
                report_skipped(self.flow, self.rule, &skipped);
            }
            Middleware::ResponseHeaders(edit) => edits.push(self.rendered(edit)),
            Middleware::Rewrite(rewrite) => self.rewrite(rewrite)?,
            Middleware::RateLimit(limit) => self.limit(node, limit)?,
        }
        Ok(())
    }

    fn rendered<'g>(&self, edit: &'g HeaderEdit) -> PreparedEdit<'g> {
        headers::prepare(edit, &self.draft.facts(&self.flow.facts), unix_ms)
    }

    fn rewrite(&mut self, rule: &Rewrite) -> Result<(), Response<ResponseBody>> {
        let facts = self.draft.facts(&self.flow.facts);
        match rewrite::rewrite(rule, self.draft.path(), &facts, unix_ms) {
            Ok(None) => Ok(()),
            Ok(Some(rewritten)) => self
                .draft
                .rewrite(rewritten)
                .map_err(|problem| refuse_malformed(self.flow, &problem)),
            Err(problem) => Err(refuse_malformed(self.flow, &problem)),
        }
    }

    fn limit(&self, node: NodeId, limit: &RateLimit) -> Result<(), Response<ResponseBody>> {
        let Some(limiter) = self.flow.program.limiter(node) else { return Ok(()) };
        let key = limiter.key(&self.draft.facts(&self.flow.facts));
        match limiter.check(key, Instant::now()) {
            rate_limit::Decision::Allowed => Ok(()),
            rate_limit::Decision::Limited { retry_after } => {
                Err(limited(limit.status, retry_after))
            }
        }
    }
}

/// A value that came with the request can be illegal in a header; the field is then left alone.
fn report_skipped(flow: &Flow, rule: RuleId, skipped: &[&http::HeaderName]) {
    if !skipped.is_empty() {
        let rule = &flow.program.graph.rule(rule).name;
        tracing::warn!(%rule, ?skipped, "a rendered value is no legal header value");
    }
}

/// The time that `{time.unix_ms}` stands for.
fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
