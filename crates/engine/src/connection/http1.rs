//! Serves requests over HTTP/1.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, Sleep};

use crate::connection::guard::{Awaiting, Guard, Times};
use crate::connection::seldom::Seldom;
use crate::connection::{Ends, linger};
use crate::executor::{self, Answering};
use crate::floor::Limit;
use crate::flow::Flow;
use crate::inbound::Inbound;
use crate::registry::ConnectionKind;
use crate::response::{Closed, ResponseBody};
use crate::shared::{Drain, DrainWatch};
use crate::tls::stream::ClientStream;

/// Serves a connection of which `read` has already been read.
pub(super) async fn serve(stream: ClientStream, read: Bytes, flow: Arc<Flow>) {
    flow.place.entry.set_kind(ConnectionKind::Http1);
    let interim = Arc::clone(&flow.interim);
    let registry = Arc::clone(&flow.place.registry);
    let guard = Guard::new(stream, read, interim, registry, Arc::clone(&flow.shared));
    let Ok(guard) = guard else { return };
    let times = guard.times();
    let closing = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| Answer {
        answering: executor::answer(&flow, request.map(Inbound::Http1), None),
        closing: &closing,
    });
    let header_bytes = flow.shared.settings.floor.header_bytes;
    let mut connection = http1::Builder::new()
        .half_close(true)
        .max_headers(flow.shared.settings.floor.header_count)
        .max_buf_size(header_bytes.max(8192) + 1)
        .serve_connection(TokioIo::new(guard), service);
    let end = run(&mut connection, &flow, &times, &closing).await;
    let parts = connection.into_parts();
    let (mut stream, unused) = parts.io.into_inner().into_parts(&parts.read_buf);
    match (end, flow.take_switched()) {
        (End::Done, Some(switched)) => {
            flow.place.entry.set_kind(ConnectionKind::Upgrade);
            let client = (stream, unused);
            let target = (switched.stream, switched.read);
            let ends = Ends { client, target, idle: switched.idle };
            ends.copy(&flow.place, &mut flow.drain.clone(), &flow.shared).await;
        }
        (End::Done | End::ClosedBehindAnswers, None) => linger::close(stream).await,
        (End::HeadTimeout, _) => {
            // A client that takes nothing is not waited for.
            let said = stream.write_all(HEAD_TIMEOUT);
            let _ = tokio::time::timeout(Duration::from_secs(1), said).await;
            linger::close(stream).await;
        }
        (End::Idle, _) => {
            // No answer is on its way, so a reset can destroy none.
            linger::say_end(&mut stream).await;
        }
        // Where the end of the connection is the end of the answer, a client could take an orderly
        // one for the whole.
        (End::AnswerBroken | End::Closed, _) => drop(stream.socket().set_zero_linger()),
        (End::Dropped | End::ClosedBehindAnswers, _) => {}
    }
}

/// The answer to a request, or the note that a rule closes the connection: then nothing is answered,
/// and the connection ends as soon as earlier answers are out.
struct Answer<'a> {
    answering: Answering<'a>,
    closing: &'a AtomicBool,
}

impl Future for Answer<'_> {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        match std::task::ready!(Pin::new(&mut this.answering).poll(cx)) {
            Ok(response) => Poll::Ready(Ok(response)),
            Err(Closed) => {
                this.closing.store(true, Ordering::Relaxed);
                Poll::Pending
            }
        }
    }
}

const HEAD_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How the HTTP part of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By the protocol: closed by either side, or switched.
    Done,
    /// A head did not come in time.
    HeadTimeout,
    /// By us, after a pause without a request.
    Idle,
    /// By a rule, at its first request.
    Closed,
    /// By a rule, behind answers that may still be on their way.
    ClosedBehindAnswers,
    /// An answer broke off on its way here.
    AnswerBroken,
    /// Broken, cut off, or without a client that reads.
    Dropped,
}

/// Drives a connection until it ends, or has to.
async fn run<S>(
    connection: &mut http1::Connection<TokioIo<Guard>, S>,
    flow: &Flow,
    times: &Times,
    closing: &AtomicBool,
) -> End
where
    S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
    S::Future: Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut watch = flow.drain.clone();
    let drain = *watch.borrow_and_update();
    let mut keeper = Keeper { flow, times, closing, drain, closed_after: None, was_active: false };
    let mut timer = pin!(tokio::time::sleep_until(keeper.next_look(Instant::now())));
    loop {
        let call = {
            let next = pin!(next_call(&mut watch, timer.as_mut()));
            let mut next = Seldom::new(next);
            let next = std::future::poll_fn(|cx| match keeper.poll(connection, cx) {
                Poll::Ready(ended) => Poll::Ready(Call::End(ended)),
                Poll::Pending => Pin::new(&mut next).poll(cx),
            });
            next.await
        };
        match call {
            Call::Drain(drain) => {
                keeper.drain = drain;
                timer.as_mut().reset(Instant::now());
            }
            Call::Look => {
                let now = Instant::now();
                match keeper.look(now) {
                    Look::Fine => {}
                    Look::Close => {
                        keeper.closed_after = Some(keeper.requests());
                        Pin::new(&mut *connection).graceful_shutdown();
                    }
                    Look::End(end) => return end,
                }
                timer.as_mut().reset(keeper.next_look(now));
            }
            Call::End(end) => return end,
        }
    }
}

/// What a connection is called for beside its traffic.
enum Call {
    /// The listener's drain has changed.
    Drain(Option<Drain>),
    /// It is time to look at the times.
    Look,
    End(End),
}

async fn next_call(watch: &mut DrainWatch, timer: Pin<&mut Sleep>) -> Call {
    tokio::select! {
        biased;
        changed = watch.changed() => match changed {
            Ok(()) => Call::Drain(*watch.borrow_and_update()),
            // The daemon never drops a listener's watch while it has connections.
            Err(_) => Call::End(End::Dropped),
        },
        () = timer => Call::Look,
    }
}

/// Keeps the times of a connection. One timer looks now and then; nothing is set or moved for a
/// request.
struct Keeper<'a> {
    flow: &'a Flow,
    times: &'a Times,
    /// Whether a rule closes the connection.
    closing: &'a AtomicBool,
    drain: Option<Drain>,
    /// How many requests there had been when it was closed as idle.
    closed_after: Option<u64>,
    /// Whether a request was under way at the last look.
    was_active: bool,
}

/// What a look at the times says.
enum Look {
    Fine,
    /// Idle for long enough: close as soon as nothing is under way.
    Close,
    End(End),
}

impl Keeper<'_> {
    /// A connection that is leaving and became idle late is looked at again this much later.
    const LATE_GRACE: Duration = Duration::from_millis(300);

    fn poll<S>(
        &mut self,
        connection: &mut http1::Connection<TokioIo<Guard>, S>,
        cx: &mut Context<'_>,
    ) -> Poll<End>
    where
        S: HttpService<Incoming, ResBody = ResponseBody> + Unpin,
        S::Future: Unpin,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ended = connection.poll_without_shutdown(cx);
        self.note_activity();
        if self.closing.load(Ordering::Relaxed) && self.times.blocked().is_none() {
            let is_first = self.requests() == 1;
            return Poll::Ready(if is_first { End::Closed } else { End::ClosedBehindAnswers });
        }
        let ended = std::task::ready!(ended);
        let answered = ended.as_ref().map_or_else(hyper::Error::is_parse, |()| true);
        if answered && self.times.blocked().is_some() {
            // hyper is done with its answer, of which the client has not taken all yet; asked
            // again, it goes on writing.
            return Poll::Pending;
        }
        Poll::Ready(match ended {
            Ok(()) if self.closed_after == Some(self.requests()) => End::Idle,
            Ok(()) => End::Done,
            // hyper has answered 400, 414 or 431 by itself.
            Err(error) if error.is_parse() => End::Done,
            Err(error) if error.is_user() => End::AnswerBroken,
            Err(_) => End::Dropped,
        })
    }

    /// A head that came in behind a request under way is timed from when that is answered.
    fn note_activity(&mut self) {
        let active = self.flow.place.entry.active.load(Ordering::Relaxed) > 0;
        if !active {
            self.times.idle_again();
            if self.was_active {
                self.times.head_again();
            }
        }
        self.was_active = active;
    }

    fn requests(&self) -> u64 {
        self.flow.place.entry.requests.load(Ordering::Relaxed)
    }

    fn look(&self, now: Instant) -> Look {
        let floor = &self.flow.shared.settings.floor;
        if self.drain.is_some_and(|drain| now >= drain.abort_at) {
            return self.cut_off();
        }
        if self.times.blocked().is_some_and(|since| now >= since + floor.body_idle) {
            self.flow.shared.floor.refuse(Limit::BodyIdle, self.flow.remote().ip(), "answer");
            return Look::End(End::Dropped);
        }
        match self.times.awaiting() {
            Awaiting::Head(_) if self.was_active || self.times.blocked().is_some() => Look::Fine,
            Awaiting::Head(since) if now >= since + floor.header_time => {
                self.flow.shared.floor.refuse(Limit::HeadTime, self.flow.remote().ip(), "");
                Look::End(End::HeadTimeout)
            }
            Awaiting::Request(since) if now >= self.idle_end(since) => Look::Close,
            _ => Look::Fine,
        }
    }

    fn cut_off(&self) -> Look {
        let entry = &self.flow.place.entry;
        let active = u64::from(entry.active.load(Ordering::Relaxed));
        self.flow.shared.cut.count(ConnectionKind::Http1, active);
        Look::End(End::Dropped)
    }

    /// When a connection that has been idle since then is closed.
    fn idle_end(&self, since: Instant) -> Instant {
        let kept = since + self.flow.shared.settings.floor.keep_alive;
        match self.drain {
            None => kept,
            Some(drain) => kept.min(drain.idle_until.max(since + Self::LATE_GRACE)),
        }
    }

    /// The earliest time at which a look can say anything but fine.
    fn next_look(&self, now: Instant) -> Instant {
        let floor = &self.flow.shared.settings.floor;
        let pause = floor.header_time.min(floor.keep_alive).min(floor.body_idle) / 2;
        let pause = if self.drain.is_some() { pause.min(Self::LATE_GRACE) } else { pause };
        let soonest = match self.times.awaiting() {
            Awaiting::Head(since) => (since + floor.header_time).min(now + pause),
            Awaiting::Request(since) => self.idle_end(since).min(now + pause),
            Awaiting::Nothing => now + pause,
        };
        let soonest = self.drain.map_or(soonest, |drain| soonest.min(drain.abort_at));
        soonest.max(now + Duration::from_millis(1))
    }
}
