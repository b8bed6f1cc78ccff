//! TLS towards clients: which certificates listeners serve, where those come from, and what
//! clients have to show.

use std::time::Duration;

use crate::value::endpoint::Endpoint;
use crate::value::host_pattern::HostPattern;
use crate::value::secret::Secret;

/// The place of a [`Certificate`] in its [`crate::rules::RuleSet`] and in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(pub u32);

/// A certificate that listeners serve. However many rules ask for it, there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What tools call it, unique in a graph: the first of its names, or its file.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: CertificateSource,
}

/// Where a certificate comes from. Equal sources are one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// From files, PEM.
    Files {
        /// The chain, its own certificate first.
        chain: Box<str>,
        /// The key.
        key: Box<str>,
    },
    /// From a certificate authority that speaks ACME, RFC 8555.
    Acme(Box<Managed>),
}

/// A certificate that looks after itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Managed {
    /// The names that are ordered, sorted; at least one.
    pub names: Vec<HostPattern>,
    /// Whom to ask, and as whom.
    pub account: AcmeAccount,
    /// How the names are proven.
    pub challenge: Challenge,
    /// The kind of its key.
    pub key_type: KeyType,
    /// How long before its end it is renewed; as the authority suggests, else at a third of its
    /// life, where nothing is written.
    pub renew_before: Option<Duration>,
    /// The profile that is ordered, where the authority has several.
    pub profile: Option<Box<str>>,
}

/// An account with a certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AcmeAccount {
    /// URL of the directory.
    pub directory: Box<str>,
    /// How the authority reaches the operator, such as `mailto:ops@example.com`.
    pub contact: Vec<Box<str>>,
    /// Binds the account to one that the authority already has, RFC 8555 §7.3.4.
    pub binding: Option<AccountBinding>,
    /// Roots that the directory's own certificate is verified with, PEM; those of the system
    /// where nothing is written.
    pub ca_file: Option<Box<str>>,
}

/// An external account binding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountBinding {
    /// Key identifier.
    pub key_id: Box<str>,
    /// MAC key in base64url.
    pub hmac_key: Secret,
}

/// How names are proven to be the operator's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Challenge {
    /// Over HTTP on port 80, RFC 8555 §8.3.
    Http01,
    /// In a TLS handshake on port 443, RFC 8737.
    TlsAlpn01,
    /// By a TXT record, RFC 8555 §8.4.
    Dns01(Dns),
}

impl Challenge {
    /// The name in ACME and in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01(_) => "dns-01",
        }
    }
}

/// Where TXT records are put.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dns {
    /// Who is told.
    pub provider: DnsProvider,
    /// How long after a record was put the authority is told to look.
    pub wait: Duration,
}

/// Who is told of TXT records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DnsProvider {
    /// A name server, by dynamic update (RFC 2136) signed with TSIG (RFC 8945).
    Rfc2136(DnsUpdate),
    /// A program of the operator's.
    Exec {
        /// The program; gets `present` or `cleanup`, the record's name and its value.
        program: Box<str>,
    },
    /// Cloudflare's API.
    Cloudflare {
        /// A token that may edit the zone.
        token: Secret,
        /// Base URL of the API.
        api: Box<str>,
    },
}

/// A name server that takes dynamic updates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsUpdate {
    /// The primary server; port 53 unless written.
    pub server: Endpoint,
    /// The zone; asked of the server where nothing is written.
    pub zone: Option<Box<str>>,
    /// The key that updates are signed with; unsigned where nothing is written.
    pub key: Option<TsigKey>,
}

/// A key for TSIG.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TsigKey {
    /// Its name, a domain name.
    pub name: Box<str>,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// The key in base64.
    pub secret: Secret,
}

/// Algorithms of TSIG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

/// Kinds of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// NIST P-256.
    EcdsaP256,
    /// NIST P-384.
    EcdsaP384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 4096 bits.
    Rsa4096,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    /// `1.2` or `1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// How a rule wants TLS terminated in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTls {
    /// Names that the certificate is served for.
    pub names: Vec<HostPattern>,
    /// Whether it is also served when no name matches.
    pub default: bool,
    /// What is served.
    pub serving: Serving,
}

/// What a handshake for some name is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serving {
    /// The certificate.
    pub certificate: CertificateId,
    /// The lowest version that is accepted.
    pub min_version: TlsVersion,
    /// Whether clients are asked for a certificate.
    pub client_auth: Option<ClientAuth>,
}

/// How certificates of clients are asked for and verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientAuth {
    /// Whether the handshake fails without one.
    pub required: bool,
    /// Files with the certificates that clients' chains end in, PEM.
    pub ca_files: Vec<Box<str>>,
    /// Files with revocation lists, PEM.
    pub crl_files: Vec<Box<str>>,
}
