//! One request over HTTP/2, from its head to the end of its answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body as _;

use crate::body::expects_continue;
use crate::connection::pace::{Pace, Paced, Piece, Waiting, ends};
use crate::date;
use crate::executor;
use crate::floor::Limit;
use crate::flow::Flow;
use crate::http2::interim::Queue;
use crate::http2::pipe::{Pipe, Stopped};
use crate::http2::received::Received;
use crate::inbound::Inbound;
use crate::message::hop_by_hop;
use crate::response::{Closed, ResponseBody, plain};

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    flow: Arc<Flow>,
    /// How many the client has reset before their answer.
    pub(super) resets: Arc<AtomicU32>,
    /// What of answers waits for the client on all of them.
    pub(super) waiting: Arc<Waiting>,
}

impl Streams {
    pub(super) fn of(flow: &Arc<Flow>) -> Self {
        Self { flow: Arc::clone(flow), resets: Arc::default(), waiting: Arc::default() }
    }

    /// Answers a request in a task of its own, and gives it up when the client takes nothing of
    /// the answer.
    pub(super) fn start(&self, request: Request<RecvStream>, client: SendResponse<Piece>) {
        let flow = Arc::clone(&self.flow);
        let pace = Arc::new(Pace::of(Arc::clone(&self.waiting)));
        let watch = ResetWatch { resets: Arc::clone(&self.resets), is_answered: false };
        tokio::spawn(async move {
            let limit = flow.shared.settings.floor.body_idle;
            let stream = Stream { flow: &flow, pace: &pace, client };
            if !ends(stream.serve(request, watch), &pace, limit).await {
                flow.shared.floor.refuse(Limit::BodyIdle, flow.remote().ip(), "answer");
            }
        });
    }
}

/// Notices a request whose stream the client resets before the answer.
struct ResetWatch {
    resets: Arc<AtomicU32>,
    is_answered: bool,
}

impl Drop for ResetWatch {
    fn drop(&mut self) {
        if !self.is_answered {
            self.resets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One stream, from this side.
struct Stream<'a> {
    flow: &'a Arc<Flow>,
    pace: &'a Arc<Pace>,
    client: SendResponse<Piece>,
}

impl Stream<'_> {
    async fn serve(mut self, request: Request<RecvStream>, mut watch: ResetWatch) {
        let is_head = request.method() == Method::HEAD;
        let answer = match self.refusal(request.headers()) {
            Some(refusal) => Answered::Response(Box::new(refusal)),
            None => self.answer(request).await,
        };
        watch.is_answered = !matches!(answer, Answered::Gone);
        drop(watch);
        match answer {
            Answered::Response(response) => self.send(*response, is_head).await,
            Answered::Closed => self.client.send_reset(Reason::INTERNAL_ERROR),
            Answered::Gone => {}
        }
    }

    /// h2 bounds the size of a head and not the number of its fields. A client may send each of its
    /// cookies in a field of its own, by RFC 9113 §8.2.3; those count as one.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response<ResponseBody>> {
        let crumbs = headers.get_all(header::COOKIE).iter().skip(1).count();
        if headers.len() - crumbs <= self.flow.shared.settings.floor.header_count {
            return None;
        }
        self.flow.shared.floor.refuse(Limit::Head, self.flow.remote().ip(), "too many fields");
        Some(plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))
    }

    /// Waits for the answer, and sends what is said before it.
    async fn answer(&mut self, request: Request<RecvStream>) -> Answered {
        let queue = Arc::new(Queue::default());
        let mut answering = executor::answer(self.flow, inbound(request, &queue), Some(&queue));
        let client = &mut self.client;
        poll_fn(|cx| {
            let answer = Pin::new(&mut answering).poll(cx);
            queue.send(client, cx);
            match answer {
                Poll::Ready(Ok(response)) => Poll::Ready(Answered::Response(Box::new(response))),
                Poll::Ready(Err(Closed)) => Poll::Ready(Answered::Closed),
                Poll::Pending => client.poll_reset(cx).map(|_| Answered::Gone),
            }
        })
        .await
    }

    async fn send(&mut self, response: Response<ResponseBody>, is_head: bool) {
        let (mut parts, body) = response.into_parts();
        hop_by_hop::strip_response(&mut parts.headers, false);
        parts.headers.entry(header::DATE).or_insert_with(date::now);
        let is_empty = body.is_end_stream() || never_has_body(parts.status);
        if let Some(length) = body.size_hint().exact().filter(|_| !is_empty) {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        let is_whole = is_head || is_empty;
        let head = Response::from_parts(parts, ());
        match self.client.send_response(head, is_whole) {
            Ok(stream) if !is_whole => {
                let mut pipe = Pipe::new(Paced::new(body, Arc::clone(self.pace)), stream);
                if let Err(Stopped::Source(_)) = (&mut pipe).await {
                    pipe.reset(Reason::INTERNAL_ERROR);
                }
            }
            Ok(_) => {}
            Err(_) => self.client.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// Whatever the answer's head says of one.
fn never_has_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What a request comes to.
enum Answered {
    Response(Box<Response<ResponseBody>>),
    /// A rule closes the stream without an answer.
    Closed,
    /// The client wants none any more.
    Gone,
}

/// The request with its body as anybody reads it. A client that waits to be asked for the body is
/// asked as soon as that is read.
fn inbound(request: Request<RecvStream>, queue: &Arc<Queue>) -> Request<Inbound> {
    let (parts, stream) = request.into_parts();
    let mut body = Received::new(stream, &parts.headers);
    if expects_continue(&parts.headers) {
        body.ask(Arc::clone(queue));
    }
    Request::from_parts(parts, Inbound::Http2(body))
}
