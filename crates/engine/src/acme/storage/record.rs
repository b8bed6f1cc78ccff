//! The contents of the files. Nothing here shows a key in its debug form.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vane_core::rules::tls::AcmeAccount;
use vane_core::value::secret::Secret;

use super::id;
use crate::acme::schedule::time::UnixTime;
use crate::acme::schedule::{Attempt, RenewalInfo};

/// What is stored of a certificate.
#[derive(Debug)]
pub(crate) struct StoredCertificate {
    /// The certificate.
    pub(crate) pem: Option<CertificatePem>,
    /// An order under way.
    pub(crate) order: Option<PendingOrder>,
    /// How it is doing.
    pub(crate) state: State,
}

/// A certificate with its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificatePem {
    /// The key.
    pub(crate) key: Secret,
    /// The chain, its own certificate first.
    pub(crate) chain: String,
}

/// An order that the authority knows and that has not led to a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingOrder {
    /// Where it is at the authority.
    pub(crate) url: String,
    /// [`id::account`] of whoever ordered.
    pub(crate) account: String,
    /// The key of the certificate to come, in PEM.
    #[serde(with = "exposed")]
    pub(crate) key: Secret,
    /// What was ordered.
    pub(crate) names: Vec<String>,
    /// When.
    pub(crate) created: UnixTime,
}

/// How a certificate is doing. Losing it loses back-off and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The last order.
    pub(crate) attempt: Option<Attempt>,
    /// Why it failed, if it did.
    pub(crate) problem: Option<Problem>,
    /// When the authority wants the certificate renewed.
    pub(crate) renewal_info: Option<RenewalInfo>,
}

/// An authority's words, RFC 8555 §6.7, or ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// Its kind, such as `urn:ietf:params:acme:error:dns`; empty where it was not the authority's.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// What happened, for people.
    pub(crate) detail: String,
    /// The same for each name that failed.
    #[serde(default)]
    pub(crate) subproblems: Vec<Subproblem>,
}

/// What is wrong with one name, RFC 8555 §6.7.1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subproblem {
    /// The name.
    pub(crate) name: Option<String>,
    /// Its kind.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// What happened, for people.
    pub(crate) detail: String,
}

/// What proves to an authority who asks: whatever form its client gives it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Credentials(Value);

/// Credentials with what they were made from.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAccount {
    directory: String,
    contact: Vec<String>,
    key_id: Option<String>,
    credentials: Credentials,
}

impl StoredCertificate {
    /// The order under way; not one that has led to the certificate that is stored.
    pub(crate) fn open_order(self) -> Option<PendingOrder> {
        let is_over = self.has_led_to_what_is_stored();
        self.order.filter(|_| !is_over)
    }

    /// Whether a process ended in the middle of an order that can be gone on with.
    pub(crate) fn is_interrupted(&self) -> bool {
        let attempt = self.state.attempt.as_ref();
        let was_under_way = attempt.is_none_or(|attempt| attempt.begun.is_some());
        was_under_way && self.order.is_some() && !self.has_led_to_what_is_stored()
    }

    /// Whether a process ended between storing a certificate and forgetting its order.
    pub(crate) fn has_led_to_what_is_stored(&self) -> bool {
        let keys = self.order.as_ref().zip(self.pem.as_ref());
        keys.is_some_and(|(order, pem)| order.key.expose().trim() == pem.key.expose().trim())
    }
}

impl CertificatePem {
    /// The file. Its first line has a digest of the rest: a chain that was cut off between two
    /// certificates would still be PEM.
    pub(super) fn render(&self) -> String {
        let key = self.key.expose();
        let end = if key.ends_with('\n') { "" } else { "\n" };
        let body = format!("{key}{end}{}", self.chain);
        format!("{HEADER}{}\n{body}", fingerprint(&body))
    }

    /// What [`Self::render`] wrote; `None` for anything else.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let (expected, body) = text.strip_prefix(HEADER)?.split_once('\n')?;
        let (key, chain) = body.split_at(body.find(CHAIN)?);
        let whole = key.contains(KEY) && fingerprint(body) == expected;
        whole.then(|| Self { key: Secret::new(key), chain: chain.to_owned() })
    }
}

fn fingerprint(text: &str) -> String {
    id::hex(digest(&SHA256, text.as_bytes()).as_ref())
}

impl State {
    /// With an authority's words cut to what is worth keeping.
    pub(super) fn shortened(&self) -> Self {
        let problem = self.problem.as_ref().map(Problem::shortened);
        Self { problem, ..self.clone() }
    }
}

impl Problem {
    fn shortened(&self) -> Self {
        let subproblems = self.subproblems.iter().take(MOST_SUBPROBLEMS);
        Self {
            kind: cut(&self.kind),
            detail: cut(&self.detail),
            subproblems: subproblems.map(Subproblem::shortened).collect(),
        }
    }
}

impl Subproblem {
    fn shortened(&self) -> Self {
        let name = self.name.as_deref().map(cut);
        Self { name, kind: cut(&self.kind), detail: cut(&self.detail) }
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_TEXT)].to_owned()
}

impl Credentials {
    /// Takes what a client gave.
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    /// What a client takes.
    pub(crate) fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl StoredAccount {
    pub(super) fn new(account: &AcmeAccount, credentials: &Credentials) -> Self {
        Self {
            directory: account.directory.to_string(),
            contact: id::contacts(account),
            key_id: account.binding.as_ref().map(|binding| binding.key_id.to_string()),
            credentials: credentials.clone(),
        }
    }

    /// The credentials, if they are of this account.
    pub(super) fn credentials_of(self, account: &AcmeAccount) -> Option<Credentials> {
        let Self { directory, contact, key_id, credentials } = self;
        let expected = Self::new(account, &credentials);
        let same =
            (directory, contact, key_id) == (expected.directory, expected.contact, expected.key_id);
        same.then_some(credentials)
    }
}

/// A secret goes to disk as it is.
mod exposed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use vane_core::value::secret::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        let text = String::deserialize(from)?;
        let secret = (!text.is_empty()).then(|| Secret::new(&text));
        secret.ok_or_else(|| D::Error::custom("empty"))
    }
}

const HEADER: &str = "# key and chain, written by vaned; sha256 of what follows: ";
const KEY: &str = "PRIVATE KEY-----";
const CHAIN: &str = "-----BEGIN CERTIFICATE-----";
const LONGEST_TEXT: usize = 2000;
const MOST_SUBPROBLEMS: usize = 100;
