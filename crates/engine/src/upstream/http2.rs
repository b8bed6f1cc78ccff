//! One HTTP/2 connection to a server, shared by all requests of a worker.

use std::future::Future;
use std::time::Duration;

use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::body::RequestBody;
use crate::upstream::connect::Stream;
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::http1::Sent;
use crate::upstream::secured::Alert;

/// A handle on the connection; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    alert: Option<Alert>,
}

impl Http2 {
    /// Starts HTTP/2 on a fresh stream by prior knowledge. The connection is driven by a task of
    /// the current worker and ends with its last handle.
    ///
    /// # Errors
    /// When the stream fails at once.
    pub(crate) async fn handshake(stream: Stream) -> Result<Self, Failure> {
        let alert = stream.alert();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let started = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) =
            started.map_err(|error| explained(Failure::exchange(error), alert.as_ref()))?;
        tokio::spawn(async move {
            // Every request on it is told of the error as well, which is who reports it.
            let _ = connection.await;
        });
        Ok(Self { sender, alert })
    }

    /// Whether it takes requests.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// The request comes back when none of it was written.
    ///
    /// # Cancel safety
    /// Dropping the future resets the stream of the request.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Sent> + use<> {
        self.sender.try_send_request(request)
    }

    /// Why a request on it has failed, which may still have waited when the connection ended.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        explained(failure, self.alert.as_ref())
    }
}

fn explained(failure: Failure, alert: Option<&Alert>) -> Failure {
    match alert.and_then(|alert| alert.get()) {
        Some(alert) if failure.kind == FailureKind::Terminated => {
            Failure::with(FailureKind::Alert, rustls::Error::AlertReceived(*alert))
        }
        _ => failure,
    }
}
