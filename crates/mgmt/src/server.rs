//! The server loop: one task a client, answers in the order of requests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::frame::{Id, Incoming, Line, LineReader, MAX_REQUEST_BYTES, reply_line};
use crate::reply::{Fault, INTERNAL, INVALID_REQUEST, PARSE_ERROR, Reply};
use crate::request::Request;
use crate::socket::ManagementSocket;

/// What answers the requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Requests of different clients come at the same time; those of one
    /// client come one after the other. Never dropped before it ends, even if the client leaves.
    /// A panic costs that client its connection, and nobody else anything.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Serves clients until `cancel`. Then the socket is closed at once (and its file removed), every
/// answer under way is finished and sent, and when the last client is gone this returns.
///
/// Up to [`MAX_CLIENTS`] clients are connected at a time, idle or not; one more is told so and
/// closed. A client that does not read its answer for ten seconds is closed.
///
/// Dropping this future closes the socket; clients go on until `cancel`.
///
/// # Errors
/// When the socket cannot be used with the runtime. What concerns one client is logged.
pub async fn serve(
    socket: ManagementSocket,
    handler: Arc<impl Handler>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let (listener, file) = socket.into_parts();
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let clients = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(MAX_CLIENTS));
    while let Some(stream) = next_client(&listener, &cancel).await {
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                clients.spawn(client(stream, slot, Arc::clone(&handler), cancel.clone()));
            }
            Err(_) => turn_away(stream).await,
        }
    }
    drop((listener, file));
    clients.close();
    clients.wait().await;
    Ok(())
}

/// Accepts one client; `None` when cancelled.
async fn next_client(listener: &UnixListener, cancel: &CancellationToken) -> Option<UnixStream> {
    loop {
        let accepted = select! {
            biased;
            () = cancel.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => return Some(stream),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a management client, trying again");
                // Out of descriptors as a rule: give others time to return some.
                let _ = timeout(ACCEPT_PAUSE, cancel.cancelled()).await;
            }
        }
    }
}

async fn client(
    stream: UnixStream,
    _slot: OwnedSemaphorePermit,
    handler: Arc<impl Handler>,
    cancel: CancellationToken,
) {
    if let Err(error) = converse(stream, &*handler, &cancel).await {
        tracing::debug!(%error, "a management client was lost");
    }
}

async fn converse(
    stream: UnixStream,
    handler: &impl Handler,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = LineReader::new(read, MAX_REQUEST_BYTES);
    loop {
        let line = select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            line = lines.next() => line?,
        };
        match line {
            Line::Text(line) => answer(line, handler, &mut write).await?,
            Line::End => return Ok(()),
            Line::Unfinished => return send(&mut write, unfinished()).await,
            Line::TooLong => return send(&mut write, too_long()).await,
        }
    }
}

async fn answer(line: &[u8], handler: &impl Handler, write: &mut OwnedWriteHalf) -> io::Result<()> {
    let Incoming { id, request } = Incoming::parse(line);
    let reply = match request {
        Ok(request) => handler.handle(request).await,
        Err(fault) => Err(fault),
    };
    match id {
        Some(id) => send(write, reply_line(id, reply)).await,
        None => Ok(()),
    }
}

async fn turn_away(stream: UnixStream) {
    let message = format!("{MAX_CLIENTS} management clients are connected already: close one");
    let (_read, mut write) = stream.into_split();
    if send(&mut write, fault_line(INTERNAL, message)).await.is_err() {
        tracing::debug!("a management client left before it was turned away");
    }
}

async fn send(write: &mut OwnedWriteHalf, line: Vec<u8>) -> io::Result<()> {
    timeout(WRITE_LIMIT, write.write_all(&line)).await?
}

fn unfinished() -> Vec<u8> {
    fault_line(PARSE_ERROR, "the last line does not end with a line feed and was not carried out")
}

fn too_long() -> Vec<u8> {
    fault_line(INVALID_REQUEST, format!("a line is longer than {MAX_REQUEST_BYTES} bytes"))
}

fn fault_line(code: i64, message: impl Into<String>) -> Vec<u8> {
    reply_line(Id::Null, Err(Fault::new(code, message)))
}

/// Clients that may be connected at a time.
pub const MAX_CLIENTS: usize = 64;
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
