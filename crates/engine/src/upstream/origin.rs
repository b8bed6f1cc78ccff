//! Servers, known once for the life of the daemon, so that their pools outlive a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use http::uri::Authority;
use rustls::pki_types::ServerName;
use vane_core::rules::upstream::UpstreamTls;
use vane_core::value::endpoint::{Endpoint, Host};
use vane_core::value::url::UpstreamUrl;

use crate::tls::client::Connectors;

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
    connectors: ArcSwap<Connectors>,
}

impl Secure {
    /// As the latest configuration says.
    pub(crate) fn connectors(&self) -> Arc<Connectors> {
        self.connectors.load_full()
    }
}

/// Every server that a graph in use refers to.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    known: Mutex<(u64, HashMap<Key, Weak<Origin>>)>,
}

/// The same server under other terms is another one: its connections are not shared.
type Key = (UpstreamUrl, UpstreamTls);

impl Origins {
    /// The one [`Origin`] for `url`, spoken to as `tls` says where it speaks TLS, which
    /// `connectors` are made for.
    pub(crate) fn get(
        &self,
        url: &UpstreamUrl,
        tls: &UpstreamTls,
        connectors: Option<&Arc<Connectors>>,
    ) -> Arc<Origin> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_id, origins) = &mut *known;
        let key = (url.clone(), tls.clone());
        if let Some(origin) = origins.get(&key).and_then(Weak::upgrade) {
            if let Some((secure, connectors)) = origin.secure.as_ref().zip(connectors) {
                secure.connectors.store(Arc::clone(connectors));
            }
            return origin;
        }
        origins.retain(|_, origin| origin.strong_count() > 0);
        *last_id += 1;
        let origin = Arc::new(Origin {
            id: *last_id,
            url: url.clone(),
            authority: authority(url),
            secure: connectors.and_then(|connectors| secure(url, tls, connectors)),
        });
        origins.insert(key, Arc::downgrade(&origin));
        origin
    }
}

fn secure(url: &UpstreamUrl, tls: &UpstreamTls, connectors: &Arc<Connectors>) -> Option<Secure> {
    let Endpoint::Tcp { host, .. } = &url.endpoint else { return None };
    let name = match (&tls.server_name, host) {
        (Some(name), _) => ServerName::try_from(name.to_string()).ok()?,
        (None, Host::Name(name)) => ServerName::try_from(name.to_string()).ok()?,
        (None, Host::Ip(address)) => ServerName::from(*address),
    };
    Some(Secure { name, connectors: ArcSwap::new(Arc::clone(connectors)) })
}

fn authority(url: &UpstreamUrl) -> Authority {
    let text = match &url.endpoint {
        Endpoint::Unix(_) => "localhost".to_owned(),
        Endpoint::Tcp { host, port } if *port == url.scheme.default_port() => host.to_string(),
        Endpoint::Tcp { host, port } => format!("{host}:{port}"),
    };
    text.parse().unwrap_or_else(|_| Authority::from_static("localhost"))
}
