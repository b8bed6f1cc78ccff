//! Certificates, and how listeners and rules serve them, in JSON. Secrets are not part of any form.

use serde::Serialize;

use crate::graph::dump::form::{Shown, milliseconds, shown};
use crate::graph::{FlowGraph, ListenerTls};
use crate::rules::tls::{
    Certificate, CertificateSource, Challenge, ClientAuth, Dns, DnsProvider, KeyType, Managed,
    RuleTls, Serving,
};
use crate::rules::upstream::UpstreamTls;
use crate::value::host_pattern::HostPattern;

/// A certificate as one object.
#[derive(Serialize)]
pub(super) struct CertificateForm<'g> {
    name: &'g str,
    #[serde(flatten)]
    source: SourceForm<'g>,
}

impl<'g> CertificateForm<'g> {
    pub(super) fn of(certificate: &'g Certificate) -> Self {
        let source = match &certificate.source {
            CertificateSource::Files { chain, key } => {
                SourceForm::Files { cert_file: chain, key_file: key }
            }
            CertificateSource::Acme(managed) => SourceForm::Acme(ManagedForm::of(managed)),
        };
        Self { name: &certificate.name, source }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum SourceForm<'g> {
    Files { cert_file: &'g str, key_file: &'g str },
    Acme(ManagedForm<'g>),
}

#[derive(Serialize)]
struct ManagedForm<'g> {
    names: Vec<Shown<&'g HostPattern>>,
    directory: &'g str,
    contact: &'g [Box<str>],
    key_id: Option<&'g str>,
    ca_file: Option<&'g str>,
    challenge: &'static str,
    dns: Option<DnsForm<'g>>,
    key_type: &'static str,
    renew_before_ms: Option<u64>,
    profile: Option<&'g str>,
}

impl<'g> ManagedForm<'g> {
    fn of(managed: &'g Managed) -> Self {
        let account = &managed.account;
        Self {
            names: shown(&managed.names),
            directory: &account.directory,
            contact: &account.contact,
            key_id: account.binding.as_ref().map(|binding| &*binding.key_id),
            ca_file: account.ca_file.as_deref(),
            challenge: managed.challenge.as_str(),
            dns: match &managed.challenge {
                Challenge::Dns01(dns) => Some(DnsForm::of(dns)),
                Challenge::Http01 | Challenge::TlsAlpn01 => None,
            },
            key_type: key_type(managed.key_type),
            renew_before_ms: managed.renew_before.map(milliseconds),
            profile: managed.profile.as_deref(),
        }
    }
}

fn key_type(kind: KeyType) -> &'static str {
    match kind {
        KeyType::EcdsaP256 => "ecdsa-p256",
        KeyType::EcdsaP384 => "ecdsa-p384",
        KeyType::Rsa2048 => "rsa-2048",
        KeyType::Rsa4096 => "rsa-4096",
    }
}

#[derive(Serialize)]
struct DnsForm<'g> {
    provider: &'static str,
    target: String,
    zone: Option<&'g str>,
    key_name: Option<&'g str>,
    wait_ms: u64,
}

impl<'g> DnsForm<'g> {
    fn of(dns: &'g Dns) -> Self {
        let (provider, target, update) = match &dns.provider {
            DnsProvider::Rfc2136(update) => ("rfc2136", update.server.to_string(), Some(update)),
            DnsProvider::Exec { program } => ("exec", program.to_string(), None),
            DnsProvider::Cloudflare { api, .. } => ("cloudflare", api.to_string(), None),
        };
        Self {
            provider,
            target,
            zone: update.and_then(|update| update.zone.as_deref()),
            key_name: update.and_then(|update| update.key.as_ref()).map(|key| &*key.name),
            wait_ms: milliseconds(dns.wait),
        }
    }
}

/// What the hash of a graph takes in beside its forms: a new secret is a new configuration.
pub(super) fn secrets(certificates: &[Certificate]) -> Vec<&str> {
    let managed = certificates.iter().filter_map(|certificate| match &certificate.source {
        CertificateSource::Acme(managed) => Some(managed),
        CertificateSource::Files { .. } => None,
    });
    managed.flat_map(|managed| secrets_of(managed)).collect()
}

fn secrets_of(managed: &Managed) -> impl Iterator<Item = &str> {
    let binding = managed.account.binding.as_ref().map(|binding| binding.hmac_key.expose());
    let dns = match &managed.challenge {
        Challenge::Dns01(dns) => match &dns.provider {
            DnsProvider::Rfc2136(update) => update.key.as_ref().map(|key| key.secret.expose()),
            DnsProvider::Cloudflare { token, .. } => Some(token.expose()),
            DnsProvider::Exec { .. } => None,
        },
        Challenge::Http01 | Challenge::TlsAlpn01 => None,
    };
    binding.into_iter().chain(dns)
}

/// How a rule has TLS terminated.
#[derive(Serialize)]
pub(super) struct RuleTlsForm<'g> {
    names: Vec<Shown<&'g HostPattern>>,
    default: bool,
    #[serde(flatten)]
    serving: ServingForm<'g>,
}

impl<'g> RuleTlsForm<'g> {
    pub(super) fn of(tls: &'g RuleTls, graph: &'g FlowGraph) -> Self {
        let (names, serving) = (shown(&tls.names), ServingForm::of(&tls.serving, graph));
        Self { names, default: tls.default, serving }
    }
}

/// How a listener terminates TLS.
#[derive(Serialize)]
pub(super) struct ListenerTlsForm<'g> {
    named: Vec<(Shown<&'g HostPattern>, ServingForm<'g>)>,
    unnamed: Vec<ServingForm<'g>>,
    default: Option<ServingForm<'g>>,
}

impl<'g> ListenerTlsForm<'g> {
    pub(super) fn of(tls: &'g ListenerTls, graph: &'g FlowGraph) -> Self {
        let named = tls.named.iter();
        Self {
            named: named.map(|(name, it)| (Shown(name), ServingForm::of(it, graph))).collect(),
            unnamed: tls.unnamed.iter().map(|it| ServingForm::of(it, graph)).collect(),
            default: tls.default.as_ref().map(|it| ServingForm::of(it, graph)),
        }
    }
}

#[derive(Serialize)]
struct ServingForm<'g> {
    certificate: &'g str,
    min_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_auth: Option<ClientAuthForm<'g>>,
}

impl<'g> ServingForm<'g> {
    fn of(serving: &'g Serving, graph: &'g FlowGraph) -> Self {
        Self {
            certificate: &graph.certificate(serving.certificate).name,
            min_version: serving.min_version.as_str(),
            client_auth: serving.client_auth.as_ref().map(ClientAuthForm::of),
        }
    }
}

#[derive(Serialize)]
struct ClientAuthForm<'g> {
    mode: &'static str,
    ca_files: &'g [Box<str>],
    crl_files: &'g [Box<str>],
}

impl<'g> ClientAuthForm<'g> {
    fn of(auth: &'g ClientAuth) -> Self {
        let mode = if auth.required { "require" } else { "request" };
        Self { mode, ca_files: &auth.ca_files, crl_files: &auth.crl_files }
    }
}

/// How TLS is spoken to the servers of an upstream.
#[derive(Serialize)]
pub(super) struct UpstreamTlsForm<'g> {
    ca_file: Option<&'g str>,
    server_name: Option<&'g str>,
    client_cert_file: Option<&'g str>,
    client_key_file: Option<&'g str>,
    verify: &'static str,
}

impl<'g> UpstreamTlsForm<'g> {
    pub(super) fn of(tls: &'g UpstreamTls) -> Self {
        let identity = tls.identity.as_ref();
        Self {
            ca_file: tls.ca_file.as_deref(),
            server_name: tls.server_name.as_deref(),
            client_cert_file: identity.map(|(chain, _)| &**chain),
            client_key_file: identity.map(|(_, key)| &**key),
            verify: if tls.unverified { "none" } else { "full" },
        }
    }
}
