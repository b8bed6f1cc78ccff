//! The appliance as processes on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::binary;
use integration::config_dir::ConfigDir;
use integration::front::Front;
use integration::gate::Gate;
use integration::pebble::{HTTP_PORT, Pebble, TLS_PORT};
use integration::sockets::{ipv6_alone, private_address};
use integration::vane::{Output, Vane};
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tempfile::TempDir;

use super::rig::{Address, Authority, Daemon, Door, LIMIT, Rig, Settings, holding};

/// The place: an address of the loopback network that no other test has.
pub(super) struct Processes {
    config: ConfigDir,
    place: TempDir,
    ip: Ipv4Addr,
    /// Holds the IPv6 side of its port, so that the daemons find it taken.
    held: Option<TcpListener>,
}

/// A daemon, and how it was started.
pub(super) struct Process {
    vaned: Vaned,
    settings: Settings,
}

impl Processes {
    /// Nothing is configured yet.
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("state")).unwrap();
        Self { config: ConfigDir::linked_entries(), place, ip: private_address(), held: None }
    }

    fn spawn(&self, program: &Path, settings: &Settings) -> Process {
        let (socket, state) = (self.place.path().join("m.sock"), self.place.path().join("state"));
        let builder = Vaned::builder(&self.config).program(program).management_at(&socket);
        let builder = builder.env("VANE_STATE_DIR", &state.to_string_lossy());
        let builder = builder.env("VANE_ACME_HTTP_PORT", &HTTP_PORT.to_string());
        let builder = settings.env.iter().fold(builder, |all, (name, value)| all.env(name, value));
        Process { vaned: builder.spawn(), settings: settings.clone() }
    }
}

impl Rig for Processes {
    type Daemon = Process;
    type Authority = Pebble;

    fn config(&self) -> &ConfigDir {
        &self.config
    }

    fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// IPv6 has one loopback address, so its ports are the kernel's to choose.
    fn door(&self, door: Door) -> Address {
        let (port, v6) = match door {
            Door::Clear => (HTTP_PORT, "[::1]:0"),
            Door::Secure => (TLS_PORT, "[::]:0"),
            Door::Tunnel => return self.v4_alone(TUNNEL_PORT),
            Door::Side => return self.v4_alone(SIDE_PORT),
        };
        let v4 = format!("{}:{port}", self.ip);
        Address { written: json!([v4, v6]), v4, v6: v6.to_owned() }
    }

    fn port_alone(&self) -> Address {
        let held = self.held.as_ref().map(|held| held.local_addr().unwrap().port());
        let port = held.unwrap_or(0);
        Address {
            written: json!(format!(":{port}")),
            v4: format!("0.0.0.0:{port}"),
            v6: format!("[::]:{port}"),
        }
    }

    fn take_ipv6_away(&mut self) {
        self.held = Some(ipv6_alone());
    }

    fn directory(&self) -> String {
        self.config.path().to_string_lossy().into_owned()
    }

    async fn launch(&self, settings: &Settings) -> Process {
        self.spawn(&binary::path("vaned"), settings)
    }

    async fn start_again(&self, daemon: &mut Process) {
        *daemon = self.spawn(&binary::path("vaned"), &daemon.settings);
        daemon.ready().await;
    }

    /// The other build is a copy of the program, as a package installs it over the one before.
    async fn upgrade(&self, mut daemon: Process) -> Process {
        assert_eq!(0, daemon.stop(LIMIT).await);
        let program = self.place.path().join("vaned");
        std::fs::copy(binary::path("vaned"), &program).unwrap();
        let mut daemon = self.spawn(&program, &daemon.settings);
        daemon.ready().await;
        daemon
    }

    async fn authority(&self, name_server: Option<SocketAddr>) -> Option<Pebble> {
        let builder = Pebble::builder();
        match name_server {
            Some(addr) => builder.name_server(addr).start().await,
            None => builder.start().await,
        }
    }
}

impl Processes {
    fn v4_alone(&self, port: u16) -> Address {
        let v4 = format!("{}:{port}", self.ip);
        Address { written: json!(v4), v4, v6: String::new() }
    }
}

impl Daemon for Process {
    async fn at(&self, configured: &str) -> SocketAddr {
        self.vaned.addr(configured).await
    }

    async fn twin(&self, addr: SocketAddr) -> SocketAddr {
        let ip: IpAddr = match addr.is_ipv4() {
            true => Ipv6Addr::LOCALHOST.into(),
            false => Ipv4Addr::LOCALHOST.into(),
        };
        (ip, addr.port()).into()
    }

    async fn is_running(&mut self) -> bool {
        self.vaned.is_running()
    }

    async fn vane(&self, args: &[&str]) -> Output {
        Vane::new().socket(self.vaned.socket()).run(args).await
    }

    async fn signal(&self, signal: Signal) {
        self.vaned.signal(signal);
    }

    async fn stop(&mut self, grace: Duration) -> i64 {
        self.vaned.signal(Signal::TERM);
        let begun = Instant::now();
        until("the daemon to end", grace + LIMIT, async || {
            if begun.elapsed() >= grace && self.vaned.is_running() {
                self.vaned.signal(Signal::KILL);
            }
            !self.vaned.is_running()
        })
        .await;
        self.exit_status(LIMIT).await
    }

    async fn exit_status(&mut self, limit: Duration) -> i64 {
        let status = self.vaned.exit_status(limit).await;
        let signal = || 128 + status.signal().unwrap_or_default();
        status.code().unwrap_or_else(signal).into()
    }

    async fn log_lines(&self) -> Vec<String> {
        self.vaned.log_lines()
    }
}

impl Authority for Pebble {
    fn directory(&self) -> String {
        self.directory_url()
    }

    fn ca_pem(&self) -> String {
        std::fs::read_to_string(self.ca_file()).unwrap()
    }

    async fn point_to(&self, address: IpAddr) {
        let IpAddr::V4(address) = address else { panic!("names have addresses of IPv4 here") };
        self.dns().set_default_ipv4(Some(address)).await;
    }

    async fn root(&self) -> CertificateDer<'static> {
        self.issuing_roots().await.swap_remove(0)
    }

    async fn held_at(&self, part: &'static str) -> (Front, Gate) {
        let gate = Gate::new();
        (self.front(holding(part, &gate)).await, gate)
    }

    async fn orders(&self) -> usize {
        Pebble::orders(self)
    }
}

const TUNNEL_PORT: u16 = 5003;
const SIDE_PORT: u16 = 5004;
