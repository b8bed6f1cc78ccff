//! A certificate authority for tests: leafs, client certificates, intermediates, revocation lists,
//! and keys in every form in which an operator may hold them.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::der;

/// A certificate with its key that signs others.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What a server sends behind a leaf of this authority; the root is not sent.
    above: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// Signs itself.
    pub fn root(name: &str) -> Self {
        let (params, key) = (ca_params(name), new_key(KeyKind::EcdsaP256));
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a root signs itself");
        Self { issuer, above: Vec::new() }
    }

    /// An authority signed by this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (ca_params(name), new_key(KeyKind::EcdsaP256));
        let signed = CertifiedIssuer::signed_by(params, key, &self.issuer);
        let issuer = signed.expect("an authority signs an authority");
        let above = [&[issuer.der().clone()], self.above.as_slice()].concat();
        Self { issuer, above }
    }

    /// A certificate with a new key.
    ///
    /// # Panics
    /// When a name is none that a certificate can carry.
    pub fn issue(&self, spec: &Spec) -> Issued {
        let key = new_key(spec.key);
        let signed = spec.params().signed_by(&key, &self.issuer);
        let leaf = signed.expect("an authority signs what was asked for");
        let chain = [&[leaf.der().clone()], self.above.as_slice()].concat();
        Issued { chain, key, kind: spec.key }
    }

    /// A leaf for a server of these names, with what [`Spec::server`] says.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(&Spec::server(names))
    }

    /// Its own certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate as the file `NAME.pem` of that directory.
    pub fn write(&self, dir: &Path, name: &str) -> PathBuf {
        write(&dir.join(format!("{name}.pem")), &self.pem(), 0o644)
    }

    /// A revocation list in PEM that names these certificates and is good for that time.
    pub fn crl(&self, revoked: &[&Issued], good: Range<SystemTime>) -> String {
        let revoked = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&issued.certificate().serial_bytes),
            revocation_time: good.start.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: good.start.into(),
            next_update: good.end.into(),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = params.signed_by(&self.issuer).expect("an authority signs its list");
        signed.pem().expect("what was signed can be written")
    }
}

/// A certificate to be.
#[derive(Debug, Clone)]
pub struct Spec {
    common_name: Option<String>,
    names: Vec<Name>,
    key: KeyKind,
    valid: Range<SystemTime>,
    usage: ExtendedKeyUsagePurpose,
    revocations: Option<String>,
}

#[derive(Debug, Clone)]
enum Name {
    Dns(String),
    Ip(IpAddr),
    Uri(String),
}

impl Spec {
    /// For a server of these names, wildcards and IP addresses among them: ECDSA on P-256, valid
    /// from yesterday for 90 days.
    pub fn server(names: &[&str]) -> Self {
        let names = names.iter().map(|name| match name.parse() {
            Ok(ip) => Name::Ip(ip),
            Err(_) => Name::Dns((*name).to_owned()),
        });
        Self {
            common_name: None,
            names: names.collect(),
            key: KeyKind::EcdsaP256,
            valid: days(-1, 89),
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            revocations: None,
        }
    }

    /// For a client of that common name; the rest as for a server.
    pub fn client(common_name: &str) -> Self {
        let common_name = Some(common_name.to_owned());
        Self { common_name, usage: ExtendedKeyUsagePurpose::ClientAuth, ..Self::server(&[]) }
    }

    /// Another kind of key.
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }

    /// Another time of validity, kept in whole seconds; see [`days`].
    pub fn valid(mut self, valid: Range<SystemTime>) -> Self {
        self.valid = valid;
        self
    }

    /// One more DNS name.
    pub fn dns(mut self, name: &str) -> Self {
        self.names.push(Name::Dns(name.to_owned()));
        self
    }

    /// One more URI, such as a SPIFFE identity.
    pub fn uri(mut self, uri: &str) -> Self {
        self.names.push(Name::Uri(uri.to_owned()));
        self
    }

    /// Says where the list of what was revoked would be found.
    pub fn revocations_at(mut self, url: &str) -> Self {
        self.revocations = Some(url.to_owned());
        self
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = self.names.iter().map(Name::to_san).collect();
        (params.not_before, params.not_after) = (self.valid.start.into(), self.valid.end.into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        let place = |url: &String| CrlDistributionPoint { uris: vec![url.clone()] };
        params.crl_distribution_points = self.revocations.iter().map(place).collect();
        params
    }
}

impl Name {
    fn to_san(&self) -> SanType {
        let text = |text: &String| text.clone().try_into().expect("a name of ASCII letters");
        match self {
            Self::Dns(name) => SanType::DnsName(text(name)),
            Self::Ip(ip) => SanType::IpAddress(*ip),
            Self::Uri(uri) => SanType::URI(text(uri)),
        }
    }
}

/// The time between two days counted from now, such as `days(-30, -1)` for what has expired.
pub fn days(from: i64, until: i64) -> Range<SystemTime> {
    let now = SystemTime::now();
    let at = |days: i64| {
        let distance = Duration::from_secs(days.unsigned_abs() * 24 * 3600);
        if days < 0 { now - distance } else { now + distance }
    };
    at(from)..at(until)
}

/// The algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// Ed25519.
    Ed25519,
}

/// The form in which a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// `PRIVATE KEY`, for every kind (RFC 5208).
    Pkcs8,
    /// `EC PRIVATE KEY`, for ECDSA (RFC 5915).
    Sec1,
    /// `RSA PRIVATE KEY`, for RSA (RFC 8017 appendix A.1.2).
    Pkcs1,
}

/// A certificate with its chain and its key.
#[derive(Debug)]
pub struct Issued {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    kind: KeyKind,
}

/// Where the two parts of a pair were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain in PEM, the leaf first.
    pub cert: PathBuf,
    /// The key in PEM, mode 0600.
    pub key: PathBuf,
}

impl Issued {
    /// What the leaf says.
    pub fn certificate(&self) -> Certificate {
        Certificate::read(&self.chain[0])
    }

    /// The leaf and the intermediates behind it, without the root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The chain in PEM, the leaf first.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }

    /// The key.
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The key in PEM.
    ///
    /// # Panics
    /// When a key of that kind has no such form.
    pub fn key_pem(&self, form: KeyForm) -> String {
        let pkcs8 = self.key.serialize_der();
        let rewritten = match (form, self.kind) {
            (KeyForm::Pkcs8, _) => der::pkcs8_v1(&pkcs8).map(|v1| ("PRIVATE KEY", v1)),
            (KeyForm::Sec1, KeyKind::EcdsaP256 | KeyKind::EcdsaP384) => {
                der::sec1(&pkcs8).map(|sec1| ("EC PRIVATE KEY", sec1))
            }
            (KeyForm::Pkcs1, KeyKind::Rsa2048) => {
                der::pkcs1(&pkcs8).map(|pkcs1| ("RSA PRIVATE KEY", pkcs1))
            }
            _ => None,
        };
        let (label, der) =
            rewritten.unwrap_or_else(|| panic!("a key of {:?} has no form {form:?}", self.kind));
        pem(label, &der)
    }

    /// Writes `NAME.pem` and `NAME.key` into that directory, over what is there.
    pub fn write(&self, dir: &Path, name: &str, form: KeyForm) -> Files {
        let cert = write(&dir.join(format!("{name}.pem")), &self.chain_pem(), 0o644);
        let key = write(&dir.join(format!("{name}.key")), &self.key_pem(form), 0o600);
        Files { cert, key }
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate itself.
    pub der: CertificateDer<'static>,
    /// The serial number in hexadecimal, without separators.
    pub serial: String,
    serial_bytes: Vec<u8>,
    /// The distinguished name of its subject, such as `CN=a`.
    pub subject: String,
    /// That of its issuer.
    pub issuer: String,
    /// Its DNS names, IP addresses and URIs in order.
    pub names: Vec<String>,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// The last second in which it is valid.
    pub not_after: SystemTime,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Panics
    /// When it is none.
    pub fn read(der: &CertificateDer<'_>) -> Self {
        let (_, x509) = X509Certificate::from_der(der).expect("a certificate that can be read");
        let at = |time: x509_parser::time::ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let serial_bytes = x509.raw_serial().to_vec();
        Self {
            der: der.clone().into_owned(),
            serial: serial_bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            serial_bytes,
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            names: names(&x509),
            not_before: at(x509.validity().not_before),
            not_after: at(x509.validity().not_after),
        }
    }

    /// Whether it is valid at that moment.
    pub fn is_valid_at(&self, moment: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&moment)
    }
}

fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let found = x509.subject_alternative_name().ok().flatten();
    let names = found.map(|extension| extension.value.general_names.as_slice());
    names.unwrap_or_default().iter().map(name).collect()
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::URI(uri) => (*uri).to_owned(),
        GeneralName::IPAddress(bytes) => {
            address(bytes).map_or_else(String::new, |ip| ip.to_string())
        }
        other => other.to_string(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let valid = days(-365, 3650);
    (params.not_before, params.not_after) = (valid.start.into(), valid.end.into());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn new_key(kind: KeyKind) -> KeyPair {
    let algorithm = match kind {
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
    };
    KeyPair::generate_for(algorithm).expect("a key of a known kind can be made")
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

fn write(path: &Path, text: &str, mode: u32) -> PathBuf {
    let opened =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    let mut file = opened.expect("a file can be made");
    file.write_all(text.as_bytes()).expect("a file can be written");
    path.to_owned()
}
