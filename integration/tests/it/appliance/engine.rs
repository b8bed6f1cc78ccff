//! The Docker engine, and what a scenario has of it beside containers. Names are unique, and each
//! thing is removed with its value, also when the test panics.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::models::{
    Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect, VolumeCreateRequest,
};
use testcontainers::bollard::query_parameters::{
    InspectNetworkOptions, RemoveImageOptions, RemoveVolumeOptions, TagImageOptionsBuilder,
};
use tokio::time::timeout;

/// An engine that answers.
#[derive(Debug, Clone)]
pub(super) struct Engine(Docker);

impl Engine {
    /// The engine that `DOCKER_HOST` names, or that of this machine.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn find() -> Result<Self, String> {
        let docker = Docker::connect_with_defaults().map_err(|error| error.to_string())?;
        let docker = timeout(LIMIT, docker.negotiate_version()).await;
        let docker = docker.map_err(|_| format!("no answer within {LIMIT:?}"))?;
        Ok(Self(docker.map_err(|error| error.to_string())?))
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.0
    }

    /// Whether it has an image of that name.
    pub(super) async fn has_image(&self, image: &str) -> bool {
        self.0.inspect_image(image).await.is_ok()
    }
}

/// A bridge of both families, on which the test has the gateway's addresses.
#[derive(Debug)]
pub(super) struct Network {
    engine: Engine,
    pub(super) name: String,
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
}

impl Network {
    pub(super) async fn create(engine: &Engine) -> Self {
        let (name, prefix) = (unique("net"), any_prefix());
        let v6 = Ipv6Addr::from(prefix | 1).into();
        let config = IpamConfig {
            subnet: Some(format!("{}/64", Ipv6Addr::from(prefix))),
            gateway: Some(format!("{v6}")),
            ..IpamConfig::default()
        };
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            enable_ipv6: Some(true),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            labels: Some(label()),
            ..NetworkCreateRequest::default()
        };
        engine.0.create_network(request).await.expect("the engine makes networks of both families");
        // From here on it is removed, whatever happens.
        let mut network = Self { engine: engine.clone(), name, v4: v6, v6 };
        let told = engine.0.inspect_network(&network.name, None::<InspectNetworkOptions>).await;
        network.v4 = v4_gateway(&told.expect("a network that is there is told of"));
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let (Engine(docker), name) = (self.engine.clone(), self.name.clone());
        finish("network", async move { docker.remove_network(&name).await });
    }
}

/// A volume, which outlives containers.
#[derive(Debug)]
pub(super) struct Volume {
    engine: Engine,
    pub(super) name: String,
}

impl Volume {
    pub(super) async fn create(engine: &Engine) -> Self {
        let name = unique("state");
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(label()),
            ..VolumeCreateRequest::default()
        };
        engine.0.create_volume(request).await.expect("the engine makes volumes");
        Self { engine: engine.clone(), name }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let (Engine(docker), name) = (self.engine.clone(), self.name.clone());
        let options = None::<RemoveVolumeOptions>;
        finish("volume", async move { docker.remove_volume(&name, options).await });
    }
}

/// A second name of an image.
#[derive(Debug)]
pub(super) struct Tag {
    engine: Engine,
    /// The name in front of `:next`.
    pub(super) repository: String,
}

impl Tag {
    pub(super) async fn create(engine: &Engine, image: &str) -> Self {
        let repository = unique("image");
        let options = TagImageOptionsBuilder::new().repo(&repository).tag(Self::TAG).build();
        engine.0.tag_image(image, Some(options)).await.expect("an image takes a second name");
        Self { engine: engine.clone(), repository }
    }

    pub(super) const TAG: &str = "next";
}

impl Drop for Tag {
    fn drop(&mut self) {
        let Engine(docker) = self.engine.clone();
        let name = format!("{}:{}", self.repository, Self::TAG);
        let options = None::<RemoveImageOptions>;
        finish("tag", async move { docker.remove_image(&name, options, None).await.map(drop) });
    }
}

/// A name that nothing else has on this machine.
pub(super) fn unique(what: &str) -> String {
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("vane-it-{}-{turn}-{what}", std::process::id())
}

/// By this, what a killed run left behind is found.
pub(super) const LABEL: (&str, &str) = ("vane.test", "it");

fn label() -> HashMap<String, String> {
    HashMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())])
}

/// A prefix for a network of its own (RFC 4193 §3.2).
fn any_prefix() -> u128 {
    let random = u128::from(RandomState::new().hash_one(std::process::id()));
    0xfd << 120 | (random >> 8) << 64
}

fn v4_gateway(network: &NetworkInspect) -> IpAddr {
    let ipam = network.ipam.clone().unwrap_or_default();
    let gateways = ipam.config.unwrap_or_default().into_iter().filter_map(|each| each.gateway);
    let mut parsed = gateways.filter_map(|gateway| gateway.parse::<IpAddr>().ok());
    parsed.find(IpAddr::is_ipv4).expect("the engine chooses a subnet of IPv4")
}

/// Does the last thing with a value that is dropped, on a thread of its own.
#[expect(clippy::print_stderr, reason = "belongs to the report of the test")]
fn finish(what: &'static str, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a thread can have a runtime").block_on(work)
    });
    if let Ok(Err(error)) = thread.join() {
        eprintln!("a {what} of the test is left behind: {error}");
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);
const LIMIT: Duration = Duration::from_secs(20);
