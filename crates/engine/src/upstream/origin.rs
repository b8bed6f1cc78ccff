//! Servers, known once for the life of the daemon, so that their pools outlive a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::uri::Authority;
use vane_core::value::endpoint::Endpoint;
use vane_core::value::url::UpstreamUrl;

/// One server.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Unique for the life of the process; the key of its pools.
    pub(crate) id: u64,
    /// Scheme and address as configured.
    pub(crate) url: UpstreamUrl,
    /// What the server is told as its own host; `localhost` for a Unix socket.
    pub(crate) authority: Authority,
}

/// Every server that a graph in use refers to.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    known: Mutex<(u64, HashMap<UpstreamUrl, Weak<Origin>>)>,
}

impl Origins {
    /// The one [`Origin`] for `url`.
    pub(crate) fn get(&self, url: &UpstreamUrl) -> Arc<Origin> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_id, origins) = &mut *known;
        if let Some(origin) = origins.get(url).and_then(Weak::upgrade) {
            return origin;
        }
        origins.retain(|_, origin| origin.strong_count() > 0);
        *last_id += 1;
        let origin = Origin { id: *last_id, url: url.clone(), authority: authority(url) };
        let origin = Arc::new(origin);
        origins.insert(url.clone(), Arc::downgrade(&origin));
        origin
    }
}

fn authority(url: &UpstreamUrl) -> Authority {
    let text = match &url.endpoint {
        Endpoint::Unix(_) => "localhost".to_owned(),
        Endpoint::Tcp { host, port } if *port == url.scheme.default_port() => host.to_string(),
        Endpoint::Tcp { host, port } => format!("{host}:{port}"),
    };
    text.parse().unwrap_or_else(|_| Authority::from_static("localhost"))
}
