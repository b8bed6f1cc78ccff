//! The appliance as containers of the shipped image, on a network of both families that is the
//! test's own. The test is the network's gateway: origins listen there, and clients come from there.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::tools::Policy;
use integration::vane::Output;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::json;
use testcontainers::bollard::models::HostConfig;
use testcontainers::core::{AccessMode, Mount};
use testcontainers::{ContainerRequest, GenericImage, ImageExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::container::Container;
use super::engine::{Engine, Network, Tag, Volume};
use super::pebble_container::PebbleContainer;
use super::rig::{Address, Daemon, Door, LIMIT, Rig, Settings};

/// The place: a network, a volume for the state, and a directory that is mounted for reading.
pub(super) struct Containers {
    config: ConfigDir,
    terms: Terms,
    next: Tag,
    volume: Volume,
    network: Network,
    engine: Engine,
    image: String,
    _turn: SemaphorePermit<'static>,
}

/// What a container is allowed and given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Terms {
    Usual,
    /// No capability and no way to one, nothing to write to but the state and a directory in memory,
    /// and a user that the image does not know.
    Least,
    /// A kernel built without IPv6: there are no such sockets (socket(2), EAFNOSUPPORT).
    NoIpv6Sockets,
    /// Sockets of IPv6, and no address of it, not even loopback.
    NoIpv6Addresses,
}

impl Terms {
    fn shape(self, host: &mut HostConfig) {
        // Nobody comes through the ports of the host.
        host.publish_all_ports = Some(false);
        match self {
            Self::Usual => {}
            Self::Least => {
                host.readonly_rootfs = Some(true);
                host.cap_drop = Some(vec!["ALL".to_owned()]);
                host.security_opt = Some(vec!["no-new-privileges".to_owned()]);
                host.tmpfs = one("/run/vaned", "");
            }
            Self::NoIpv6Sockets => host.security_opt = Some(vec![no_ipv6_sockets()]),
            Self::NoIpv6Addresses => host.sysctls = one("net.ipv6.conf.all.disable_ipv6", "1"),
        }
    }
}

/// A daemon in a container.
pub(super) struct ContainedDaemon {
    container: Container,
    /// The test's own address of IPv6 on the network.
    neighbour: IpAddr,
    settings: Settings,
}

impl Containers {
    /// Nothing is configured yet. `None` skips the test.
    pub(super) async fn new() -> Option<Self> {
        let image = named_image("VANE_TEST_IMAGE", "vane:dev");
        let engine = engine_with(&image, "cargo xtask image").await?;
        let turn = TURNS.acquire().await.expect("it is never closed");
        let network = Network::create(&engine).await;
        let volume = Volume::create(&engine).await;
        let next = Tag::create(&engine, &image).await;
        let config = ConfigDir::linked_entries();
        let terms = Terms::Usual;
        Some(Self { config, terms, next, volume, network, engine, image, _turn: turn })
    }

    /// A container of the image as it comes, with nothing mounted and nothing set.
    pub(super) async fn bare(&self) -> ContainedDaemon {
        let (name, tag) = split(&self.image);
        self.contain(GenericImage::new(name, tag).into(), Settings::default()).await
    }

    /// The terms of the containers to come.
    pub(super) fn on(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    async fn run(&self, image: (&str, &str), settings: &Settings) -> ContainedDaemon {
        let config = self.config.path().to_string_lossy().into_owned();
        let config = Mount::bind_mount(config, CONFIG).with_access_mode(AccessMode::ReadOnly);
        let state = Mount::volume_mount(&self.volume.name, "/var/lib/vaned");
        let request = GenericImage::new(image.0, image.1).with_mount(config).with_mount(state);
        let request = settings
            .env
            .iter()
            .fold(request, |all, (name, value)| all.with_env_var(name.clone(), value.clone()));
        self.contain(request, settings.clone()).await
    }

    async fn contain(
        &self,
        request: ContainerRequest<GenericImage>,
        settings: Settings,
    ) -> ContainedDaemon {
        let terms = self.terms;
        let request = request.with_host_config_modifier(move |host| terms.shape(host));
        let request = match terms {
            Terms::Least => request.with_user("12345:0"),
            Terms::Usual | Terms::NoIpv6Sockets | Terms::NoIpv6Addresses => request,
        };
        let container = Container::start("vaned", (&self.engine, &self.network), request).await;
        ContainedDaemon { container, neighbour: self.network.v6, settings }
    }
}

impl Rig for Containers {
    type Daemon = ContainedDaemon;
    type Authority = PebbleContainer;

    fn config(&self) -> &ConfigDir {
        &self.config
    }

    fn host(&self) -> IpAddr {
        self.network.v4
    }

    fn door(&self, door: Door) -> Address {
        port_alone(match door {
            Door::Clear => 80,
            Door::Secure => 443,
            Door::Tunnel => 5432,
            Door::Side => 8081,
        })
    }

    fn port_alone(&self) -> Address {
        port_alone(8080)
    }

    fn take_ipv6_away(&mut self) {
        self.terms = Terms::NoIpv6Sockets;
    }

    fn directory(&self) -> String {
        CONFIG.to_owned()
    }

    async fn launch(&self, settings: &Settings) -> ContainedDaemon {
        self.run(split(&self.image), settings).await
    }

    async fn start_again(&self, daemon: &mut ContainedDaemon) {
        daemon.container.start_again().await;
        daemon.ready().await;
    }

    async fn upgrade(&self, mut daemon: ContainedDaemon) -> ContainedDaemon {
        assert_eq!(0, daemon.stop(LIMIT).await);
        let settings = daemon.settings.clone();
        drop(daemon);
        let mut next = self.run((&self.next.repository, Tag::TAG), &settings).await;
        next.ready().await;
        next
    }

    async fn authority(&self, name_server: Option<SocketAddr>) -> Option<PebbleContainer> {
        PebbleContainer::start(&self.engine, &self.network, name_server).await
    }
}

impl Daemon for ContainedDaemon {
    async fn at(&self, configured: &str) -> SocketAddr {
        let configured: SocketAddr = configured.parse().expect("an address and a port");
        if !configured.ip().is_unspecified() {
            return configured;
        }
        let (v4, v6) = self.container.addresses().await;
        if configured.is_ipv4() {
            return (v4, configured.port()).into();
        }
        // While the kernel checks that nobody else has an address, nothing can be sent from it.
        until("IPv6 on the network", LIMIT, async || {
            UdpSocket::bind((self.neighbour, 0)).map(drop)
        })
        .await;
        (v6.expect("the container has IPv6"), configured.port()).into()
    }

    async fn twin(&self, addr: SocketAddr) -> SocketAddr {
        let (v4, v6) = self.container.addresses().await;
        let ip = if addr.is_ipv4() { v6.expect("the container has IPv6") } else { v4 };
        (ip, addr.port()).into()
    }

    async fn is_running(&mut self) -> bool {
        self.container.is_running().await
    }

    async fn vane(&self, args: &[&str]) -> Output {
        self.container.exec(&[&["vane"], args].concat()).await
    }

    async fn signal(&self, signal: Signal) {
        self.container.signal(signal).await;
    }

    async fn stop(&mut self, grace: Duration) -> i64 {
        self.container.stop(grace).await;
        self.exit_status(LIMIT).await
    }

    async fn exit_status(&mut self, limit: Duration) -> i64 {
        self.container.exit_status(limit).await
    }

    async fn log_lines(&self) -> Vec<String> {
        self.container.log_lines().await
    }
}

/// The engine, where it answers and has that image; otherwise the test is skipped.
pub(super) async fn engine_with(image: &str, how_to_build: &str) -> Option<Engine> {
    let policy = Policy::for_containers();
    let engine = match Engine::find().await {
        Ok(engine) => engine,
        Err(why) => {
            policy.lacks(&format!("no Docker engine: {why}"));
            return None;
        }
    };
    if !engine.has_image(image).await {
        policy.lacks(&format!("no image {image}: `{how_to_build}`"));
        return None;
    }
    Some(engine)
}

/// The image that the variable names, or that one.
pub(super) fn named_image(variable: &str, otherwise: &str) -> String {
    let named = std::env::var(variable).ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| otherwise.to_owned())
}

/// Name and tag of an image; a colon may also stand in front of a registry's port.
pub(super) fn split(image: &str) -> (&str, &str) {
    let tagged = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
    tagged.unwrap_or((image, "latest"))
}

fn one(key: &str, value: &str) -> Option<HashMap<String, String>> {
    Some(HashMap::from([(key.to_owned(), value.to_owned())]))
}

fn port_alone(port: u16) -> Address {
    Address {
        written: json!(format!(":{port}")),
        v4: format!("0.0.0.0:{port}"),
        v6: format!("[::]:{port}"),
    }
}

/// A filter that refuses sockets of one family and nothing else.
fn no_ipv6_sockets() -> String {
    let family = json!({ "index": 0, "value": 10, "op": "SCMP_CMP_EQ" });
    let refused = json!({ "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
        "args": [family] });
    let filter = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused] });
    format!("seccomp={filter}")
}

/// An engine has some thirty networks to give, and each place takes one.
static TURNS: Semaphore = Semaphore::const_new(8);

const CONFIG: &str = "/etc/vaned";
