//! An authority, and a place for daemons whose names it validates.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use integration::config_dir::ConfigDir;
use integration::front::Front;
use integration::gate::Gate;
use integration::pebble::{self, HTTP_PORT, Pebble, TLS_PORT};
use integration::sockets::private_address;
use integration::tls_client::{Handshake, TlsClient, TlsFailure};
use integration::vane::{Output, Vane};
use integration::vaned::{self, Vaned};
use integration::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::LIMIT;

/// An authority for which every name has the address of the daemon, and a directory of
/// configuration and one of state that outlive the daemons on them.
pub(super) struct Rig {
    pub(super) pebble: Pebble,
    pub(super) config: ConfigDir,
    pub(super) ip: Ipv4Addr,
    directory: String,
    state: TempDir,
}

impl Rig {
    /// With that authority, and rules in clear on the port of http-01; `None` skips the test.
    pub(super) async fn new(builder: pebble::Builder) -> Option<Self> {
        let pebble = builder.start().await?;
        let ip = private_address();
        pebble.dns().set_default_ipv4(Some(ip)).await;
        let clear = json!({ "listen": format!("{ip}:{HTTP_PORT}"), "respond": { "status": 404 } });
        let config = ConfigDir::new().rule("clear", clear);
        let state = tempfile::tempdir().unwrap();
        Some(Self { directory: pebble.directory_url(), pebble, config, ip, state })
    }

    /// As the usual one has it.
    pub(super) async fn usual() -> Option<Self> {
        Self::new(Pebble::builder()).await
    }

    /// The daemons know another way to the authority.
    pub(super) fn by_way_of(&mut self, directory: String) {
        self.directory = directory;
    }

    /// The daemons know a way to the authority on which requests whose path holds `part` wait at
    /// the gate.
    pub(super) async fn held_at(&mut self, part: &'static str) -> (Front, Gate) {
        let gate = Gate::new();
        let held = gate.clone();
        let front = self.pebble.front(move |request, way| {
            let held = held.clone();
            async move {
                if request.path.contains(part) {
                    held.pass().await;
                }
                way.pass(&request).await
            }
        });
        let front = front.await;
        self.by_way_of(front.directory_url());
        (front, gate)
    }

    /// What all certificates have in common, and `more`.
    pub(super) fn settings(&self, more: Value) -> Value {
        let acme = json!({ "directory": self.directory, "ca_file": self.pebble.ca_file(),
            "contact": "mailto:ops@example.com", "agree_tos": true });
        merged(acme, more)
    }

    /// Writes `config.json` with these settings of certificates over those in common.
    pub(super) fn write_settings(&self, more: Value) {
        let config = json!({ "acme": self.settings(more) });
        self.config.write("config.json", &format!("{config:#}"));
    }

    /// Writes a rule for names on the port of TLS, which answers with its own name.
    pub(super) fn write_site(&self, rule: &str, names: &[&str], acme: impl Into<Value>) {
        let tls = json!({ "names": names, "acme": acme.into() });
        let rule_text = json!({ "listen": self.tls().to_string(), "tls": tls,
            "match": { "http.host": names }, "respond": { "body": rule } });
        self.config.write_rule(rule, rule_text);
    }

    /// A site for one name whose certificate comes by http-01.
    pub(super) fn one_site(&self) {
        self.write_settings(json!({ "challenge": "http-01" }));
        self.write_site("site", &[NAME], true);
    }

    /// Where names are proven by http-01.
    pub(super) fn http(&self) -> SocketAddr {
        (self.ip, HTTP_PORT).into()
    }

    /// Where names are proven by tls-alpn-01, and served.
    pub(super) fn tls(&self) -> SocketAddr {
        (self.ip, TLS_PORT).into()
    }

    /// A daemon to be, on this configuration and this state.
    pub(super) fn daemon(&self) -> vaned::Builder {
        self.daemon_on(&self.config)
    }

    /// A daemon to be, on another configuration and this state.
    pub(super) fn daemon_on(&self, config: &ConfigDir) -> vaned::Builder {
        let builder = Vaned::builder(config).env("VANE_BIND_IPV6", "0");
        let builder = builder.env("VANE_STATE_DIR", &self.state().to_string_lossy());
        builder.env("VANE_ACME_HTTP_PORT", &HTTP_PORT.to_string()).env("VANE_WORKERS", "1")
    }

    /// A daemon that listens.
    pub(super) async fn start(&self) -> Vaned {
        self.daemon().start().await
    }

    /// The state directory of all its daemons.
    pub(super) fn state(&self) -> PathBuf {
        self.state.path().to_owned()
    }

    /// The files of that name under `acme/certificates`.
    pub(super) fn stored(&self, file: &str) -> Vec<PathBuf> {
        let all = files(&self.state().join("acme/certificates"));
        all.into_iter().filter(|path| path.file_name().is_some_and(|name| name == file)).collect()
    }

    /// How many accounts are stored.
    pub(super) fn stored_accounts(&self) -> usize {
        files(&self.state().join("acme/accounts")).len()
    }

    /// A client that trusts what the authority issues, and nothing else.
    pub(super) async fn client(&self) -> TlsClient {
        TlsClient::builder().roots(&self.pebble.issuing_roots().await).build()
    }

    /// A handshake for that name by [`Rig::client`].
    pub(super) async fn handshake(&self, name: &str) -> Result<Handshake, TlsFailure> {
        let connected = self.client().await.connect(self.tls(), Some(name)).await;
        connected.map(|connection| connection.handshake)
    }

    /// Waits until the certificate of that name serves; yields what a handshake for it gets.
    pub(super) async fn issued(&self, vaned: &Vaned, name: &str) -> Handshake {
        until_cert(vaned, name, |cert| cert["state"] == "serving").await;
        self.handshake(name).await.unwrap_or_else(|failure| panic!("{name}: {failure}"))
    }

    /// # Panics
    /// When something of the state can be read by others.
    pub(super) fn assert_private(&self) {
        for path in files(&self.state()) {
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(wanted, mode, "{} has mode {mode:o}", path.display());
        }
    }
}

/// Everything below a directory, without itself.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let each = entries.map(|entry| entry.path()).flat_map(|path| {
        let below = if path.is_dir() { files(&path) } else { Vec::new() };
        [vec![path], below].concat()
    });
    each.collect()
}

/// Every certificate, as the daemon reports it.
pub(super) async fn certs(vaned: &Vaned) -> Vec<Value> {
    let view = vaned.manage("get_certs", json!({})).await.unwrap();
    view["certs"].as_array().cloned().unwrap()
}

/// The certificate of that name, once it is as the predicate wants.
pub(super) async fn until_cert(
    vaned: &Vaned,
    name: &str,
    predicate: impl Fn(&Value) -> bool,
) -> Value {
    until(&format!("the certificate {name} to be as it should"), LIMIT, async || {
        let all = certs(vaned).await;
        let found = all.iter().find(|cert| cert["name"] == name).cloned().unwrap_or_default();
        if predicate(&found) { Ok(found) } else { Err(found) }
    })
    .await
}

/// The certificate once its order has failed so often in a row.
pub(super) async fn until_failed(vaned: &Vaned, name: &str, failures: u64) -> Value {
    until_cert(vaned, name, |cert| {
        let managed = &cert["managed"];
        managed["failures"] == failures
            && managed["ordering"] == false
            && cert["last_error"] != json!(null)
    })
    .await
}

/// What a renewal on demand answers.
pub(super) async fn renew(vaned: &Vaned, name: &str) -> Value {
    vaned.manage("force_renew", json!({ "name": name })).await.unwrap()
}

/// `vane` on that daemon.
pub(super) async fn vane(vaned: &Vaned, args: &[&str]) -> Output {
    Vane::new().socket(vaned.socket()).run(args).await
}

/// Seconds since the epoch.
pub(super) fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Members of the second object over those of the first.
fn merged(mut first: Value, second: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut first, second) else {
        return first;
    };
    members.extend(more);
    first
}

/// The name of the one site.
pub(super) const NAME: &str = "site.test";
