//! Servers, known once for the life of the daemon, so that their pools outlive a reload.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::uri::Authority;
use rustls::pki_types::ServerName;
use vane_core::rules::upstream::UpstreamTls;
use vane_core::value::endpoint::{Endpoint, Host};
use vane_core::value::url::UpstreamUrl;

use crate::tls::client::{Connectors, Contents};

/// One server.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Unique for the life of the process; the key of its pools.
    pub(crate) id: u64,
    /// Scheme and address as configured.
    pub(crate) url: UpstreamUrl,
    /// What the server is told as its own host; `localhost` for a Unix socket.
    pub(crate) authority: Authority,
    /// How TLS is spoken to it; none in clear.
    pub(crate) secure: Option<Secure>,
}

/// How TLS is spoken to a server.
#[derive(Debug)]
pub(crate) struct Secure {
    /// The name that is asked for and verified.
    pub(crate) name: ServerName<'static>,
    /// What is offered to it.
    pub(crate) connectors: Arc<Connectors>,
    chose_http1: AtomicBool,
}

impl Secure {
    /// Whether it chose HTTP/1.1 when it last had the choice.
    pub(crate) fn chose_http1(&self) -> bool {
        self.chose_http1.load(Ordering::Relaxed)
    }

    /// Takes note of what it chose.
    pub(crate) fn note_choice(&self, http2: bool) {
        self.chose_http1.store(!http2, Ordering::Relaxed);
    }
}

/// Every server that a graph in use refers to.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    known: Mutex<(u64, HashMap<Key, Weak<Origin>>)>,
}

/// The same server on other terms is another one, also where only what a file says has changed:
/// its connections are not shared.
type Key = (UpstreamUrl, Option<(UpstreamTls, Contents)>);

impl Origins {
    /// The one [`Origin`] for `url`; where it speaks TLS, on the terms that `tls` says and that the
    /// connectors are made for.
    ///
    /// # Errors
    /// Where TLS cannot be spoken to it; it is never spoken to in clear instead.
    pub(crate) fn get(
        &self,
        url: &UpstreamUrl,
        tls: Option<(&UpstreamTls, &Arc<Connectors>)>,
    ) -> Result<Arc<Origin>, NoServerName> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_id, origins) = &mut *known;
        let terms = tls.map(|(tls, connectors)| (tls.clone(), connectors.contents));
        let key = (url.clone(), terms);
        if let Some(origin) = origins.get(&key).and_then(Weak::upgrade) {
            return Ok(origin);
        }
        let secure = match tls {
            Some((tls, connectors)) => {
                Some(secure(url, tls, connectors).ok_or_else(|| NoServerName(url.clone()))?)
            }
            None => None,
        };
        origins.retain(|_, origin| origin.strong_count() > 0);
        *last_id += 1;
        let origin =
            Arc::new(Origin { id: *last_id, url: url.clone(), authority: authority(url), secure });
        origins.insert(key, Arc::downgrade(&origin));
        Ok(origin)
    }
}

/// A server that TLS cannot be spoken to, since its name is none that a certificate could have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoServerName(UpstreamUrl);

impl fmt::Display for NoServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no certificate could have the name of `{}`: write `server_name` in `tls`",
            self.0
        )
    }
}

impl std::error::Error for NoServerName {}

fn secure(url: &UpstreamUrl, tls: &UpstreamTls, connectors: &Arc<Connectors>) -> Option<Secure> {
    let Endpoint::Tcp { host, .. } = &url.endpoint else { return None };
    let name = match (&tls.server_name, host) {
        (Some(name), _) => ServerName::try_from(name.to_string()).ok()?,
        (None, Host::Name(name)) => ServerName::try_from(name.to_string()).ok()?,
        (None, Host::Ip(address)) => ServerName::from(*address),
    };
    let connectors = Arc::clone(connectors);
    Some(Secure { name, connectors, chose_http1: AtomicBool::new(false) })
}

fn authority(url: &UpstreamUrl) -> Authority {
    let text = match &url.endpoint {
        Endpoint::Unix(_) => "localhost".to_owned(),
        Endpoint::Tcp { host, port } if *port == url.scheme.default_port() => host.to_string(),
        Endpoint::Tcp { host, port } => format!("{host}:{port}"),
    };
    text.parse().unwrap_or_else(|_| Authority::from_static("localhost"))
}
