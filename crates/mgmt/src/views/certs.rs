//! Certificates: `get_certs`, `force_renew`. Times are seconds since the Unix epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of `get_certs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertsView {
    /// One entry for each certificate of the generation that serves, however many rules name it.
    pub certs: Vec<CertView>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertView {
    /// What `force_renew` calls it: the first of its names, or its file as written.
    pub name: String,
    /// Where it comes from.
    pub source: CertSource,
    /// What it does.
    pub state: CertState,
    /// What handshakes get now; absent before the first has come.
    pub served: Option<ServedCert>,
    /// How it is managed; absent for one from files.
    pub managed: Option<ManagedCert>,
    /// Why the latest attempt to have a newer one failed, in the words of whoever refused it;
    /// absent where it did not.
    pub last_error: Option<String>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertSource {
    /// Files, which whoever writes them renews.
    Files {
        /// The chain.
        cert_file: String,
        /// The key.
        key_file: String,
    },
    /// An authority that speaks ACME.
    Acme {
        /// URL of its directory.
        directory: String,
        /// How names are proven: `http-01`, `tls-alpn-01`, `dns-01`.
        challenge: String,
        /// The names that are ordered.
        names: Vec<String>,
    },
}

/// What a certificate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertState {
    /// None has come yet: handshakes for its names are refused.
    Missing,
    /// It serves.
    Serving,
    /// It serves, and the latest attempt to have a newer one failed.
    Failing,
    /// It serves although its time is over.
    Expired,
}

/// What the certificate that serves says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedCert {
    /// Its DNS names, then its IP addresses.
    pub names: Vec<String>,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// Its serial number in lower-case hexadecimal.
    pub serial: String,
    /// From when on it is valid.
    pub not_before: i64,
    /// Until when it is valid.
    pub not_after: i64,
}

/// How a certificate from an authority is managed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedCert {
    /// Whether an order is under way.
    pub ordering: bool,
    /// Orders that failed in a row.
    pub failures: u32,
    /// When the last order ended, or began where it is under way; absent before the first.
    pub last_attempt: Option<u64>,
    /// When it will be ordered next; what is past is due.
    pub next_attempt: u64,
    /// When the authority wants it renewed, RFC 9773; absent where it does not say.
    pub renewal_window: Option<RenewalWindow>,
}

/// The time in which an authority wants a certificate renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalWindow {
    /// Its begin.
    pub start: u64,
    /// Its end.
    pub end: u64,
}

/// The result of `force_renew`. Where the answer is no, `data` is a [`RenewRefusedView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewView {
    /// The certificate.
    pub name: String,
    /// Whether an order has been asked for; what becomes of it is shown by `get_certs`.
    pub asked: bool,
    /// What the certificate did when it was asked.
    pub state: CertState,
}

/// Why `force_renew` was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRefusedView {
    /// The name that was given.
    pub name: String,
    /// The reason.
    pub reason: RenewRefusal,
    /// A certificate that may have been meant; absent where none is near, or the name was right.
    pub near: Option<String>,
}

/// Why a certificate is not renewed on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewRefusal {
    /// No certificate has this name.
    Unknown,
    /// It comes from files, which whoever writes them renews.
    FromFiles,
    /// The daemon is ending.
    Ending,
}

impl fmt::Display for CertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Serving => "serving",
            Self::Failing => "failing",
            Self::Expired => "expired",
        })
    }
}

impl fmt::Display for RenewRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::FromFiles => "from_files",
            Self::Ending => "ending",
        })
    }
}
