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
        let _slot = self.shared.floor.begin_handshake(remote, Instant::now())?;
        let (mut drain, shared) = (self.drain.clone(), Arc::clone(&self.shared));
        tokio::select! {
            secured = tokio::time::timeout_at(deadline, self.shake()) => match secured {
                Ok(secured) => secured,
                Err(_) => {
                    shared.floor.refuse(Limit::HandshakeTime, remote, "");
                    None
                }
            },
            () = abort_time(&mut drain) => None,
        }
    }

    async fn shake(mut self) -> Option<Self> {
        let (tls, hello) = (self.tls.clone()?, self.facts.first_bytes.clone()?);
        if hello.protocol != Protocol::Tls {
            return self.refuse_clear().await;
        }
        let terms = match handshake::choose(&hello, &tls, &self.shared.challenges) {
            Ok(terms) => terms,
            Err(refusal) => return self.refuse(&refusal, true).await,
        };
        let socket = self.stream.into_socket();
        match handshake::accept(socket, std::mem::take(&mut self.read), terms).await {
            Ok(secured) => {
                let Secured { stream, facts, chosen, http2, outcome } = secured;
                self.worker.registry.count_handshake(outcome);
                self.facts.handshake = Some(facts);
                self.secured = Some(FlowTls { linked: tls, chosen, http2 });
                self.stream = ClientStream::Tls(stream);
                Some(self)
            }
            Err((refusal, socket)) => {
                self.stream = ClientStream::Clear(socket);
                self.refuse(&refusal, false).await
            }
        }
    }

    /// Counts and reports a refusal, and closes so that the alert arrives.
    async fn refuse(mut self, refusal: &Refusal, alert: bool) -> Option<Self> {
        self.worker.registry.count_handshake(refusal.outcome());
        let hello = self.facts.first_bytes.as_ref();
        let name = hello.and_then(|hello| hello.sni.as_deref()).unwrap_or_default();
        let remote = self.facts.remote;
        match refusal {
            Refusal::NoCertificate(_) => tracing::warn!(%remote, name, "TLS refused: {refusal}"),
            Refusal::Challenge => tracing::debug!(%remote, name, "{refusal}"),
            _ => tracing::info!(%remote, name, "TLS refused: {refusal}"),
        }
        if alert {
            // A client that is gone already needs no alert.
            let _ = self.stream.write_all(&refusal.alert()).await;
        }
        linger::close(self.stream).await;
        None
    }

    /// A client that speaks HTTP in clear is told; any other is closed.
    async fn refuse_clear(mut self) -> Option<Self> {
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
        linger::close(self.stream).await;
        None
    }
}

/// The first byte of TLS, RFC 8446 §5.1.
const HANDSHAKE_RECORD: u8 = 22;
const IN_CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 24\r\n\r\nthis port is for HTTPS\r\n";
