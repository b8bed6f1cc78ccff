//! TLS towards clients: which certificate, under which terms, and what happens to both while they
//! serve.

mod agreement;
mod clients;
mod ending;
mod floor;
mod http;
mod loss;
mod misdirected;
mod names;
mod replacing;
mod secrets;
mod testssl;
mod tickets;
mod tunnels;

use std::net::SocketAddr;
use std::time::Duration;

use integration::certs::{Authority, Certificate, Issued, KeyForm};
use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::h2_client::H2Client;
use integration::raw_client::RawClient;
use integration::tls_client::{TlsClient, TlsConnection, TlsFailure};
use integration::vaned::Vaned;
use integration::wait::until;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// HTTP/1.1 over TLS.
type Https = RawClient<TlsStream<TcpStream>>;

/// A daemon with one listener that terminates TLS.
struct Site {
    vaned: Vaned,
    addr: SocketAddr,
    config: ConfigDir,
}

impl Site {
    /// The daemon on that directory.
    async fn of(config: ConfigDir) -> Self {
        Self::with(config, &[]).await
    }

    /// The same, with these variables.
    async fn with(config: ConfigDir, variables: &[(&str, &str)]) -> Self {
        let builder = Vaned::builder(&config).env("VANE_WORKERS", "1");
        let builder = variables.iter().fold(builder, |all, (name, value)| all.env(name, value));
        let vaned = builder.start().await;
        let addr = vaned.only_addr().await;
        Self { vaned, addr, config }
    }

    /// One rule, and a certificate for `a.test` and `b.test` from files named `site`.
    async fn ruled(rule: Value) -> Self {
        Self::of(site(rule)).await
    }

    /// Everything for these names goes to that server.
    async fn forwarding(to: &str) -> Self {
        Self::ruled(json!({ "forward": to })).await
    }

    /// Writes the pair over the files of that name.
    fn write(&self, name: &str, issued: &Issued) {
        issued.write(&self.config.path(), name, KeyForm::Pkcs8);
    }

    /// A connection for that name.
    async fn connect(&self, client: &TlsClient, name: &str) -> Result<TlsConnection, TlsFailure> {
        client.connect(self.addr, Some(name)).await
    }

    /// The certificate that a handshake for that name shows.
    async fn shown(&self, name: &str) -> Result<Certificate, TlsFailure> {
        let connection = self.connect(&TlsClient::builder().build(), name).await?;
        Ok(connection.handshake.leaf)
    }

    /// Waits until handshakes for that name show this certificate.
    async fn until_shown(&self, name: &str, issued: &Issued) {
        let expected = issued.certificate();
        until("the new certificate", LIMIT, async || match self.shown(name).await {
            Ok(shown) if shown == expected => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// HTTP/1.1 for `a.test`.
    async fn https(&self) -> Https {
        self.connect(&TlsClient::builder().build(), "a.test").await.unwrap().http1()
    }

    /// HTTP/2 for `a.test`.
    async fn h2(&self) -> H2Client {
        let client = TlsClient::builder().alpn(&["h2"]).build();
        let connection = self.connect(&client, "a.test").await.unwrap();
        connection.http2("a.test").await.unwrap()
    }

    /// The counters of the daemon.
    async fn stats(&self) -> Value {
        self.vaned.manage("stats", json!({})).await.unwrap()
    }

    /// Waits until so many handshakes have ended that way.
    async fn until_counted(&self, outcome: &str, count: u64) {
        until(&format!("{count} handshakes {outcome}"), LIMIT, async || {
            let counts = self.stats().await["handshakes"].clone();
            if counts[outcome] == count { Ok(()) } else { Err(counts) }
        })
        .await;
    }

    /// Waits until a limit of the floor has been met so often.
    async fn until_refused(&self, limit: &str, count: u64) {
        until(&format!("{limit} to be met {count} times"), LIMIT, async || {
            let counts = self.stats().await["connections"]["refused_by_limit"].clone();
            if counts[limit] == count { Ok(()) } else { Err(counts) }
        })
        .await;
    }

    /// The generation that serves.
    async fn generation(&self) -> u64 {
        self.stats().await["generation"].as_u64().unwrap()
    }

    /// The certificates as they are shown.
    async fn certs(&self) -> Vec<Value> {
        let view = self.vaned.manage("get_certs", json!({})).await.unwrap();
        view["certs"].as_array().unwrap().clone()
    }
}

/// A directory with one rule, and a certificate for `a.test` and `b.test` from files named `site`.
fn site(mut rule: Value) -> ConfigDir {
    if rule["tls"].is_null() {
        rule["tls"] = pair("site");
    }
    let config = ConfigDir::new().rule("all", on_loopback(rule));
    issued().write(&config.path(), "site", KeyForm::Pkcs8);
    config
}

/// A certificate for `a.test` and `b.test` whose root nobody knows.
fn issued() -> Issued {
    Authority::root("root").server(&["a.test", "b.test"])
}

/// `tls` with the files of that name.
fn pair(name: &str) -> Value {
    json!({ "cert_file": format!("{name}.pem"), "key_file": format!("{name}.key") })
}

/// `more` over `tls` with the files of that name.
fn pair_with(name: &str, more: &Value) -> Value {
    let mut tls = pair(name);
    tls.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tls
}

/// A rule on a loopback address, with a port that the kernel picks.
fn on_loopback(mut rule: Value) -> Value {
    rule["listen"] = json!("127.0.0.1:0");
    rule
}

/// An action that answers with that template.
fn says(body: &str) -> Value {
    json!({ "respond": { "body": body } })
}

/// What is answered to a GET for that host.
async fn status(client: &mut Https, host: &str) -> Result<u16, Failure> {
    Ok(client.get("/", host).await?.status)
}

/// Long enough for anything on loopback.
const LIMIT: Duration = Duration::from_secs(15);
