//! Pebble, the ACME server that the makers of the protocol test with, as a child process.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::certs::{Authority, KeyForm};
use crate::challtestsrv::Challtestsrv;
use crate::child::Running;
use crate::front::{Answer, Front, Request, Way};
use crate::relay::Relay;
use crate::sockets::{Waiting, private_address, waiting};
use crate::tls_client::TlsClient;
use crate::tls_server::TlsServer;
use crate::tools::Tool;
use crate::wait;

/// An ACME server to be; made by [`Pebble::builder`].
#[derive(Debug)]
pub struct Builder {
    config: Map<String, Value>,
    env: Vec<(&'static str, String)>,
    strict: bool,
    name_server: Option<SocketAddr>,
}

/// A running ACME server with a DNS of its own, ended when dropped. Both are on addresses that
/// nobody else uses, so the server comes back on the same port after it was stopped.
#[derive(Debug)]
pub struct Pebble {
    running: Option<Running>,
    dns: Challtestsrv,
    arrangement: Arrangement,
    acme: SocketAddrV4,
    management: SocketAddrV4,
}

impl Pebble {
    /// One that validates on [`HTTP_PORT`] and [`TLS_PORT`] at once and by DNS alone, reuses no
    /// authorization and takes every nonce, unless told otherwise.
    pub fn builder() -> Builder {
        let config = json!({ "httpPort": HTTP_PORT, "tlsPort": TLS_PORT, "ocspResponderURL": "",
            "externalAccountBindingRequired": false });
        let Value::Object(config) = config else { unreachable!("it is written as an object") };
        let env = [("VA_NOSLEEP", "1"), ("WFE_NONCEREJECT", "0"), ("AUTHZREUSE", "0")];
        let env = env.map(|(name, value)| (name, value.to_owned())).to_vec();
        Builder { config, env, strict: false, name_server: None }
    }

    /// As [`Pebble::builder`] has it.
    pub async fn start() -> Option<Self> {
        Self::builder().start().await
    }

    /// What a daemon's `directory` names. It stays while the server is stopped.
    pub fn directory_url(&self) -> String {
        format!("https://{}/dir", self.acme)
    }

    /// Where the server of the directory listens, also while it is stopped.
    pub fn addr(&self) -> SocketAddr {
        self.acme.into()
    }

    /// The authority behind the directory's own TLS, in PEM: a daemon's `ca_file`. It has nothing
    /// to do with the certificates that are issued.
    pub fn ca_file(&self) -> &Path {
        &self.arrangement.ca_file
    }

    /// The DNS by which it finds those whom it validates.
    pub fn dns(&self) -> &Challtestsrv {
        &self.dns
    }

    /// A client that trusts [`Pebble::ca_file`].
    pub fn tls_client(&self) -> TlsClient {
        TlsClient::builder().roots(&[self.arrangement.authority.der()]).build()
    }

    /// The directory (RFC 8555 §7.1.1).
    pub async fn directory(&self) -> Value {
        let body = self.get(self.acme, "/dir").await;
        serde_json::from_slice(&body).expect("a directory is JSON")
    }

    /// Whether this version has that resource, such as `renewalInfo` from 2.6 on.
    pub async fn offers(&self, resource: &str) -> bool {
        self.directory().await.get(resource).is_some()
    }

    /// The roots under which certificates are issued, the usual one first. New at each start.
    pub async fn issuing_roots(&self) -> Vec<CertificateDer<'static>> {
        let mut roots = Vec::new();
        for number in 0..=self.arrangement.alternate_roots {
            let pem = self.get(self.management, &format!("/roots/{number}")).await;
            roots.push(CertificateDer::from_pem_slice(&pem).expect("a root comes in PEM"));
        }
        roots
    }

    /// What it knows of a certificate, by the serial number in hexadecimal: `Status` is `Valid` or
    /// `Revoked`.
    pub async fn certificate_status(&self, serial: &str) -> Value {
        let path = format!("/cert-status-by-serial/{serial}");
        let body = self.get(self.management, &path).await;
        serde_json::from_slice(&body).expect("a status is JSON")
    }

    /// Ends it at once: connections are refused until [`Pebble::start_again`].
    ///
    /// # Panics
    /// When it is stopped already.
    pub fn stop(&mut self) {
        assert!(self.running.take().is_some(), "it is stopped already");
    }

    /// Starts it on the same port. It keeps everything in memory, so accounts, orders and roots
    /// are gone.
    pub async fn start_again(&mut self) {
        self.running = None;
        let running = self.arrangement.spawn(self.acme, self.management);
        self.running = Some(self.arrangement.ready(running, self.acme, self.management).await.0);
    }

    /// As [`Pebble::start_again`], validating on other ports.
    pub async fn start_again_with_ports(&mut self, http_port: u16, tls_port: u16) {
        self.arrangement.config.insert("httpPort".to_owned(), http_port.into());
        self.arrangement.config.insert("tlsPort".to_owned(), tls_port.into());
        self.start_again().await;
    }

    /// A way to the directory that can be cut while the server runs on and forgets nothing, and
    /// the URL of the directory by this way. All that the server then names leads there as well.
    pub async fn relay(&self) -> (Relay, String) {
        let relay = Relay::start(self.arrangement.relay, self.addr()).await;
        let url = format!("https://{}/dir", relay.addr());
        (relay, url)
    }

    /// A way to the directory on which a test sees each request and may answer it: `script` does,
    /// with [`Way::pass`] where the server is to be asked.
    pub async fn front<F>(
        &self,
        script: impl Fn(Request, Way) -> F + Send + Sync + 'static,
    ) -> Front
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let on = self.arrangement.relay;
        let issued = self.arrangement.authority.server(&[&on.to_string()]);
        let tls = TlsServer::new(&issued).build();
        Front::start(on, tls, Way::new(self.tls_client(), self.addr()), script).await
    }

    /// How many orders it has taken since its last start.
    pub fn orders(&self) -> usize {
        self.log_lines().iter().filter(|line| line.contains("Added order")).count()
    }

    /// Stops its clock: connections are taken by the kernel and never answered, until
    /// [`Pebble::resume`]. Nothing is lost.
    pub async fn suspend(&self) {
        self.signal(Signal::STOP);
        let running = self.running.as_ref().expect("it is not stopped");
        // Threads that run on another core are stopped a moment later.
        wait::until("its threads to stop", LIMIT, async || running.is_suspended()).await;
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The lines it has written since its last start; none while it is stopped.
    pub fn log_lines(&self) -> Vec<String> {
        self.running.as_ref().map(Running::log_lines).unwrap_or_default()
    }

    /// The first line of the log that the predicate takes, past or to come.
    ///
    /// # Panics
    /// When there is none within 10 seconds, or it is stopped.
    pub async fn wait_for_log(&self, predicate: impl Fn(&str) -> bool) -> String {
        let running = self.running.as_ref().expect("it is not stopped");
        running.wait_for_log(predicate).await
    }

    fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it is not stopped").signal(signal);
    }

    async fn get(&self, addr: SocketAddrV4, path: &str) -> Vec<u8> {
        let connection = self.tls_client().connect(addr.into(), None).await;
        let connection = connection.unwrap_or_else(|failure| panic!("{addr}{path}: {failure}"));
        let answer = connection.http1().get(path, &addr.to_string()).await;
        let answer = answer.unwrap_or_else(|failure| panic!("{addr}{path}: {failure}"));
        assert_eq!(200, answer.status, "{addr}{path}: {}", answer.text());
        answer.body
    }
}

impl Builder {
    /// Validates http-01 on that port of the name's addresses.
    pub fn http_port(self, port: u16) -> Self {
        self.set("httpPort", port.into())
    }

    /// Validates tls-alpn-01 on that port of the name's addresses.
    pub fn tls_port(self, port: u16) -> Self {
        self.set("tlsPort", port.into())
    }

    /// Wants an account to be bound to this external one; `key` is in base64url. Several may be.
    pub fn external_account(mut self, kid: &str, key: &str) -> Self {
        let keys = self.config.entry("externalAccountMACKeys").or_insert_with(|| json!({}));
        keys[kid] = key.into();
        self.set("externalAccountBindingRequired", true.into())
    }

    /// Refuses that share of all nonces.
    pub fn nonce_reject_percent(self, percent: u8) -> Self {
        self.env("WFE_NONCEREJECT", percent.into())
    }

    /// Reuses that share of all authorizations that are valid.
    pub fn authz_reuse_percent(self, percent: u8) -> Self {
        self.env("AUTHZREUSE", percent.into())
    }

    /// Takes every challenge for met, without looking.
    pub fn always_valid(self) -> Self {
        self.env("VA_ALWAYS_VALID", 1)
    }

    /// Waits for up to that many seconds before it validates.
    pub fn validates_within(mut self, seconds: u32) -> Self {
        self.env.retain(|(name, _)| *name != "VA_NOSLEEP");
        self.env("VA_SLEEPTIME", seconds)
    }

    /// Issues certificates for that many seconds; without it, 2.4 issues for five years.
    pub fn validity_period(self, seconds: u64) -> Self {
        self.set("certificateValidityPeriod", seconds.into())
    }

    /// Issues nothing for these names and those below them.
    pub fn blocklist(self, domains: &[&str]) -> Self {
        self.set("domainBlocklist", domains.into())
    }

    /// Issues through that many intermediates; 1 unless told otherwise.
    pub fn chain_length(self, length: u32) -> Self {
        self.env("CHAIN_LENGTH", length)
    }

    /// Offers that many further chains for each certificate.
    pub fn alternate_roots(self, count: u32) -> Self {
        self.env("ALTERNATE_ROOTS", count)
    }

    /// Is as strict as the next version of the protocol may be.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Asks that name server in place of [`Pebble::dns`].
    pub fn name_server(mut self, addr: SocketAddr) -> Self {
        self.name_server = Some(addr);
        self
    }

    /// Sets a key of its configuration; a version that does not know it does not mind.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    /// Starts it with a DNS of its own; `None` where either is not installed, and the calling test
    /// is skipped.
    ///
    /// # Panics
    /// When it does not come up within 30 seconds.
    pub async fn start(self) -> Option<Pebble> {
        let program = Tool::PEBBLE.find()?;
        let dns = Challtestsrv::start().await?;
        let resolver = self.name_server.unwrap_or(dns.addr());
        let (acme, management) = (any_port(), any_port());
        let arrangement = Arrangement::new(self, program, resolver, [*acme.ip(), *management.ip()]);
        let running = arrangement.spawn(acme, management);
        let (running, acme, management) = arrangement.ready(running, acme, management).await;
        Some(Pebble { running: Some(running), dns, arrangement, acme, management })
    }

    fn env(mut self, name: &'static str, value: u32) -> Self {
        self.env.retain(|(own, _)| *own != name);
        self.env.push((name, value.to_string()));
        self
    }
}

/// What is the same at each start.
#[derive(Debug)]
struct Arrangement {
    program: PathBuf,
    dns: SocketAddr,
    config: Map<String, Value>,
    env: Vec<(&'static str, String)>,
    strict: bool,
    alternate_roots: u32,
    authority: Authority,
    ca_file: PathBuf,
    /// Where [`Pebble::relay`] listens.
    relay: Ipv4Addr,
    place: TempDir,
}

impl Arrangement {
    fn new(builder: Builder, program: PathBuf, dns: SocketAddr, own: [Ipv4Addr; 2]) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let authority = Authority::root("directory of Pebble");
        let relay = private_address();
        let [acme, management, front] = [own[0], own[1], relay].map(|ip| ip.to_string());
        let names = ["localhost", "127.0.0.1", &acme, &management, &front];
        let files = authority.server(&names).write(place.path(), "wfe", KeyForm::Pkcs8);
        let ca_file = authority.write(place.path(), "ca");
        let Builder { mut config, env, strict, .. } = builder;
        config.insert("certificate".to_owned(), json!(files.cert));
        config.insert("privateKey".to_owned(), json!(files.key));
        let further = env.iter().find(|(name, _)| *name == "ALTERNATE_ROOTS");
        let alternate_roots = further.and_then(|(_, count)| count.parse().ok()).unwrap_or(0);
        Self {
            program,
            dns,
            config,
            env,
            strict,
            alternate_roots,
            authority,
            ca_file,
            relay,
            place,
        }
    }

    fn spawn(&self, acme: SocketAddrV4, management: SocketAddrV4) -> Running {
        let mut config = self.config.clone();
        config.insert("listenAddress".to_owned(), json!(acme));
        config.insert("managementListenAddress".to_owned(), json!(management));
        let path = self.place.path().join("pebble.json");
        std::fs::write(&path, json!({ "pebble": config }).to_string())
            .expect("a file can be written");
        let mut command = Command::new(&self.program);
        command.arg("-config").arg(&path).arg("-dnsserver").arg(self.dns.to_string());
        command.arg(format!("-strict={}", self.strict));
        for (name, value) in &self.env {
            command.env(format!("PEBBLE_{name}"), value);
        }
        Running::spawn_talkative("pebble", command)
    }

    /// It once it listens, and where.
    async fn ready(
        &self,
        mut running: Running,
        acme: SocketAddrV4,
        management: SocketAddrV4,
    ) -> (Running, SocketAddrV4, SocketAddrV4) {
        let (acme, management) = wait::until("pebble to be ready", LIMIT, async || {
            running.assert_is_starting();
            let listening = waiting(running.pid(), Waiting::Tcp);
            let on = |wanted: SocketAddrV4| {
                listening.iter().find(|addr| addr.ip() == wanted.ip()).copied()
            };
            on(acme).zip(on(management))
        })
        .await;
        (running, acme, management)
    }
}

fn any_port() -> SocketAddrV4 {
    SocketAddrV4::new(private_address(), 0)
}

/// Where http-01 is validated unless told otherwise. A daemon of a test can have it on a
/// [private address](private_address) that the [DNS](Pebble::dns) gives to its names.
pub const HTTP_PORT: u16 = 5002;
/// Where tls-alpn-01 is validated unless told otherwise.
pub const TLS_PORT: u16 = 5001;

const LIMIT: Duration = Duration::from_secs(30);
