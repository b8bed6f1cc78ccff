//! Serves requests over HTTP/2: in clear by prior knowledge, within TLS by agreement.

use std::error::Error as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use crate::connection::counted::{Counted, Wire};
use crate::connection::linger;
use crate::connection::pace::{Paced, Streams, Waiting};
use crate::executor;
use crate::floor::Limit;
use crate::flow::Flow;
use crate::registry::ConnectionKind;
use crate::shared::Drain;
use crate::tls::stream::ClientStream;

/// How often a silent client is asked whether it is still there, and how long it may take.
const PING: Duration = Duration::from_secs(20);

/// Serves a connection of which `read` has already been read.
pub(super) async fn serve(stream: ClientStream, read: Bytes, flow: Arc<Flow>) {
    flow.place.entry.set_kind(ConnectionKind::Http2);
    let floor = flow.shared.settings.floor;
    let resets = Arc::new(AtomicU32::new(0));
    let service = service_fn(|request: Request<Incoming>| {
        let (flow, resets) = (Arc::clone(&flow), Arc::clone(&resets));
        async move {
            let watch = ResetWatch { resets, answered: false };
            let answer = executor::answer(&flow, request).await;
            watch.answered();
            answer.map(|response| response.map(Paced::new))
        }
    });
    let stream = Counted::new(stream, read, Arc::clone(&flow.place.registry));
    let wire = stream.wire();
    let waiting = Arc::new(Waiting::default());
    let streams = Streams { flow: Arc::clone(&flow), waiting: Arc::clone(&waiting) };
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(floor.streams)
        .max_header_list_size(u32::try_from(floor.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(floor.resets_per_second as usize)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(stream), service);
    let keeper = Keeper {
        flow: &flow,
        resets: &resets,
        idle_since: Some(Instant::now()),
        wire: &wire,
        waiting: &waiting,
        heard: None,
    };
    let end = run(pin!(connection), keeper).await;
    if let (End::Done, Some(stream)) = (end, wire.take()) {
        linger::close(stream).await;
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By the protocol; what was last written may still be on its way.
    Done,
    /// Cut off.
    Dropped,
}

/// Drives a connection until it ends, or has to.
async fn run<S>(
    mut connection: Pin<&mut http2::Connection<TokioIo<Counted>, S, Streams>>,
    mut keeper: Keeper<'_>,
) -> End
where
    S: HttpService<Incoming, ResBody = Paced>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let retired = &keeper.flow.program.retired;
    let mut watch = keeper.flow.drain.clone();
    let mut drain: Option<Drain> = *watch.borrow_and_update();
    // hyper drops a connection that is told to go before its handshake; the first look comes
    // after that.
    let (mut looked, mut told) = (false, false);
    let mut timer = pin!(tokio::time::sleep_until(Instant::now()));
    loop {
        if looked && !told && (drain.is_some() || retired.is_cancelled()) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                keeper.note_end(ended);
                return End::Done;
            }
            () = timer.as_mut() => {
                let now = Instant::now();
                match keeper.look(now, drain) {
                    Look::Idle if !told => {
                        told = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Look::Fine | Look::Idle => {}
                    Look::End => return End::Dropped,
                }
                looked = true;
                timer.as_mut().reset(keeper.next_look(now, drain));
            }
            changed = watch.changed() => match changed {
                Ok(()) => {
                    drain = *watch.borrow_and_update();
                    timer.as_mut().reset(Instant::now());
                }
                // The daemon never drops a listener's watch while it has connections.
                Err(_) => return End::Dropped,
            },
            () = retired.cancelled(), if looked && !told => {}
        }
    }
}

/// Notices a request whose stream the client resets before the answer.
struct ResetWatch {
    resets: Arc<AtomicU32>,
    answered: bool,
}

impl ResetWatch {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for ResetWatch {
    fn drop(&mut self) {
        if !self.answered {
            self.resets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a look at the connection says.
enum Look {
    Fine,
    /// Without a request for too long.
    Idle,
    /// It has to end now.
    End,
}

/// Keeps the times and rates of a connection, by looking once a second.
struct Keeper<'a> {
    flow: &'a Flow,
    resets: &'a AtomicU32,
    idle_since: Option<Instant>,
    wire: &'a Wire,
    /// What of answers waits for the client, also behind requests that are over here.
    waiting: &'a Waiting,
    /// How many bytes the client had sent when a drain began.
    heard: Option<u64>,
}

impl Keeper<'_> {
    const PAUSE: Duration = Duration::from_secs(1);
    const PAUSE_IN_DRAIN: Duration = Duration::from_millis(200);
    /// A client that is to go and says nothing for so long will never say that it has gone.
    const MUTE: Duration = Duration::from_secs(1);

    /// h2 by itself ends a connection whose client resets streams faster than they are accepted.
    fn note_end(&self, ended: hyper::Result<()>) {
        let error = ended.err();
        let cause = error.as_ref().and_then(|error| error.source()?.downcast_ref::<h2::Error>());
        if cause.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM) {
            self.flow.shared.floor.refuse(Limit::ResetRate, self.flow.remote().ip(), "");
        }
    }

    fn look(&mut self, now: Instant, drain: Option<Drain>) -> Look {
        let floor = &self.flow.shared.settings.floor;
        let active = self.flow.place.entry.active.load(Ordering::Relaxed);
        if drain.is_some_and(|drain| now >= drain.abort_at) {
            let left = if active > 0 { u64::from(active) } else { self.waiting.pieces() as u64 };
            self.flow.shared.cut.count(ConnectionKind::Http2, left);
            return Look::End;
        }
        if self.resets.swap(0, Ordering::Relaxed) > floor.resets_per_second {
            self.flow.shared.floor.refuse(Limit::ResetRate, self.flow.remote().ip(), "");
            return Look::End;
        }
        if active > 0 {
            self.idle_since = None;
            return Look::Fine;
        }
        if let Some(since) = self.waiting.since() {
            self.idle_since = None;
            if now < since + floor.body_idle {
                return Look::Fine;
            }
            self.flow.shared.floor.refuse(Limit::BodyIdle, self.flow.remote().ip(), "answer");
            return Look::End;
        }
        if drain.is_some_and(|drain| self.is_mute() && now >= drain.idle_until + Self::MUTE) {
            return Look::End;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now >= since + floor.keep_alive { Look::Idle } else { Look::Fine }
    }

    /// Whether the client has said nothing since the drain began, not even that it has heard of
    /// it, although nothing on its way to it is held up.
    fn is_mute(&mut self) -> bool {
        let heard = self.wire.heard();
        *self.heard.get_or_insert(heard) == heard && !self.wire.is_blocked()
    }

    fn next_look(&self, now: Instant, drain: Option<Drain>) -> Instant {
        let pause = if drain.is_some() { Self::PAUSE_IN_DRAIN } else { Self::PAUSE };
        let soon = now + pause;
        drain.map_or(soon, |drain| soon.min(drain.abort_at).max(now + Duration::from_millis(1)))
    }
}
