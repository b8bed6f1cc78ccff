//! Terminates TLS: bounded by the floor, counted, and refused with a reason.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use vane_core::graph::facts::Protocol;

use crate::connection::{Connection, abort_time, linger};
use crate::floor::Limit;
use crate::flow::FlowTls;
use crate::registry::HandshakeOutcome;
use crate::tls::handshake::{self, Refusal, Secured};
use crate::tls::stream::ClientStream;

impl Connection {
    /// The connection with TLS terminated; none where it has ended.
    pub(super) async fn secure(mut self) -> Option<Self> {
        if self.facts.first_bytes.is_none() && !self.detect().await {
            return None;
        }
        let remote = self.facts.remote.ip();
        if self.late {
            self.shared.floor.refuse(Limit::HandshakeTime, remote, "no whole first message");
            return None;
        }
        let deadline = self.since + self.shared.settings.floor.handshake_time;
        let slot = self.shared.floor.begin_handshake(remote, Instant::now())?;
        let (mut drain, shared) = (self.drain.clone(), Arc::clone(&self.shared));
        let shaken = tokio::select! {
            shaken = tokio::time::timeout_at(deadline, self.shake()) => shaken,
            () = abort_time(&mut drain) => return None,
        };
        // Whoever is refused keeps nobody else out.
        drop(slot);
        match shaken {
            Ok(Ok(secured)) => Some(secured),
            Ok(Err(refused)) => {
                linger::close(refused).await;
                None
            }
            Err(_) => {
                shared.floor.refuse(Limit::HandshakeTime, remote, "");
                None
            }
        }
    }

    /// The connection with TLS terminated, or the stream of a client that has been told why not.
    async fn shake(mut self) -> Result<Self, ClientStream> {
        let (Some(tls), Some(hello)) = (self.tls.clone(), self.facts.first_bytes.clone()) else {
            return Err(self.stream);
        };
        if hello.protocol != Protocol::Tls {
            return Err(self.refuse_clear().await);
        }
        let terms = match handshake::choose(&hello, &tls, &self.shared.challenges) {
            Ok(terms) => terms,
            Err(refusal) => return Err(self.refuse(&refusal, true).await),
        };
        let socket = self.stream.into_socket();
        match handshake::accept(socket, std::mem::take(&mut self.read), terms).await {
            Ok(secured) => {
                let Secured { stream, facts, chosen, http2, outcome } = secured;
                self.worker.registry.count_handshake(outcome);
                self.facts.handshake = Some(facts);
                self.secured = Some(FlowTls { linked: tls, chosen, http2 });
                self.stream = ClientStream::Tls(stream);
                Ok(self)
            }
            Err((refusal, socket)) => {
                self.stream = ClientStream::Clear(socket);
                Err(self.refuse(&refusal, false).await)
            }
        }
    }

    /// Counts and reports a refusal, and tells the client.
    async fn refuse(mut self, refusal: &Refusal, alert: bool) -> ClientStream {
        self.worker.registry.count_handshake(refusal.outcome());
        let hello = self.facts.first_bytes.as_ref();
        let name = hello.and_then(|hello| hello.sni.as_deref()).unwrap_or_default();
        let remote = self.facts.remote;
        let outcome = refusal.outcome().as_str();
        match refusal {
            // Anybody can have this said, so it is not said each time.
            _ if !self.shared.floor.may_say(outcome, remote.ip()) => {}
            Refusal::NoCertificate(_) => tracing::warn!(%remote, name, "TLS refused: {refusal}"),
            Refusal::Challenge => tracing::debug!(%remote, name, "{refusal}"),
            _ => tracing::info!(%remote, name, "TLS refused: {refusal}"),
        }
        if alert {
            // A client that is gone already needs no alert.
            let _ = self.stream.write_all(&refusal.alert()).await;
        }
        self.stream
    }

    /// A client that speaks HTTP in clear is told; any other is closed.
    async fn refuse_clear(mut self) -> ClientStream {
        let outcome = match self.read.first() {
            Some(&HANDSHAKE_RECORD) => HandshakeOutcome::Protocol,
            _ => HandshakeOutcome::InClear,
        };
        self.worker.registry.count_handshake(outcome);
        tracing::debug!(remote = %self.facts.remote, "no TLS on a listener with TLS");
        let protocol = self.facts.first_bytes.as_ref().map(|known| known.protocol);
        if protocol == Some(Protocol::Http1) {
            let _ = self.stream.write_all(IN_CLEAR).await;
        }
        self.stream
    }
}

/// The first byte of TLS, RFC 8446 §5.1.
const HANDSHAKE_RECORD: u8 = 22;
const IN_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 24\r\n\r\nthis port is for HTTPS\r\n";
