//! TLS towards servers.

mod reload;
mod reuse;
mod trust;
mod versions;

use std::sync::Arc;

use integration::certs::Authority;
use integration::config_dir::ConfigDir;
use integration::h2c_origin::H2cOrigin;
use integration::tls_front::TlsFront;
use integration::tls_server::TlsServer;
use integration::vaned::Vaned;
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::rig::{LIMIT, Rig, Strict, on_loopback};

/// An origin of each version behind one port with TLS.
struct Site {
    root: Arc<Authority>,
    http1: Strict,
    http2: H2cOrigin,
    front: TlsFront,
}

impl Site {
    /// With these protocols by ALPN.
    async fn start(alpn: &[&str]) -> Self {
        let root = Arc::new(Authority::root("Test Root"));
        Self::of(&root, server(&root, alpn)).await
    }

    /// With that server's side of a handshake; a daemon is to trust `root`.
    async fn of(root: &Arc<Authority>, config: Arc<ServerConfig>) -> Self {
        let (http1, http2) = (Strict::start().await, H2cOrigin::start().await);
        let front = TlsFront::start(config, http1.addr(), http2.addr()).await;
        Self { root: Arc::clone(root), http1, http2, front }
    }

    /// The action that sends everything there, and trusts it.
    fn forward(&self) -> Value {
        json!({ "to": self.front.url(), "tls": { "ca_file": "ca.pem" } })
    }

    /// A daemon that sends everything there.
    async fn rig(&self) -> Rig {
        self.rig_with(self.forward()).await
    }

    /// A daemon with that action, and the authority as `ca.pem`.
    async fn rig_with(&self, forward: Value) -> Rig {
        Rig::of(self.config(&forward)).await
    }

    /// The configuration of such a daemon.
    fn config(&self, forward: &Value) -> ConfigDir {
        let rule = on_loopback(json!({ "forward": forward }));
        ConfigDir::new().file("ca.pem", &self.root.pem()).rule("all", rule)
    }
}

/// A site that offers both versions, and a daemon that sends everything there.
async fn both() -> (Site, Rig) {
    let site = Site::start(&["h2", "http/1.1"]).await;
    let rig = site.rig().await;
    (site, rig)
}

/// A site that offers HTTP/1.1 alone, and a daemon that sends everything there.
async fn http1_alone() -> (Site, Rig) {
    let site = Site::start(&["http/1.1"]).await;
    let rig = site.rig().await;
    (site, rig)
}

/// The server's side, with a certificate for loopback.
fn server(root: &Authority, alpn: &[&str]) -> Arc<ServerConfig> {
    TlsServer::new(&root.server(&["localhost", "127.0.0.1"])).alpn(alpn).build()
}

/// What a client is told when the server could not be spoken to.
async fn failure(rig: &Rig) -> (u16, String) {
    let answer = rig.get("/").await;
    (answer.status, answer.header("proxy-status").unwrap_or_default().to_owned())
}

/// Waits for the log to say why a request failed.
async fn until_failed_with(vaned: &Vaned, words: &str) {
    vaned.wait_for_log(|line| line.contains("request failed") && line.contains(words)).await;
}
