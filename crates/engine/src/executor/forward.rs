//! Sends a request to a server and brings its answer back.

use std::borrow::Cow;
use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use vane_core::graph::RuleId;
use vane_core::graph::render::render;
use vane_core::rules::action::{Forward, ForwardTimeouts, ForwardedHost};
use vane_core::value::units::ByteSize;

use crate::body::{BodyLimits, BodyWatch, RequestBody, expects_continue};
use crate::executor::{Decision, Edits, Matched, unix_ms};
use crate::floor::Limit;
use crate::flow::{Flow, Interim, Switched};
use crate::http2::interim::Queue;
use crate::inbound::Inbound;
use crate::message::forwarded::{self, Seen};
use crate::message::hop_by_hop::{self, RequestHops};
use crate::message::versions::absolute;
use crate::response::{ResponseBody, failed};
use crate::upstream::attempt::{Answer, Exchange, Spoken};
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::interim::Listening;
use crate::upstream::origin::Origin;

/// A request on its way to a server.
pub(super) struct Forwarding<'a> {
    flow: &'a Arc<Flow>,
    rule: RuleId,
    origin: &'a Origin,
    timeouts: ForwardTimeouts,
    spoken: Spoken,
    request: Box<Request<RequestBody>>,
    /// What passes interim answers on.
    listening: Option<Cow<'a, Listening>>,
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
    pub(super) async fn run(self: Box<Self>) -> Response<ResponseBody> {
        let upgrade = self.upgrade;
        // Only HTTP/1.1 knows other protocols behind it.
        let spoken = if upgrade { Spoken::Http1 } else { self.spoken };
        let exchange = Exchange {
            pool: &self.flow.worker.pool,
            registry: &self.flow.worker.registry,
            origin: self.origin,
            timeouts: self.timeouts,
            body: self.body,
            listening: self.listening.as_deref(),
        };
        let answer = exchange.send(spoken, self.request).await;
        let outcome = answer.and_then(|answer| accept(answer, self.flow, &exchange, upgrade));
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
    let (mut response, upgraded) = match answer {
        Answer::Response(response) => (response.map(ResponseBody::upstream), false),
        Answer::Switched(..) if !upgrade => return Err(Failure::new(FailureKind::Protocol)),
        Answer::Switched(head, stream, read) => {
            flow.switch(Switched { stream, read, idle: exchange.timeouts.idle });
            (head.map(|()| ResponseBody::whole(bytes::Bytes::new())), true)
        }
    };
    hand_back(&mut response, upgraded);
    Ok(response)
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
        &mut self,
        forward: &Forward,
        body: Inbound,
        edits: Edits<'a>,
        stream: Option<&Arc<Queue>>,
    ) -> Decision<'a> {
        let (flow, rule) = (self.flow, self.rule);
        let (body, watch) = match self.body(body) {
            Ok(body) => body,
            Err(failure) => {
                let mut response = failed(&failure);
                edits.apply(&mut response);
                return Decision::Answer(response);
            }
        };
        let origin = flow.program.server(forward.upstream);
        let spoken = Spoken::to(origin, forward.version);
        let listening = self.listening(watch.as_ref(), stream);
        let (request, upgrade) = self.request(forward, origin, spoken, body);
        let timeouts = forward.timeouts;
        let body = watch;
        Decision::Forward(Box::new(Forwarding {
            flow,
            rule,
            origin,
            timeouts,
            spoken,
            request,
            listening,
            body,
            upgrade,
            edits,
        }))
    }

    /// What passes interim answers on, to clients that know them, and lets a body go when the server
    /// asks for it.
    fn listening(
        &self,
        body: Option<&Arc<BodyWatch>>,
        stream: Option<&Arc<Queue>>,
    ) -> Option<Cow<'a, Listening>> {
        let flow = self.flow;
        match (stream, body) {
            _ if self.draft.version() < Version::HTTP_11 => None,
            (None, None) => {
                let over_connection =
                    || listen(Client::Connection(Arc::clone(&flow.interim)), None);
                Some(Cow::Borrowed(flow.listening.get_or_init(over_connection)))
            }
            (None, Some(body)) => {
                let client = Client::Connection(Arc::clone(&flow.interim));
                Some(Cow::Owned(listen(client, Some(Arc::clone(body)))))
            }
            (Some(stream), body) => {
                let client = Client::Stream(Arc::clone(stream));
                Some(Cow::Owned(listen(client, body.cloned())))
            }
        }
    }

    /// Its body, and what will become of it where there is one.
    fn body(&self, body: Inbound) -> Result<(RequestBody, Option<Arc<BodyWatch>>), Failure> {
        if body.is_end_stream() {
            return Ok((RequestBody::Empty, None));
        }
        let limits = self.body_limits();
        self.check_length(&limits)?;
        Ok(RequestBody::new(body, limits, expects_continue(self.draft.headers())))
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
        &mut self,
        forward: &Forward,
        origin: &Origin,
        spoken: Spoken,
        body: RequestBody,
    ) -> (Box<Request<RequestBody>>, bool) {
        let sent_host = self.sent_host();
        let host = self.host(forward, origin, sent_host.as_ref());
        self.set_forwarded(sent_host.as_ref());
        let target = self.draft.target();
        let client_is_http11 = self.draft.version() == Version::HTTP_11;
        let (method, mut headers) = self.draft.take();
        let hops = hop_by_hop::strip_request(&mut headers);
        let switchable = client_is_http11 && spoken != Spoken::Http2;
        let hops = RequestHops { upgrade: hops.upgrade.filter(|_| switchable), ..hops };
        let upgrade = hops.upgrade.is_some();
        put_back(&mut headers, hops, spoken);
        let mut request = Box::new(Request::new(body));
        *request.method_mut() = method;
        match spoken {
            Spoken::Http1 | Spoken::Agreed => {
                if headers.len() > headers.keys_len() {
                    join_cookies(&mut headers);
                    headers.insert(header::HOST, host);
                } else if headers.get(header::HOST) != Some(&host) {
                    headers.insert(header::HOST, host);
                }
                frame(&mut headers, request.body());
                *request.uri_mut() = Uri::from(target);
            }
            Spoken::Http2 => {
                headers.remove(header::HOST);
                let scheme = if origin.secure.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
                *request.uri_mut() = absolute(scheme, &host, &origin.authority, target);
                *request.version_mut() = Version::HTTP_2;
            }
        }
        *request.headers_mut() = headers;
        (request, upgrade)
    }

    fn host(&self, forward: &Forward, origin: &Origin, sent: Option<&HeaderValue>) -> HeaderValue {
        let own = || {
            HeaderValue::from_str(origin.authority.as_str())
                .unwrap_or(HeaderValue::from_static("localhost"))
        };
        match &forward.host {
            ForwardedHost::Preserve => sent.cloned().unwrap_or_else(own),
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

    fn set_forwarded(&mut self, host: Option<&HeaderValue>) {
        let seen = Seen { peer: &self.flow.peer, scheme: self.flow.scheme(), host };
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
        (Spoken::Http1 | Spoken::Agreed, Some(upgrade)) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, upgrade);
        }
        (Spoken::Http1 | Spoken::Agreed, None) if hops.te_trailers => {
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

/// Where the interim answers of a request go.
enum Client {
    /// Over a connection of HTTP/1.1.
    Connection(Arc<Interim>),
    /// Over a stream of its own.
    Stream(Arc<Queue>),
}

impl Client {
    fn push(&self, head: Response<()>) {
        match self {
            Self::Connection(interim) => interim.push(&head),
            Self::Stream(queue) => queue.push(head),
        }
    }
}

fn listen(client: Client, body: Option<Arc<BodyWatch>>) -> Listening {
    Listening::new(move |status, headers| {
        match status {
            // The client is told as soon as its body is read.
            StatusCode::CONTINUE => return body.iter().for_each(|body| body.release()),
            // Whoever switches protocols gives no answer behind it.
            StatusCode::SWITCHING_PROTOCOLS => return,
            _ => {}
        }
        let mut passed = Response::new(());
        *passed.status_mut() = status;
        passed.headers_mut().clone_from(headers);
        hop_by_hop::strip_response(passed.headers_mut(), false);
        client.push(passed);
    })
}

/// Makes of an answer what the client gets.
fn hand_back(response: &mut Response<ResponseBody>, upgraded: bool) {
    *response.version_mut() = Version::HTTP_11;
    let headers = response.headers_mut();
    if !hop_by_hop::has_any(headers) {
        return;
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let upgrade = headers.get(header::UPGRADE).cloned().filter(|_| upgraded);
    hop_by_hop::strip_response(headers, false);
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
}
