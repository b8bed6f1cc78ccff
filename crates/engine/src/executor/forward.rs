//! Sends a request to a server and brings its answer back.

use std::sync::Arc;

use http::uri::{Authority, Parts as UriParts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use vane_core::graph::RuleId;
use vane_core::graph::render::render;
use vane_core::rules::action::{Forward, ForwardTimeouts, ForwardedHost};
use vane_core::value::units::ByteSize;

use crate::body::{BodyLimits, BodyWatch, RequestBody};
use crate::executor::{Decision, Edits, Matched, unix_ms};
use crate::floor::Limit;
use crate::flow::{Flow, Interim, Switched};
use crate::message::forwarded::{self, Seen};
use crate::message::hop_by_hop::{self, RequestHops};
use crate::response::{ResponseBody, failed};
use crate::upstream::attempt::{Answer, Exchange, Spoken};
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::origin::Origin;

/// A request on its way to a server.
pub(super) struct Forwarding<'a> {
    flow: &'a Arc<Flow>,
    rule: RuleId,
    origin: &'a Origin,
    timeouts: ForwardTimeouts,
    spoken: Spoken,
    request: Request<RequestBody>,
    /// What becomes of its body; nothing where it has none.
    body: Option<Arc<BodyWatch>>,
    /// Whether it asks for another protocol.
    upgrade: bool,
    edits: Edits<'a>,
}

impl Forwarding<'_> {
    /// What becomes of the request's body; nothing where it has none.
    pub(super) fn body(&self) -> Option<Arc<BodyWatch>> {
        self.body.clone()
    }

    /// Sends the request and brings the answer back, or the answer to its failure.
    pub(super) async fn run(self) -> Response<ResponseBody> {
        let exchange = Exchange {
            pool: &self.flow.worker.pool,
            registry: &self.flow.worker.registry,
            origin: self.origin,
            timeouts: self.timeouts,
            body: self.body,
        };
        let answer = match self.spoken {
            Spoken::Http1 => exchange.send_http1(self.request).await,
            // Apart from the other, so that this future is not as large as both.
            Spoken::Http2 => Box::pin(exchange.send_http2(self.request)).await,
        };
        let outcome = answer.and_then(|answer| accept(answer, self.flow, &exchange, self.upgrade));
        let mut response = outcome.unwrap_or_else(|failure| {
            report(self.flow, self.rule, self.origin, &failure);
            failed(&failure)
        });
        self.edits.apply(&mut response);
        response
    }
}

/// The response that an answer becomes; the other end of a tunnel is left with the flow.
fn accept(
    answer: Answer,
    flow: &Flow,
    exchange: &Exchange<'_>,
    upgrade: bool,
) -> Result<Response<ResponseBody>, Failure> {
    match answer {
        Answer::Response(response) => Ok(returned(response.map(ResponseBody::upstream), false)),
        Answer::Switched(..) if !upgrade => Err(Failure::new(FailureKind::Protocol)),
        Answer::Switched(head, stream, read) => {
            flow.switch(Switched { stream, read, idle: exchange.timeouts.idle });
            Ok(returned(head.map(|()| ResponseBody::whole(bytes::Bytes::new())), true))
        }
    }
}

fn report(flow: &Flow, rule: RuleId, origin: &Origin, failure: &Failure) {
    if failure.kind == FailureKind::BodyIdle {
        flow.shared.floor.refuse(Limit::BodyIdle, flow.remote().ip(), "request");
    }
    let rule = &flow.program.graph.rule(rule).name;
    if failure.kind.is_clients() {
        tracing::debug!(%rule, remote = %flow.remote(), %failure, "request failed");
    } else {
        tracing::warn!(%rule, upstream = %origin.url, %failure, "request failed");
    }
}

impl<'a> Matched<'a> {
    /// Prepares `forward`; a body that is known to be too large is refused here.
    pub(super) fn forward(
        self,
        forward: &Forward,
        body: Incoming,
        edits: Edits<'a>,
    ) -> Decision<'a> {
        let (flow, rule) = (self.flow, self.rule);
        let limits = self.body_limits();
        if let Err(failure) = self.check_length(&limits) {
            let mut response = failed(&failure);
            edits.apply(&mut response);
            return Decision::Answer(response);
        }
        let origin = flow.program.server(forward.upstream);
        let expects = expects_continue(self.draft.headers());
        let (body, watch) = RequestBody::new(body, limits, expects);
        let spoken = Spoken::to(origin, forward.version);
        let client_is_http1 = self.draft.version() == Version::HTTP_11;
        let (mut request, upgrade) = self.request(forward, origin, spoken, body);
        if client_is_http1 && spoken == Spoken::Http1 {
            listen_to_interim(&mut request, Arc::clone(&flow.interim), watch.clone());
        }
        let timeouts = forward.timeouts;
        let body = watch;
        Decision::Forward(Forwarding {
            flow,
            rule,
            origin,
            timeouts,
            spoken,
            request,
            body,
            upgrade,
            edits,
        })
    }

    fn body_limits(&self) -> BodyLimits {
        let size = self.flow.program.graph.rule(self.rule).max_body;
        BodyLimits {
            size: size.map(ByteSize::bytes),
            idle: self.flow.shared.settings.floor.body_idle,
        }
    }

    /// A body whose length is known to be too large need not be read.
    fn check_length(&self, limits: &BodyLimits) -> Result<(), Failure> {
        let length = self.draft.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        match (length, limits.size) {
            (Some(length), Some(most)) if length > most => {
                Err(Failure::new(FailureKind::BodyTooLarge))
            }
            _ => Ok(()),
        }
    }

    /// The request that goes to the server, and whether it asks for an upgrade.
    fn request(
        mut self,
        forward: &Forward,
        origin: &Origin,
        spoken: Spoken,
        body: RequestBody,
    ) -> (Request<RequestBody>, bool) {
        let host = self.host(forward, origin);
        self.set_forwarded();
        let target = self.draft.target();
        let parts = self.draft.into_parts();
        let mut headers = parts.headers;
        let hops = hop_by_hop::strip_request(&mut headers);
        let switchable = parts.version == Version::HTTP_11 && spoken == Spoken::Http1;
        let hops = RequestHops { upgrade: hops.upgrade.filter(|_| switchable), ..hops };
        let upgrade = hops.upgrade.is_some();
        put_back(&mut headers, hops, spoken);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        match spoken {
            Spoken::Http1 => {
                headers.insert(header::HOST, host);
                join_cookies(&mut headers);
                frame(&mut headers, request.body());
                *request.uri_mut() = Uri::from(target);
            }
            Spoken::Http2 => {
                headers.remove(header::HOST);
                *request.uri_mut() = absolute(&host, &origin.authority, target);
                *request.version_mut() = Version::HTTP_2;
            }
        }
        *request.headers_mut() = headers;
        (request, upgrade)
    }

    fn host(&self, forward: &Forward, origin: &Origin) -> HeaderValue {
        let own = || {
            HeaderValue::from_str(origin.authority.as_str())
                .unwrap_or(HeaderValue::from_static("localhost"))
        };
        match &forward.host {
            ForwardedHost::Preserve => self.sent_host().unwrap_or_else(own),
            ForwardedHost::Upstream => own(),
            ForwardedHost::Template(template) => {
                let value = render(template, &self.draft.facts(&self.flow.facts), unix_ms);
                HeaderValue::from_str(&value).unwrap_or_else(|_| own())
            }
        }
    }

    fn sent_host(&self) -> Option<HeaderValue> {
        match self.draft.uri().authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => self.draft.headers().get(header::HOST).cloned(),
        }
    }

    fn set_forwarded(&mut self) {
        let host = self.sent_host();
        let seen = Seen { peer: &self.flow.peer, scheme: self.flow.scheme(), host: host.as_ref() };
        let trusted = &self.flow.program.graph.trusted_proxies;
        forwarded::set(self.draft.headers_mut(), &seen, trusted);
    }
}

/// hyper sends a body of unknown length with methods that mostly have none only when told to.
fn frame(headers: &mut HeaderMap, body: &RequestBody) {
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Fields that only concern the next connection, as that one needs them.
fn put_back(headers: &mut HeaderMap, hops: RequestHops, spoken: Spoken) {
    let trailers = HeaderValue::from_static("trailers");
    match (spoken, hops.upgrade) {
        (Spoken::Http1, Some(upgrade)) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, upgrade);
        }
        (Spoken::Http1, None) if hops.te_trailers => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            headers.insert(header::TE, trailers);
        }
        (Spoken::Http2, _) if hops.te_trailers => drop(headers.insert(header::TE, trailers)),
        _ => {}
    }
}

/// HTTP/2 lets a client send its cookies in several fields, HTTP/1.1 does not, by
/// [RFC 9113 §8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        headers.insert(header::COOKIE, whole);
    }
}

fn absolute(host: &HeaderValue, own: &Authority, target: PathAndQuery) -> Uri {
    let authority = Authority::try_from(host.as_bytes()).unwrap_or_else(|_| own.clone());
    let mut parts = UriParts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_default()
}

fn expects_continue(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Passes interim answers on, and lets a body go when the server asks for it.
fn listen_to_interim(
    request: &mut Request<RequestBody>,
    interim: Arc<Interim>,
    body: Option<Arc<BodyWatch>>,
) {
    hyper::ext::on_informational(request, move |head| {
        if head.status() == StatusCode::CONTINUE {
            // The client is told by hyper as soon as its body is read.
            return body.iter().for_each(|body| body.release());
        }
        let mut passed = Response::new(());
        *passed.status_mut() = head.status();
        *passed.headers_mut() = head.headers().clone();
        hop_by_hop::strip_response(passed.headers_mut(), false);
        interim.push(&passed);
    });
}

/// An answer as the client gets it.
fn returned(mut response: Response<ResponseBody>, upgraded: bool) -> Response<ResponseBody> {
    *response.version_mut() = Version::HTTP_11;
    if response.headers().contains_key(header::TRANSFER_ENCODING) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let upgrade = response.headers().get(header::UPGRADE).cloned().filter(|_| upgraded);
    hop_by_hop::strip_response(response.headers_mut(), false);
    if let Some(upgrade) = upgrade {
        let connection = HeaderValue::from_static("upgrade");
        response.headers_mut().insert(header::CONNECTION, connection);
        response.headers_mut().insert(header::UPGRADE, upgrade);
    }
    response
}
