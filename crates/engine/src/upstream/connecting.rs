//! Finds the connection that an exchange goes over: one that is there, or a new one.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::Instant;
use vane_core::rules::action::ForwardVersion;
use vane_core::value::url::Scheme;

use crate::tls::client::Connectors;
use crate::upstream::connect::Stream;
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::http1::Http1;
use crate::upstream::http2::Http2;
use crate::upstream::origin::{Origin, Secure};
use crate::upstream::pool::Pool;

/// A connection of either version.
pub(super) enum Connected {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// Which HTTP version a server is spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Whichever the server chooses in the handshake; requests are made as for HTTP/1.1.
    Agreed,
}

impl Spoken {
    /// What `version` means for `origin`.
    pub(crate) fn to(origin: &Origin, version: ForwardVersion) -> Self {
        match (version, origin.url.scheme) {
            (ForwardVersion::Http2, _) | (ForwardVersion::Auto, Scheme::H2c) => Self::Http2,
            (ForwardVersion::Auto, Scheme::Https) => Self::Agreed,
            _ => Self::Http1,
        }
    }
}

/// What a connection is found with.
#[derive(Debug)]
pub(super) struct Connecting<'a> {
    /// Those that are there.
    pub(super) pool: &'a Pool,
    /// The server.
    pub(super) origin: &'a Origin,
    /// How long a new one may take.
    pub(super) limit: Duration,
}

impl Connecting<'_> {
    /// A connection that is there; with `sure`, see [`Pool::take_http1`].
    pub(super) fn idle(&self, spoken: Spoken, sure: bool) -> Option<Connected> {
        let http1 = || self.pool.take_http1(self.origin.id, sure).map(Connected::Http1);
        let http2 = || self.pool.http2(self.origin.id).map(Connected::Http2);
        match (spoken, &self.origin.secure) {
            (Spoken::Http2, _) => http2(),
            // One of HTTP/1.1 may have been made for a request that wanted just that, and says
            // nothing of what the server chooses.
            (Spoken::Agreed, Some(secure)) => {
                http2().or_else(|| secure.chose_http1().then(http1)?)
            }
            (Spoken::Http1 | Spoken::Agreed, _) => http1(),
        }
    }

    /// A new one, or the one of HTTP/2 that another request has made meanwhile.
    ///
    /// # Errors
    /// Says what failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up; nothing stays open.
    pub(super) async fn fresh(&self, spoken: Spoken) -> Result<Connected, Failure> {
        match (spoken, &self.origin.secure) {
            (Spoken::Http2, _) => self.http2().await.map(Connected::Http2),
            (Spoken::Agreed, Some(secure)) => self.agreed(secure).await,
            (Spoken::Http1 | Spoken::Agreed, _) => self.http1().await.map(Connected::Http1),
        }
    }

    async fn http1(&self) -> Result<Box<Http1>, Failure> {
        let (stream, _) = self.connect(|offers| &offers.http1, self.limit).await?;
        Ok(Box::new(Http1::handshake(stream).await?))
    }

    /// Only with a server that chose HTTP/1.1 before does each request connect for itself at once.
    async fn agreed(&self, secure: &Secure) -> Result<Connected, Failure> {
        let deadline = Instant::now() + self.limit;
        let connecting = self.pool.connecting(self.origin.id);
        let first = (!secure.chose_http1()).then(|| connecting.try_lock());
        if let Some(Err(_)) = first
            && let Some(sender) = self.made_meanwhile(&connecting, deadline).await?
        {
            return Ok(Connected::Http2(sender));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let (stream, http2) = self.connect(|offers| &offers.agreed, left).await?;
        secure.note_choice(http2);
        if !http2 {
            return Ok(Connected::Http1(Box::new(Http1::handshake(stream).await?)));
        }
        self.shared(stream).await.map(Connected::Http2)
    }

    async fn http2(&self) -> Result<Http2, Failure> {
        let deadline = Instant::now() + self.limit;
        let connecting = self.pool.connecting(self.origin.id);
        let first = connecting.try_lock();
        if first.is_err()
            && let Some(sender) = self.made_meanwhile(&connecting, deadline).await?
        {
            return Ok(sender);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let (stream, agreed) = self.connect(|offers| &offers.http2, left).await?;
        if self.origin.secure.is_some() && !agreed {
            return Err(Failure::with(FailureKind::Tls, "the server does not offer HTTP/2"));
        }
        self.shared(stream).await
    }

    async fn shared(&self, stream: Stream) -> Result<Http2, Failure> {
        let sender = Http2::handshake(stream).await?;
        self.pool.put_http2(self.origin.id, sender.clone());
        Ok(sender)
    }

    /// What the request that connects now comes to, where it comes to HTTP/2. Those that waited for
    /// another outcome try side by side.
    async fn made_meanwhile(
        &self,
        connecting: &tokio::sync::Mutex<()>,
        deadline: Instant,
    ) -> Result<Option<Http2>, Failure> {
        match tokio::time::timeout_at(deadline, connecting.lock()).await {
            Ok(turn) => drop(turn),
            Err(_) => return Err(Failure::new(FailureKind::ConnectTimeout)),
        }
        Ok(self.pool.http2(self.origin.id))
    }

    /// A new stream within `limit`, and whether HTTP/2 was agreed on; `offer` says what is offered
    /// where TLS is spoken.
    async fn connect(
        &self,
        offer: fn(&Connectors) -> &Arc<ClientConfig>,
        limit: Duration,
    ) -> Result<(Stream, bool), Failure> {
        let target = &self.origin.url.endpoint;
        match &self.origin.secure {
            None => Stream::connect(target, limit).await.map(|stream| (stream, false)),
            Some(secure) => {
                let config = Arc::clone(offer(&secure.connectors));
                Stream::secure(target, secure.name.clone(), config, limit).await
            }
        }
    }
}
