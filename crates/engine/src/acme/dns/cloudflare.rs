//! Records at Cloudflare, through
//! [its API](https://developers.cloudflare.com/api/resources/dns/subresources/records/).
//!
//! Aliases are not followed: the record is put at the name itself.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use vane_core::value::secret::Secret;

use crate::acme::http::{HttpFailure, HttpsClient};

/// The API, and who asks.
pub(crate) struct Api<'a> {
    /// What requests are sent with.
    pub(crate) client: &'a HttpsClient,
    /// Base URL, without a slash at its end.
    pub(crate) url: &'a str,
    /// May edit the zone.
    pub(crate) token: &'a Secret,
}

/// A record as the API names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    zone: Box<str>,
    record: Box<str>,
}

impl Api<'_> {
    /// Adds a TXT record beside those that are there; one with this value is taken as it is.
    pub(crate) async fn present(&self, name: &str, value: &str) -> Result<Place, ApiFailure> {
        let zone = self.zone(name).await?;
        let content = format!("\"{value}\"");
        let body = json!({ "type": "TXT", "name": name, "content": content, "ttl": TTL });
        let records = format!("/zones/{}/dns_records", zone.id);
        let record = match self.call::<Item>(Method::POST, &records, Some(&body)).await {
            Err(refusal) if refusal.is_of(EXISTS) => {
                let known = self.known(&records, name, &content).await?;
                known.ok_or(refusal)?
            }
            answer => answer?.id,
        };
        Ok(Place { zone: zone.id, record })
    }

    /// Removes a record; one that is gone is fine.
    pub(crate) async fn cleanup(&self, place: &Place) -> Result<(), ApiFailure> {
        let path = format!("/zones/{}/dns_records/{}", place.zone, place.record);
        match self.call::<serde_json::Value>(Method::DELETE, &path, None).await {
            Err(refusal) if refusal.is_of(GONE) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Removes the record with this value, if there is one.
    pub(crate) async fn cleanup_unknown(&self, name: &str, value: &str) -> Result<(), ApiFailure> {
        let zone = self.zone(name).await?.id;
        let records = format!("/zones/{zone}/dns_records");
        match self.known(&records, name, value).await? {
            Some(record) => self.cleanup(&Place { zone, record }).await,
            None => Ok(()),
        }
    }

    /// The zone of a name: the one with the most labels that the token sees.
    async fn zone(&self, name: &str) -> Result<Item, ApiFailure> {
        let mut candidate = name;
        while candidate.contains('.') {
            let path = format!("/zones?name={candidate}");
            let zones: Vec<Item> = self.call(Method::GET, &path, None).await?;
            if let Some(zone) = zones.into_iter().next() {
                return Ok(zone);
            }
            candidate = candidate.split_once('.').map_or("", |(_, parent)| parent);
        }
        Err(ApiFailure::NoZone(name.into()))
    }

    /// The id of the record with this content.
    async fn known(
        &self,
        records: &str,
        name: &str,
        content: &str,
    ) -> Result<Option<Box<str>>, ApiFailure> {
        let path = format!("{records}?type=TXT&name={name}&per_page=100");
        let found: Vec<Item> = self.call(Method::GET, &path, None).await?;
        let bare = |text: &str| text.trim_matches('"').to_owned();
        let same = |item: &Item| item.content.as_deref().map(bare) == Some(bare(content));
        Ok(found.into_iter().find(same).map(|item| item.id))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, ApiFailure> {
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| ApiFailure::Token)?;
        token.set_sensitive(true);
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, token)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, JSON)
            .body(body)
            .map_err(|_| ApiFailure::Url)?;
        let response = self.client.send(request).await.map_err(ApiFailure::Http)?;
        read(response.status(), response.body())
    }
}

/// What an answer holds.
fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, ApiFailure> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| ApiFailure::Unreadable(status))?;
    if answer.success {
        return serde_json::from_value(answer.result).map_err(|_| ApiFailure::Unreadable(status));
    }
    let code = answer.errors.first().map_or(0, |error| error.code);
    let said = answer.errors.iter().map(Complaint::words).collect::<Vec<_>>().join("; ");
    Err(ApiFailure::Refused { status, code, said: said.into() })
}

/// The envelope of every answer.
#[derive(Deserialize)]
struct Answer {
    success: bool,
    #[serde(default)]
    errors: Vec<Complaint>,
    #[serde(default)]
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Complaint {
    code: u32,
    message: String,
    #[serde(default)]
    error_chain: Vec<Complaint>,
}

impl Complaint {
    /// What is wrong, with what lies behind it.
    fn words(&self) -> String {
        let message = self.message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE);
        let own = format!("{} (error {})", message.collect::<String>(), self.code);
        // A chain is never deep; the last in it says what is really wrong.
        match self.error_chain.last() {
            Some(deepest) => format!("{own}: {}", deepest.words()),
            None => own,
        }
    }
}

/// A zone or a record.
#[derive(Debug, Deserialize)]
struct Item {
    id: Box<str>,
    content: Option<String>,
}

/// A record that Cloudflare did not put or remove.
#[derive(Debug)]
pub(crate) enum ApiFailure {
    /// The token has characters that no header field takes.
    Token,
    /// The base URL leads nowhere.
    Url,
    /// The API was not reached.
    Http(HttpFailure),
    /// What it answered is not one of its answers.
    Unreadable(StatusCode),
    /// No zone of the token's has the name.
    NoZone(Box<str>),
    /// It said no.
    Refused {
        /// Of the answer.
        status: StatusCode,
        /// The first of its error codes.
        code: u32,
        /// Its words.
        said: Box<str>,
    },
}

impl ApiFailure {
    fn is_of(&self, codes: &[u32]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(code))
    }
}

impl fmt::Display for ApiFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloudflare: ")?;
        match self {
            Self::Token => f.write_str("the token has characters that cannot be sent"),
            Self::Url => f.write_str("`api` is not a URL that can be asked"),
            Self::Http(failure) => failure.fmt(f),
            Self::Unreadable(status) => {
                write!(f, "the answer with status {} is not one of the API's", status.as_u16())
            }
            Self::NoZone(name) => write!(
                f,
                "no zone of the account has `{name}`; give the token Zone:Read and DNS:Edit for \
                 its zone"
            ),
            Self::Refused { status, said, .. } => {
                let status = status.as_u16();
                write!(f, "refused with status {status}")?;
                if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }?;
                match status {
                    401 | 403 => f.write_str("; check the token and its permissions"),
                    429 => f.write_str("; the account has asked too often"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ApiFailure {}

const JSON: &str = "application/json";
/// Seconds, the least that the API takes for a zone of any plan.
const TTL: u32 = 60;
const MAX_MESSAGE: usize = 300;
/// "The record already exists" and "An identical record already exists".
const EXISTS: &[u32] = &[81057, 81058];
/// "Record does not exist".
const GONE: &[u32] = &[81044];
