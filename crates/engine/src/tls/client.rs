//! TLS towards servers: whom to trust, and what to show.

use std::fmt;
use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A file of roots that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableRoots {
    /// The file; empty where it is those of the system.
    pub path: Box<str>,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for UnusableRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => write!(f, "this system has no trusted roots: {}", self.problem),
            path => write!(f, "cannot use the roots in `{path}`: {}", self.problem),
        }
    }
}

impl std::error::Error for UnusableRoots {}

/// The roots in a file, or those of the system where none is named. Blocks.
///
/// # Errors
/// Where there is none.
pub(crate) fn roots(ca_file: Option<&str>) -> Result<Arc<RootCertStore>, UnusableRoots> {
    match ca_file {
        Some(path) => read(path).map(Arc::new),
        None => SYSTEM.clone(),
    }
}

static SYSTEM: LazyLock<Result<Arc<RootCertStore>, UnusableRoots>> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = found.errors.first().map_or_else(
            || "install `ca-certificates`, or name a file".to_owned(),
            ToString::to_string,
        );
        return Err(UnusableRoots { path: Box::default(), problem });
    }
    Ok(Arc::new(roots))
});

fn read(path: &str) -> Result<RootCertStore, UnusableRoots> {
    let unusable = |problem: String| UnusableRoots { path: path.into(), problem };
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
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
