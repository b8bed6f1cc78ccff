//! TLS towards servers: whom to trust, and what to show.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use vane_core::rules::upstream::UpstreamTls;

use crate::disk::named;
use crate::tls::certificate::Served;
use crate::tls::provider;
use crate::tls::unverified::Unverified;

/// How TLS is spoken to some servers, for each protocol that may be offered to them.
#[derive(Debug)]
pub(crate) struct Connectors {
    /// HTTP/2 and HTTP/1.1: the server chooses.
    pub(crate) agreed: Arc<ClientConfig>,
    /// HTTP/1.1 alone.
    pub(crate) http1: Arc<ClientConfig>,
    /// HTTP/2 alone.
    pub(crate) http2: Arc<ClientConfig>,
    /// What it was made of.
    pub(crate) contents: Contents,
}

/// A hash of what files say.
pub(crate) type Contents = [u8; 32];

/// The connectors in use. They outlive reloads, and with them the sessions that can be resumed;
/// other contents of the same files make another one.
#[derive(Debug, Default)]
pub(crate) struct ClientTls {
    known: Mutex<HashMap<(UpstreamTls, Contents), Weak<Connectors>>>,
}

impl ClientTls {
    /// How TLS is spoken as `tls` says. Reads its files. Blocks.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn get(&self, tls: &UpstreamTls) -> Result<Arc<Connectors>, UnusableFile> {
        let (config, contents) = config(tls)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tls.clone(), contents);
        if let Some(before) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(before);
        }
        known.retain(|_, connectors| connectors.strong_count() > 0);
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let connectors = Arc::new(Connectors {
            agreed: offering(&[b"h2", b"http/1.1"]),
            http1: offering(&[b"http/1.1"]),
            http2: offering(&[b"h2"]),
            contents,
        });
        known.insert(key, Arc::downgrade(&connectors));
        Ok(connectors)
    }
}

fn config(tls: &UpstreamTls) -> Result<(ClientConfig, Contents), UnusableFile> {
    let mut digest = Sha256::new();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions");
    let builder = if tls.unverified {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified::new()))
    } else {
        let roots = roots(tls.ca_file.as_deref())?;
        for root in &roots.roots {
            digest.update(&root.subject);
            digest.update(&root.subject_public_key_info);
            digest.update(root.name_constraints.as_deref().unwrap_or_default());
        }
        builder.with_root_certificates(roots)
    };
    let config = match &tls.identity {
        Some((chain, key)) => {
            let identity = identity(chain, key)?;
            identity.0.cert.iter().for_each(|certificate| digest.update(certificate));
            builder.with_client_cert_resolver(Arc::new(identity))
        }
        None => builder.with_no_client_auth(),
    };
    Ok((config, digest.finalize().into()))
}

/// Our own certificate, for servers that ask for one.
#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn identity(chain_path: &str, key_path: &str) -> Result<Identity, UnusableFile> {
    let bytes = |path: &str| {
        named::read(path, named::PAIR)
            .map_err(|error| UnusableFile { path: path.into(), problem: error.to_string() })
    };
    let (chain, key) = (bytes(chain_path)?, bytes(key_path)?);
    match Served::from_pem(&chain, &key) {
        Ok(served) => Ok(Identity(served.key)),
        Err(error) => Err(UnusableFile { path: chain_path.into(), problem: error.to_string() }),
    }
}

/// A file that TLS towards servers needs and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableFile {
    /// The file; empty where it is those of the system.
    pub path: Box<str>,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for UnusableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => write!(f, "this system has no trusted roots: {}", self.problem),
            path => write!(f, "cannot use `{path}` towards servers: {}", self.problem),
        }
    }
}

impl std::error::Error for UnusableFile {}

/// The roots in a file, or those that the system has now where none is named. Blocks.
///
/// # Errors
/// Where there is none.
pub(crate) fn roots(ca_file: Option<&str>) -> Result<RootCertStore, UnusableFile> {
    match ca_file {
        Some(path) => read(path),
        None => system(),
    }
}

fn system() -> Result<RootCertStore, UnusableFile> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = found.errors.first().map_or_else(
            || "install `ca-certificates`, or name a file".to_owned(),
            ToString::to_string,
        );
        return Err(UnusableFile { path: Box::default(), problem });
    }
    Ok(roots)
}

fn read(path: &str) -> Result<RootCertStore, UnusableFile> {
    let unusable = |problem: String| UnusableFile { path: path.into(), problem };
    let bytes = named::read(path, named::LIST).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&bytes) {
        let root = root.map_err(|error| unusable(format!("its PEM is broken: {error}")))?;
        roots.add(root).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}
