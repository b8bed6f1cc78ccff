//! Serves requests over HTTP/2: in clear by prior knowledge, within TLS by agreement.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake};
use tokio::time::Instant;

use crate::connection::counted::{Counted, Wire};
use crate::connection::linger;
use crate::connection::pace::{Piece, Waiting};
use crate::connection::stream::Streams;
use crate::floor::Limit;
use crate::flow::Flow;
use crate::http2::alive::Alive;
use crate::registry::ConnectionKind;
use crate::settings::FloorSettings;
use crate::shared::Drain;
use crate::tls::stream::ClientStream;

/// What a client may send of bodies before somebody has read it: bytes, on one stream and on all.
const WINDOW: u32 = 1024 * 1024;
/// What h2 may keep beside these bytes for pieces that came in frames of less than 256 bytes, about
/// as much for each as it lacks to that. A client that goes over it loses its connection; with pieces
/// of 52 bytes and more the window holds it back before.
const FRAME_BUDGET: usize = 4 * WINDOW as usize;
/// What of answers may wait in one stream for the connection: bytes.
const SEND_BUFFER: usize = 400 * 1024;

/// Serves a connection of which `read` has already been read.
pub(super) async fn serve(stream: ClientStream, read: Bytes, flow: Arc<Flow>) {
    flow.place.entry.set_kind(ConnectionKind::Http2);
    let stream = Counted::new(stream, read, Arc::clone(&flow.place.registry));
    let wire = stream.wire();
    let streams = Streams::of(&flow);
    let (resets, waiting) = (Arc::clone(&streams.resets), Arc::clone(&streams.waiting));
    let greeting = Box::new(builder(&flow.shared.settings.floor).handshake(stream));
    let keeper = Keeper {
        flow: &flow,
        resets: &resets,
        idle_since: Some(Instant::now()),
        wire: &wire,
        waiting: &waiting,
        heard: None,
    };
    let server =
        Server { stage: Stage::Greeting(greeting), wire: &wire, streams, is_leaving: false };
    let end = run(server, keeper).await;
    if let (End::Done, Some(stream)) = (end, wire.take()) {
        linger::close(stream).await;
    }
}

fn builder(floor: &FloorSettings) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .data_frame_budget(FRAME_BUDGET)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(floor.streams)
        .max_header_list_size(u32::try_from(floor.header_bytes).unwrap_or(u32::MAX))
        // What a client has still sent of a body that nobody wants is passed over, and not counted as
        // an error, for as many streams as it may have.
        .max_concurrent_reset_streams(floor.streams as usize)
        .max_pending_accept_reset_streams(floor.resets_per_second as usize);
    builder
}

/// The protocol's side of a connection.
struct Server<'a> {
    stage: Stage,
    wire: &'a Wire,
    streams: Streams,
    is_leaving: bool,
}

/// How far the protocol has come.
enum Stage {
    /// Settings are exchanged.
    Greeting(Box<Handshake<Counted, Piece>>),
    /// Requests come.
    Serving(Box<Connection<Counted, Piece>>, Alive),
}

impl Server<'_> {
    /// Tells the client to go when its requests are answered. Those that it has sent with its
    /// greeting are answered as well.
    fn leave(&mut self) {
        self.is_leaving = true;
        if let Stage::Serving(connection, _) = &mut self.stage {
            connection.graceful_shutdown();
        }
    }

    fn is_greeting(&self) -> bool {
        matches!(self.stage, Stage::Greeting(_))
    }

    /// Drives the connection to its end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, h2::Error>> {
        if let Stage::Greeting(greeting) = &mut self.stage {
            let mut connection = Box::new(ready!(Pin::new(greeting).poll(cx))?);
            let alive = Alive::new(connection.ping_pong());
            if self.is_leaving {
                connection.graceful_shutdown();
            }
            self.stage = Stage::Serving(connection, alive);
        }
        self.poll_requests(cx)
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, h2::Error>> {
        let Stage::Serving(connection, alive) = &mut self.stage else { return Poll::Pending };
        if alive.poll_gone(cx, self.wire.heard(), true).is_ready() {
            return Poll::Ready(Ok(End::Dropped));
        }
        loop {
            match ready!(connection.poll_accept(cx)) {
                Some(request) => {
                    let (request, answer) = request?;
                    self.streams.start(request, answer);
                }
                None => return Poll::Ready(Ok(End::Done)),
            }
        }
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
async fn run(mut server: Server<'_>, mut keeper: Keeper<'_>) -> End {
    let retired = &keeper.flow.program.retired;
    let mut watch = keeper.flow.drain.clone();
    let mut drain: Option<Drain> = *watch.borrow_and_update();
    let mut timer = pin!(tokio::time::sleep_until(Instant::now()));
    loop {
        if !server.is_leaving && (drain.is_some() || retired.is_cancelled()) {
            server.leave();
        }
        tokio::select! {
            biased;
            ended = std::future::poll_fn(|cx| server.poll(cx)) => {
                return ended.unwrap_or_else(|error| keeper.end_by(&error));
            }
            () = timer.as_mut() => {
                let now = Instant::now();
                match keeper.look(now, drain) {
                    Look::Idle if server.is_greeting() => return End::Dropped,
                    Look::Idle if !server.is_leaving => server.leave(),
                    Look::Fine | Look::Idle => {}
                    Look::End => return End::Dropped,
                }
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
            () = retired.cancelled(), if !server.is_leaving => {}
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
    fn end_by(&self, error: &h2::Error) -> End {
        if error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) {
            self.flow.shared.floor.refuse(Limit::ResetRate, self.flow.remote().ip(), "");
        }
        End::Done
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
