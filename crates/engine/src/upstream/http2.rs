//! One HTTP/2 connection to a server, shared by all requests of a worker.

use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::body::RequestBody;
use crate::upstream::connect::Stream;
use crate::upstream::failure::Failure;

/// A handle on the connection; clones share it.
pub(crate) type Http2 = http2::SendRequest<RequestBody>;

/// Starts HTTP/2 on a fresh stream by prior knowledge. The connection is driven by a task of
/// the current worker and ends with its last handle.
///
/// # Errors
/// When the stream fails at once.
pub(crate) async fn handshake(stream: Stream) -> Result<Http2, Failure> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(Failure::exchange)?;
    tokio::spawn(async move {
        // Every request on it is told of the error as well, which is who reports it.
        let _ = connection.await;
    });
    Ok(sender)
}
