//! A daemon in front of origins that accept no malformed request.

use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::h2_client::H2Client;
use integration::http_origin::{self, HttpOrigin};
use integration::raw_client::{RawClient, Response};
use integration::vaned::Vaned;
use serde_json::{Value, json};

/// Long enough for anything on loopback.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// A running daemon with one listener.
pub(super) struct Rig {
    pub(super) vaned: Vaned,
    pub(super) addr: SocketAddr,
    pub(super) config: ConfigDir,
}

impl Rig {
    /// Every request goes to that server.
    pub(super) async fn forwarding(to: &str) -> Self {
        Self::of(ConfigDir::new().rule("all", on_loopback(json!({ "forward": to })))).await
    }

    /// With one rule, whose listener is put in.
    pub(super) async fn ruled(rule: Value) -> Self {
        Self::of(ConfigDir::new().rule("all", on_loopback(rule))).await
    }

    /// With that configuration.
    pub(super) async fn of(config: ConfigDir) -> Self {
        Self::with(config, &[]).await
    }

    /// With that configuration and these variables.
    pub(super) async fn with(config: ConfigDir, variables: &[(&str, &str)]) -> Self {
        // One worker has one pool, so that the count of upstream connections is known.
        let builder = Vaned::builder(&config).env("VANE_WORKERS", "1");
        let builder =
            variables.iter().fold(builder, |builder, (name, value)| builder.env(name, value));
        let vaned = builder.start().await;
        let addr = vaned.only_addr().await;
        Self { vaned, addr, config }
    }

    /// Every request goes to that server, with these variables set.
    pub(super) async fn limited(to: &str, variables: &[(&str, &str)]) -> Self {
        let rule = on_loopback(json!({ "forward": to }));
        Self::with(ConfigDir::new().rule("all", rule), variables).await
    }

    /// A new HTTP/1.1 connection.
    pub(super) async fn client(&self) -> RawClient {
        RawClient::connect(self.addr).await.unwrap()
    }

    /// A new HTTP/2 connection.
    pub(super) async fn h2(&self) -> H2Client {
        H2Client::connect(self.addr).await.unwrap().with_authority("example.com")
    }

    /// One request on a connection of its own.
    pub(super) async fn exchange(&self, request: impl AsRef<[u8]>) -> Result<Response, Failure> {
        self.client().await.exchange(request).await
    }

    /// One GET on a connection of its own.
    pub(super) async fn get(&self, path: &str) -> Response {
        self.client().await.get(path, "example.com").await.unwrap()
    }

    /// The counters of the daemon.
    pub(super) async fn stats(&self) -> Value {
        self.vaned.manage("stats", json!({})).await.unwrap()
    }

    /// How often a limit of the floor has been met.
    pub(super) async fn refused(&self, limit: &str) -> u64 {
        self.stats().await["connections"]["refused_by_limit"][limit].as_u64().unwrap_or_default()
    }

    /// Connections from clients that are open.
    pub(super) async fn open(&self) -> u64 {
        self.stats().await["connections"]["open"].as_u64().unwrap()
    }

    /// The memory that the daemon has taken for itself, in bytes; pages of its program not counted.
    pub(super) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.vaned.pid());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// A rule on a loopback address, with a port that the kernel picks.
pub(super) fn on_loopback(mut rule: Value) -> Value {
    rule["listen"] = json!("127.0.0.1:0");
    rule
}

/// An origin that fails its test when a malformed request has reached it.
pub(super) struct Strict(HttpOrigin);

impl Strict {
    pub(super) async fn start() -> Self {
        Self::of(HttpOrigin::builder()).await
    }

    pub(super) async fn of(builder: http_origin::Builder) -> Self {
        Self(builder.start().await)
    }

    /// The one request that has come.
    pub(super) fn only_request(&self) -> http_origin::Recorded {
        let requests = self.requests();
        assert_eq!(1, requests.len(), "{requests:?}");
        requests[0].clone()
    }
}

impl Deref for Strict {
    type Target = HttpOrigin;

    fn deref(&self) -> &HttpOrigin {
        &self.0
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let malformed = self.0.malformed();
            assert!(malformed.is_empty(), "malformed requests reached the origin: {malformed:?}");
        }
    }
}

/// A strict origin and a daemon that sends every request to it.
pub(super) async fn proxied() -> (Strict, Rig) {
    let origin = Strict::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    (origin, rig)
}

/// A POST with that body.
pub(super) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: example.com\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A GET with more fields, each with its line end.
pub(super) fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")
}
