//! The DNS that Pebble asks: `pebble-challtestsrv` as a child process, whose answers a test says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::child::Running;
use crate::raw_client::RawClient;
use crate::sockets::{Waiting, private_address, waiting};
use crate::tools::Tool;
use crate::wait;

/// A DNS server. Whatever it has not been told of has the address 127.0.0.1 and no IPv6 address.
/// It knows every name there is, and ends when dropped.
#[derive(Debug)]
pub struct Challtestsrv {
    running: Running,
    dns: SocketAddr,
    management: SocketAddr,
}

impl Challtestsrv {
    /// Starts it; `None` where it is not installed, and the calling test is skipped.
    ///
    /// # Panics
    /// When it does not come up within 30 seconds.
    pub async fn start() -> Option<Self> {
        let program = Tool::CHALLTESTSRV.find()?;
        let management = private_address();
        // Port 0 would be two ports, one for UDP and one for TCP, and a server of DNS has one. On
        // an address of its own it can have any.
        let dns = SocketAddrV4::new(private_address(), DNS_PORT);
        let mut running =
            Running::spawn_talkative("pebble-challtestsrv", command(&program, management, dns));
        let management = wait::until("pebble-challtestsrv to be ready", LIMIT, async || {
            running.assert_is_starting();
            let tcp = waiting(running.pid(), Waiting::Tcp);
            let both = tcp.contains(&dns) && waiting(running.pid(), Waiting::Udp).contains(&dns);
            tcp.into_iter().find(|addr| both && *addr.ip() == management)
        })
        .await;
        Some(Self { running, dns: dns.into(), management: management.into() })
    }

    /// Where it answers questions, over UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.dns
    }

    /// Where it is told, over HTTP.
    pub fn management(&self) -> SocketAddr {
        self.management
    }

    /// From now on the name has these addresses, of one family, and none of them before.
    pub async fn set_addresses(&self, host: &str, addresses: &[IpAddr]) {
        let (v4, v6): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(IpAddr::is_ipv4);
        for (kind, addresses) in [("a", v4), ("aaaa", v6)] {
            self.call(&format!("clear-{kind}"), json!({ "host": host })).await;
            if !addresses.is_empty() {
                let told = json!({ "host": host, "addresses": addresses });
                self.call(&format!("add-{kind}"), told).await;
            }
        }
    }

    /// One more TXT record of that name, such as `_acme-challenge.example.com`.
    pub async fn add_txt(&self, name: &str, value: &str) {
        self.call("set-txt", json!({ "host": absolute(name), "value": value })).await;
    }

    /// The name has no TXT record any more.
    pub async fn clear_txt(&self, name: &str) {
        self.call("clear-txt", json!({ "host": absolute(name) })).await;
    }

    /// The name stands for another.
    pub async fn set_cname(&self, name: &str, target: &str) {
        let told = json!({ "host": absolute(name), "target": absolute(target) });
        self.call("set-cname", told).await;
    }

    /// Questions about the name fail with SERVFAIL until told otherwise.
    pub async fn set_servfail(&self, name: &str) {
        self.call("set-servfail", json!({ "host": absolute(name) })).await;
    }

    /// Questions about the name are answered again.
    pub async fn clear_servfail(&self, name: &str) {
        self.call("clear-servfail", json!({ "host": absolute(name) })).await;
    }

    /// What a name has that nothing was said of; `None` is no address of that family.
    pub async fn set_default_ipv4(&self, address: Option<Ipv4Addr>) {
        let ip = address.map(|ip| ip.to_string()).unwrap_or_default();
        self.call("set-default-ipv4", json!({ "ip": ip })).await;
    }

    /// The questions asked about a name, each as the server tells it.
    pub async fn questions(&self, name: &str) -> Vec<Value> {
        // Here names have no dot at their end.
        let told = self.call("dns-request-history", json!({ "host": name })).await;
        told.as_array().cloned().unwrap_or_default()
    }

    /// A call that has no method here; the answer is `null` where there is none.
    ///
    /// # Panics
    /// When it is not answered with 200.
    pub async fn call(&self, method: &str, argument: Value) -> Value {
        tell(self.management, method, argument).await
    }

    /// The lines it has written so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.running.log_lines()
    }
}

/// Tells a server with its management there; see [`Challtestsrv::call`].
///
/// # Panics
/// When it is not answered with 200.
pub async fn tell(management: SocketAddr, method: &str, argument: Value) -> Value {
    let mut client = RawClient::connect(management).await.expect("it listens");
    let body = argument.to_string();
    let answer = client.post(&format!("/{method}"), "challtestsrv", body.as_bytes()).await;
    let answer = answer.unwrap_or_else(|failure| panic!("{method} {body}: {failure}"));
    assert_eq!(200, answer.status, "{method} {body}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn command(program: &Path, management: Ipv4Addr, dns: SocketAddrV4) -> Command {
    let help = help(program);
    let knows = |flag: &str| help.lines().any(|line| line.trim_start().starts_with(flag));
    let mut command = Command::new(program);
    command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
    // Newer than 2.6: the flag has another name, and there is DNS over HTTPS to be switched off.
    command.args([if knows("-dnsserver string") { "-dnsserver" } else { "-dns01" }]);
    command.arg(dns.to_string());
    if knows("-doh string") {
        command.args(["-doh", ""]);
    }
    command.args(["-management", &format!("{management}:0")]);
    command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
    command
}

/// What the program says of its flags; it has no other way to tell its version.
fn help(program: &Path) -> String {
    let said = Command::new(PathBuf::from(program)).arg("-help").output();
    let said = said.expect("an installed program can be started");
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

/// The form in which the server keeps names.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

const DNS_PORT: u16 = 8053;
const LIMIT: Duration = Duration::from_secs(30);
