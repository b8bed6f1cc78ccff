//! What a scenario asks of the place in which it plays. There are two places: processes on
//! loopback, and containers of the shipped image on a network of their own.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::front::{Answer, Front, Request, Way};
use integration::gate::Gate;
use integration::http_origin::HttpOrigin;
use integration::name_server::NameServer;
use integration::raw_client::RawClient;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::tls_client::TlsClient;
use integration::vane::Output;
use integration::wait::until;
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

/// A place to run daemons in, one at a time: a configuration directory and a state that outlive
/// them, and a way from and to the test. Everything in it is gone when it is dropped.
pub(super) trait Rig: Sized {
    /// A daemon in this place.
    type Daemon: Daemon;
    /// A certificate authority in this place.
    type Authority: Authority;

    /// What the daemons are configured by: a tree behind a link, as orchestrators mount it.
    fn config(&self) -> &ConfigDir;

    /// An address of the test's own that the daemons reach.
    fn host(&self) -> IpAddr;

    /// Where rules listen for that purpose.
    fn door(&self, door: Door) -> Address;

    /// A port alone, which is both families. As a process it is any port, which only the daemon
    /// knows.
    fn port_alone(&self) -> Address;

    /// Has the kernel know no IPv6 for the daemons to come.
    fn take_ipv6_away(&mut self);

    /// What the daemons know the configuration directory as.
    fn directory(&self) -> String;

    /// Starts a daemon and does not wait, for a boot that is to fail.
    async fn launch(&self, settings: &Settings) -> Self::Daemon;

    /// Starts an ended daemon again, in place and with what it left behind.
    async fn start_again(&self, daemon: &mut Self::Daemon);

    /// Starts another build in place of a daemon, which is gone then: the same configuration and
    /// state.
    async fn upgrade(&self, daemon: Self::Daemon) -> Self::Daemon;

    /// An authority; `None` skips the test. It asks that name server, or one of its own.
    async fn authority(&self, name_server: Option<SocketAddr>) -> Option<Self::Authority>;

    /// Starts a daemon and waits until no listener of it is `binding`.
    async fn start(&self, settings: &Settings) -> Self::Daemon {
        let mut daemon = self.launch(settings).await;
        daemon.ready().await;
        daemon
    }

    /// An origin that the daemons reach.
    async fn origin(&self) -> HttpOrigin {
        HttpOrigin::builder().on(self.host()).start().await
    }

    /// A TCP origin that the daemons reach.
    async fn tcp_origin(&self, behaviour: Behaviour) -> TcpOrigin {
        TcpOrigin::start_on((self.host(), 0).into(), behaviour).await
    }

    /// A name server that the daemons and authorities reach; `None` skips the test.
    fn name_server(&self, zones: &[(&str, &str)]) -> Option<NameServer> {
        NameServer::start_on(self.host(), zones)
    }

    /// Where clients reach that door by IPv4.
    async fn v4(&self, daemon: &Self::Daemon, door: Door) -> SocketAddr {
        daemon.at(&self.door(door).v4).await
    }

    /// Where clients reach that door by IPv6.
    async fn v6(&self, daemon: &Self::Daemon, door: Door) -> SocketAddr {
        daemon.at(&self.door(door).v6).await
    }

    /// Writes a rule that answers everything at that door with a text.
    fn says(&self, rule: &str, door: Door, text: &str) {
        self.config().write_rule(rule, saying(&self.door(door), text));
    }

    /// Writes a rule that passes everything at that door to a server.
    fn forwards(&self, rule: &str, door: Door, url: &str) {
        let listen = self.door(door).written;
        self.config().write_rule(rule, json!({ "listen": listen, "forward": url }));
    }
}

/// A running daemon, ended when dropped.
pub(super) trait Daemon {
    /// Where clients reach the listener configured as `configured`, once it listens.
    async fn at(&self, configured: &str) -> SocketAddr;

    /// The same port of it on its other family.
    async fn twin(&self, addr: SocketAddr) -> SocketAddr;

    /// Whether it has not ended.
    async fn is_running(&mut self) -> bool;

    /// Runs `vane` beside it.
    async fn vane(&self, args: &[&str]) -> Output;

    /// Sends it a signal.
    async fn signal(&self, signal: Signal);

    /// Ends it as its keeper does: SIGTERM, and SIGKILL when it has not ended after the grace.
    async fn stop(&mut self, grace: Duration) -> i64;

    /// Waits for its end and yields its status; 128 and the number of the signal that ended it.
    async fn exit_status(&mut self, limit: Duration) -> i64;

    /// The lines it has logged so far.
    async fn log_lines(&self) -> Vec<String>;

    /// Waits until management answers and no listener is `binding`.
    async fn ready(&mut self) {
        until("the daemon to be ready", READY_LIMIT, async || {
            assert!(self.is_running().await, "it ended while starting");
            let output = self.vane(&["get", "listeners", "--json"]).await;
            let view: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
            let listeners = view["listeners"].as_array();
            let listeners = listeners.ok_or_else(|| format!("{output:?}"))?;
            let is_binding = |each: &Value| each["state"] == "binding";
            if listeners.iter().any(is_binding) { Err(view.to_string()) } else { Ok(()) }
        })
        .await;
    }

    /// What `vane` answers as JSON.
    async fn json(&self, args: &[&str]) -> Value {
        let output = self.vane(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {output:?}"))
    }

    /// How it is.
    async fn stats(&self) -> Value {
        self.json(&["stats"]).await
    }

    /// Has it reload, which is not to be refused.
    async fn reload(&self) {
        let output = self.vane(&["reload"]).await;
        assert_eq!(0, output.status, "{output:?}");
    }

    /// The listeners as it reports them.
    async fn listeners(&self) -> Vec<Value> {
        self.json(&["get", "listeners"]).await["listeners"].as_array().cloned().unwrap()
    }

    /// Waits until it is as the predicate wants.
    async fn until_stats(&self, what: &str, predicate: impl Fn(&Value) -> bool) {
        until(what, LIMIT, async || {
            let stats = self.stats().await;
            if predicate(&stats) { Ok(()) } else { Err(format!("{stats:#}")) }
        })
        .await;
    }

    /// Waits until a line of its log holds all of these.
    async fn until_logged(&self, parts: &[&str]) -> String {
        until(&format!("a line with {parts:?} in the log"), LIMIT, async || {
            let lines = self.log_lines().await;
            let found = lines.iter().find(|line| parts.iter().all(|part| line.contains(part)));
            found.cloned().ok_or_else(|| lines.join("\n"))
        })
        .await
    }
}

/// A Pebble, which validates on the ports of [`Door::Clear`] and [`Door::Secure`].
pub(super) trait Authority {
    /// What a daemon's `directory` names.
    fn directory(&self) -> String;

    /// The authority behind the directory's own TLS.
    fn ca_pem(&self) -> String;

    /// All names have that address from now on.
    async fn point_to(&self, address: IpAddr);

    /// The root under which certificates are issued.
    async fn root(&self) -> CertificateDer<'static>;

    /// A way to the directory on which requests whose path holds `part` wait at the gate.
    async fn held_at(&self, part: &'static str) -> (Front, Gate);

    /// How many orders it has taken.
    async fn orders(&self) -> usize;

    /// A client that trusts what is issued, and nothing else. It keeps its sessions.
    async fn client(&self) -> TlsClient {
        TlsClient::builder().roots(&[self.root().await]).resuming().build()
    }
}

/// What rules listen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// HTTP in clear, and where names are proven by http-01.
    Clear,
    /// HTTPS, and where names are proven by tls-alpn-01.
    Secure,
    /// A tunnel; as a process on IPv4 alone.
    Tunnel,
    /// Something that comes and goes; as a process on IPv4 alone.
    Side,
}

/// Where a rule listens.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// As its `listen` says it.
    pub(super) written: Value,
    /// The one listener of IPv4 that this is, as the daemon names it.
    pub(super) v4: String,
    /// The one listener of IPv6 that this is.
    pub(super) v6: String,
}

/// How a daemon is started; nothing is set at first.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) env: Vec<(String, String)>,
}

impl Settings {
    /// Sets a variable.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With that many seconds to drain.
    pub(super) fn drains_for(secs: u32) -> Self {
        Self::default().env("VANE_DRAIN_TIMEOUT_SECS", &secs.to_string())
    }
}

/// What a [`Front`] does so that requests whose path holds `part` wait at the gate. Of those that
/// wait when it opens, only the latest is passed: whoever sent the others has ended.
pub(super) fn holding(
    part: &'static str,
    gate: &Gate,
) -> impl Fn(Request, Way) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync + 'static {
    let (gate, arrivals) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    move |request, way| {
        let (gate, arrivals) = (gate.clone(), arrivals.clone());
        Box::pin(async move {
            if !request.path.contains(part) {
                return way.pass(&request).await;
            }
            let turn = arrivals.fetch_add(1, Ordering::SeqCst) + 1;
            gate.pass().await;
            match arrivals.load(Ordering::SeqCst) == turn {
                true => way.pass(&request).await,
                false => Answer::json(503, "text/plain", &Value::Null),
            }
        })
    }
}

/// A rule that answers everything with a text.
pub(super) fn saying(address: &Address, text: &str) -> Value {
    json!({ "listen": address.written, "respond": { "status": 200, "body": text } })
}

/// What is answered to a GET on a connection of its own.
pub(super) async fn said(addr: SocketAddr) -> String {
    let mut client = RawClient::connect(addr).await.unwrap_or_else(|why| panic!("{addr}: {why}"));
    let answer = client.get("/", "a").await;
    answer.unwrap_or_else(|why| panic!("{addr}: {why}")).text()
}

/// Waits until a new connection is answered with that text.
pub(super) async fn until_said(addr: SocketAddr, text: &str) {
    until(&format!("the answer {text:?}"), LIMIT, async || match said(addr).await {
        now if now == text => Ok(()),
        other => Err(other),
    })
    .await;
}

/// The warnings and errors of the log.
pub(super) async fn loud<D: Daemon>(daemon: &D) -> Vec<String> {
    let lines = daemon.log_lines().await.into_iter();
    let is_loud = |line: &String| {
        let parsed: Value = serde_json::from_str(line).unwrap_or_default();
        parsed["level"] == "WARN" || parsed["level"] == "ERROR"
    };
    lines.filter(is_loud).collect()
}

/// Long enough for anything on one machine.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
const READY_LIMIT: Duration = Duration::from_secs(60);
