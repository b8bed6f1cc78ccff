//! A certificate with its key: read from PEM, checked, and what it says of itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::tls::provider;

/// A certificate chain and its key, ready to serve.
#[derive(Debug)]
pub(crate) struct Served {
    /// In the form that handshakes use.
    pub(crate) key: Arc<CertifiedKey>,
    /// What the certificate says.
    pub(crate) facts: CertificateFacts,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its DNS names, lower case, wildcards as `*.example.com`.
    pub names: Vec<Box<str>>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// Seconds since 1970 from when on it is valid.
    pub not_before: i64,
    /// Seconds since 1970 until when it is valid.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Whether it is valid for a host as requests and handshakes name it: lower case, IPv6 in
    /// brackets or not. A wildcard is one label, RFC 9525 §6.3.
    pub fn covers(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => parent == Some(suffix),
            None => **name == *host,
        })
    }
}

/// Why a certificate cannot be served.
#[derive(Debug)]
pub enum CertificateProblem {
    /// The file has no PEM certificate.
    NoCertificate,
    /// The file has no PEM key.
    NoKey,
    /// The PEM around something is broken.
    Pem(pem::Error),
    /// The certificate itself cannot be read.
    Malformed,
    /// The key is not the certificate's.
    Mismatch,
    /// The kind of key is not supported, or the key is broken.
    Key(rustls::Error),
}

impl Served {
    /// Takes a chain, its own certificate first, and the key of that: PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// When either cannot be read, or the two do not belong together.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateProblem> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(CertificateProblem::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => CertificateProblem::NoKey,
            error => CertificateProblem::Pem(error),
        })?;
        let facts = facts(chain.first().ok_or(CertificateProblem::NoCertificate)?)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(problem)?;
        Ok(Self { key: Arc::new(key), facts })
    }

    /// Whether the other is the same chain.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }

    /// The chain's own certificate.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }
}

fn problem(error: rustls::Error) -> CertificateProblem {
    match error {
        rustls::Error::InconsistentKeys(_) => CertificateProblem::Mismatch,
        rustls::Error::InvalidCertificate(_) => CertificateProblem::Malformed,
        error => CertificateProblem::Key(error),
    }
}

/// What a certificate in DER says.
///
/// # Errors
/// When it is none.
pub(crate) fn facts(leaf: &CertificateDer<'_>) -> Result<CertificateFacts, CertificateProblem> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| CertificateProblem::Malformed)?;
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    Ok(CertificateFacts {
        names: names.iter().filter_map(dns_name).collect(),
        addresses: names.iter().filter_map(address).collect(),
        issuer: leaf.issuer().to_string(),
        serial: hex(leaf.raw_serial()),
        not_before: leaf.validity().not_before.timestamp(),
        not_after: leaf.validity().not_after.timestamp(),
    })
}

fn dns_name(name: &GeneralName<'_>) -> Option<Box<str>> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    }
}

fn address(name: &GeneralName<'_>) -> Option<IpAddr> {
    match name {
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(*octets).ok().map(IpAddr::from),
        },
        _ => None,
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate in it: `-----BEGIN CERTIFICATE-----` is missing"),
            Self::NoKey => f.write_str("there is no key in it that can be used: PKCS#8, SEC1 and PKCS#1 in PEM, without a passphrase"),
            Self::Pem(error) => write!(f, "its PEM is broken: {error}"),
            Self::Malformed => f.write_str("its first certificate is malformed"),
            Self::Mismatch => f.write_str("the key is not that of the certificate"),
            Self::Key(error) => write!(f, "the key cannot be used: {error}"),
        }
    }
}

impl std::error::Error for CertificateProblem {}
