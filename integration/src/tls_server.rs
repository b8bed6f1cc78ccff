//! How an origin of this crate speaks TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, SupportedProtocolVersion};

use crate::certs::{Authority, Issued};

/// The server's side of a handshake, for an origin's `tls`.
#[derive(Debug)]
pub struct TlsServer<'a> {
    issued: &'a Issued,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    clients: Option<&'a Authority>,
}

impl<'a> TlsServer<'a> {
    /// Shows this certificate whatever it is asked for; TLS 1.2 and 1.3, no ALPN, and no
    /// certificate of the client.
    pub fn new(issued: &'a Issued) -> Self {
        let versions = rustls::ALL_VERSIONS.to_vec();
        Self { issued, versions, alpn: Vec::new(), clients: None }
    }

    /// Speaks TLS 1.2 only.
    pub fn tls12_only(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// Takes these protocols, the preferred one first, and no connection that offers others.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Wants a certificate of this authority from each client.
    pub fn clients(mut self, authority: &'a Authority) -> Self {
        self.clients = Some(authority);
        self
    }

    /// Puts it together.
    pub fn build(self) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .expect("the provider knows every version");
        let config = match self.clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).expect("an authority's certificate can be read");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                config.with_client_cert_verifier(verifier.expect("there is a root"))
            }
        };
        let chain = self.issued.chain().to_vec();
        let config = config.with_single_cert(chain, self.issued.key_der());
        let mut config = config.expect("the key belongs to the chain");
        config.alpn_protocols = self.alpn;
        Arc::new(config)
    }
}
