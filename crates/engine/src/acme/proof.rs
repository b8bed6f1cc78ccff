//! Proves names: puts the answer where the authority will look, and takes it away afterwards.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::sync::Arc;

use instant_acme::{ChallengeHandle, ChallengeType, Identifier};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use vane_core::rules::tls::{Challenge, Dns};

use crate::acme::dns::{self, DnsContext, Record};
use crate::acme::failure::OrderFailure;
use crate::acme::http::HttpsClient;
use crate::tls::challenges::{ALPN, Answering, Challenges};
use crate::tls::provider;

/// The answers of one order. What is in memory goes with this; records have to be removed.
pub(super) struct Proofs<'a> {
    challenge: &'a Challenge,
    challenges: &'a Arc<Challenges>,
    https: &'a HttpsClient,
    answering: Vec<Answering>,
    records: Vec<Record>,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(
        challenge: &'a Challenge,
        challenges: &'a Arc<Challenges>,
        https: &'a HttpsClient,
    ) -> Self {
        Self { challenge, challenges, https, answering: Vec::new(), records: Vec::new() }
    }

    /// The kind of challenge, as the authority names it.
    pub(super) fn kind(&self) -> ChallengeType {
        match self.challenge {
            Challenge::Http01 => ChallengeType::Http01,
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Challenge::Dns01(_) => ChallengeType::Dns01,
        }
    }

    /// Puts the answer to one challenge in its place.
    ///
    /// # Errors
    /// When it cannot be put there.
    pub(super) async fn answer(
        &mut self,
        challenge: &ChallengeHandle<'_>,
    ) -> Result<(), OrderFailure> {
        let authorization = challenge.key_authorization();
        let identifier = challenge.identifier().identifier;
        match self.challenge {
            Challenge::Http01 => {
                let answer = authorization.as_str();
                self.answering.push(self.challenges.answer_token(&challenge.token, answer));
            }
            Challenge::TlsAlpn01 => {
                let (name, sent) = server_name(identifier);
                let config = proving(&name, authorization.digest().as_ref())?;
                self.answering.push(self.challenges.answer_handshake(&sent, config));
            }
            Challenge::Dns01(dns) => {
                let Identifier::Dns(name) = identifier else {
                    return Err(OrderFailure::ours("`dns-01` proves names, not addresses"));
                };
                self.record(dns, name, &authorization.dns_value()).await?;
            }
        }
        Ok(())
    }

    async fn record(&mut self, dns: &Dns, name: &str, value: &str) -> Result<(), OrderFailure> {
        let name = format!("_acme-challenge.{name}");
        let mut record = Record::new(dns, &name, value);
        let put = dns::present(&mut record, self.context()).await;
        // What failed half-way may have put it.
        self.records.push(record);
        put.map_err(OrderFailure::ours)
    }

    /// How long the authority is to wait until it looks.
    pub(super) fn wait(&self) -> std::time::Duration {
        match self.challenge {
            Challenge::Dns01(dns) if !self.records.is_empty() => dns.wait,
            _ => std::time::Duration::ZERO,
        }
    }

    /// Takes everything away again; what cannot be is reported.
    pub(super) async fn clean_up(self) {
        for record in &self.records {
            match dns::cleanup(record, self.context()).await {
                Ok(()) => {}
                Err(failure) if record.is_put() => {
                    tracing::warn!("a record of `dns-01` is left behind: {failure}");
                }
                Err(failure) => tracing::debug!("a record of `dns-01` may be left: {failure}"),
            }
        }
    }

    fn context(&self) -> DnsContext<'a> {
        DnsContext { client: self.https, path: OsStr::new(PATH) }
    }
}

/// Where programs of the operator's find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What stands in the certificate, and the server name that an authority sends for it: an address
/// is asked for by its name in reverse, RFC 8738 §6.
fn server_name(identifier: &Identifier) -> (String, String) {
    match identifier {
        Identifier::Dns(name) => (name.clone(), name.to_ascii_lowercase()),
        Identifier::Ip(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            (ip.to_string(), format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
        }
        Identifier::Ip(IpAddr::V6(ip)) => {
            let digits = crate::tls::certificate::hex(&ip.octets());
            let reverse: String = digits.chars().rev().flat_map(|digit| [digit, '.']).collect();
            (ip.to_string(), format!("{reverse}ip6.arpa"))
        }
        _ => (String::new(), String::new()),
    }
}

/// A certificate that says nothing but that we know the authority's question, RFC 8737 §3.
fn proving(name: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, OrderFailure> {
    let key = KeyPair::generate().map_err(OrderFailure::ours)?;
    let mut params = CertificateParams::new([name.to_owned()]).map_err(OrderFailure::ours)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(OrderFailure::ours)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = provider().key_provider.load_private_key(key).map_err(OrderFailure::ours)?;
    // Not checked any further: no parser but the authority's knows its critical extension.
    let proof = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(proof)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}
