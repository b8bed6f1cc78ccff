//! Certificates of clients: whether one is asked for, and how it is verified.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use vane_core::rules::tls::ClientAuth;

use crate::disk::named;
use crate::tls::provider;

/// How clients are verified, and a digest over what that depends on.
pub(crate) struct Verifier {
    /// Does it.
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    /// Over the mode and the content of the files: a session that was verified by other ones is
    /// not resumed.
    pub(crate) digest: [u8; 32],
}

/// A file for verifying clients that cannot be used.
#[derive(Debug)]
pub struct UnusableAuthority {
    /// The file.
    pub path: Box<str>,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for UnusableAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use `{}` to verify clients: {}", self.path, self.problem)
    }
}

impl std::error::Error for UnusableAuthority {}

impl Verifier {
    /// Reads the files that `auth` names. Blocks.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(crate) fn read(auth: &ClientAuth) -> Result<Self, UnusableAuthority> {
        let mut digest = Sha256::new();
        digest.update([u8::from(auth.required)]);
        let roots = roots(auth, &mut digest)?;
        let lists = revocation_lists(auth, &mut digest)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .with_crls(lists);
        let builder = if auth.required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| UnusableAuthority {
            path: auth.ca_files.first().cloned().unwrap_or_default(),
            problem: error.to_string(),
        })?;
        Ok(Self { verifier, digest: digest.finalize().into() })
    }
}

fn roots(auth: &ClientAuth, digest: &mut Sha256) -> Result<RootCertStore, UnusableAuthority> {
    let mut roots = RootCertStore::empty();
    for path in &auth.ca_files {
        let unusable = |problem: String| UnusableAuthority { path: path.clone(), problem };
        let bytes = named::read(path, named::LIST).map_err(|error| unusable(error.to_string()))?;
        digest.update(&bytes);
        let before = roots.len();
        for root in CertificateDer::pem_slice_iter(&bytes) {
            let root = root.map_err(|error| unusable(format!("its PEM is broken: {error}")))?;
            roots.add(root).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(unusable("there is no certificate in it".to_owned()));
        }
    }
    Ok(roots)
}

fn revocation_lists(
    auth: &ClientAuth,
    digest: &mut Sha256,
) -> Result<Vec<CertificateRevocationListDer<'static>>, UnusableAuthority> {
    let mut lists = Vec::new();
    for path in &auth.crl_files {
        let unusable = |problem: String| UnusableAuthority { path: path.clone(), problem };
        let bytes = named::read(path, named::LIST).map_err(|error| unusable(error.to_string()))?;
        digest.update(&bytes);
        let before = lists.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
            lists.push(list.map_err(|error| unusable(format!("its PEM is broken: {error}")))?);
        }
        if lists.len() == before {
            return Err(unusable("there is no revocation list in it".to_owned()));
        }
    }
    Ok(lists)
}
