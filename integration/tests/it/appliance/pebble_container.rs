//! Pebble and the DNS that it asks, in containers beside the daemons.

use std::net::{IpAddr, SocketAddr};

use integration::certs::{Authority as Ca, Issued, KeyForm};
use integration::challtestsrv::tell;
use integration::front::{Front, Way};
use integration::gate::Gate;
use integration::tls_client::TlsClient;
use integration::tls_server::TlsServer;
use integration::wait::until;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use testcontainers::{GenericImage, ImageExt};

use super::container::Container;
use super::containers::{engine_with, named_image, split};
use super::engine::{Engine, Network, unique};
use super::rig::{Authority, LIMIT, holding};

/// An ACME server, found by the name of its container.
pub(super) struct PebbleContainer {
    pebble: Container,
    dns: Option<Container>,
    address: IpAddr,
    /// The test's own address beside it.
    neighbour: IpAddr,
    ca: Ca,
}

impl PebbleContainer {
    /// One that asks that name server, or one of its own. `None` skips the test.
    pub(super) async fn start(
        engine: &Engine,
        network: &Network,
        name_server: Option<SocketAddr>,
    ) -> Option<Self> {
        let image = named_image("VANE_TEST_PEBBLE_IMAGE", "vane-pebble:local");
        engine_with(&image, "cargo xtask image").await?;
        let place = Place { engine, network, image: &image };
        let dns = match name_server {
            Some(_) => None,
            None => Some(place.dns().await),
        };
        let resolver = match (&dns, name_server) {
            (Some(dns), _) => SocketAddr::new(dns.addresses().await.0, DNS_PORT),
            (None, server) => server.expect("one of the two is there"),
        };
        let (ca, name) = (Ca::root("directory of Pebble"), unique("pebble"));
        let issued = ca.server(&[&name]);
        let pebble = place.pebble(name, resolver, &issued).await;
        let address = pebble.addresses().await.0;
        let started = Self { pebble, dns, address, neighbour: network.v4, ca };
        started.said("ACME directory available").await;
        Some(started)
    }

    async fn said(&self, words: &str) {
        until(words, LIMIT, async || {
            let lines = self.pebble.log_lines().await;
            lines.iter().any(|line| line.contains(words))
        })
        .await;
    }
}

impl Authority for PebbleContainer {
    fn directory(&self) -> String {
        format!("https://{}:{ACME_PORT}/dir", self.pebble.name)
    }

    fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    async fn point_to(&self, address: IpAddr) {
        let dns = self.dns.as_ref().expect("it asks a name server of its own");
        let management = SocketAddr::new(dns.addresses().await.0, DNS_MANAGEMENT_PORT);
        tell(management, "set-default-ipv4", json!({ "ip": address })).await;
    }

    async fn root(&self) -> CertificateDer<'static> {
        let client = TlsClient::builder().roots(&[self.ca.der()]).build();
        let addr = SocketAddr::new(self.address, MANAGEMENT_PORT);
        let connection = client.connect(addr, Some(&self.pebble.name)).await.unwrap();
        let answer = connection.http1().get("/roots/0", &self.pebble.name).await.unwrap();
        CertificateDer::from_pem_slice(&answer.body).unwrap()
    }

    async fn held_at(&self, part: &'static str) -> (Front, Gate) {
        let (gate, IpAddr::V4(on)) = (Gate::new(), self.neighbour) else {
            panic!("fronts listen on IPv4")
        };
        let tls = TlsServer::new(&self.ca.server(&[&on.to_string()])).build();
        let client = TlsClient::builder().roots(&[self.ca.der()]).build();
        let server = SocketAddr::new(self.address, ACME_PORT);
        let way = Way::new(client, server).named(&self.pebble.name);
        (Front::start(on, tls, way, holding(part, &gate)).await, gate)
    }

    async fn orders(&self) -> usize {
        let lines = self.pebble.log_lines().await;
        lines.iter().filter(|line| line.contains("Added order")).count()
    }
}

struct Place<'a> {
    engine: &'a Engine,
    network: &'a Network,
    image: &'a str,
}

impl Place<'_> {
    async fn dns(&self) -> Container {
        let (management, dns) = (format!(":{DNS_MANAGEMENT_PORT}"), format!(":{DNS_PORT}"));
        let words = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        let words = words.into_iter().chain(["-management", &management, "-dns01", &dns]);
        let request = self.image().with_entrypoint("pebble-challtestsrv").with_cmd(words);
        let dns = Container::start("dns", (self.engine, self.network), request).await;
        let addr = SocketAddr::new(dns.addresses().await.0, DNS_MANAGEMENT_PORT);
        until("pebble-challtestsrv to listen", LIMIT, async || {
            tokio::net::TcpStream::connect(addr).await.map(drop)
        })
        .await;
        dns
    }

    async fn pebble(&self, name: String, resolver: SocketAddr, issued: &Issued) -> Container {
        let config = json!({ "pebble": {
            "listenAddress": format!("0.0.0.0:{ACME_PORT}"),
            "managementListenAddress": format!("0.0.0.0:{MANAGEMENT_PORT}"),
            "certificate": "/pebble/wfe.pem", "privateKey": "/pebble/wfe.key",
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
            "externalAccountBindingRequired": false } });
        let resolver = resolver.to_string();
        let words = ["-config", "/pebble/pebble.json", "-dnsserver", &resolver];
        let request = self
            .image()
            .with_entrypoint("pebble")
            .with_cmd(words)
            .with_copy_to("/pebble/pebble.json", config.to_string().into_bytes())
            .with_copy_to("/pebble/wfe.pem", issued.chain_pem().into_bytes())
            .with_copy_to("/pebble/wfe.key", issued.key_pem(KeyForm::Pkcs8).into_bytes())
            .with_env_var("PEBBLE_VA_NOSLEEP", "1")
            .with_env_var("PEBBLE_WFE_NONCEREJECT", "0")
            .with_env_var("PEBBLE_AUTHZREUSE", "0");
        Container::start_as(name, (self.engine, self.network), request).await
    }

    fn image(&self) -> GenericImage {
        let (name, tag) = split(self.image);
        GenericImage::new(name, tag)
    }
}

const ACME_PORT: u16 = 14000;
const MANAGEMENT_PORT: u16 = 15000;
const DNS_PORT: u16 = 8053;
const DNS_MANAGEMENT_PORT: u16 = 8055;
