//! TXT records for dns-01, [RFC 8555 §8.4](https://www.rfc-editor.org/rfc/rfc8555#section-8.4).
//!
//! Several values may be wanted at one name at the same time, as for `example.com` and
//! `*.example.com` in one order, so a value is added beside others and only it is removed.

mod cloudflare;
mod exec;
mod rfc2136;
mod tsig;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fmt;

use vane_core::rules::tls::{Dns, DnsProvider};

use crate::acme::http::HttpsClient;

/// What providers need beside their settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DnsContext<'a> {
    /// For providers that are reached by HTTPS.
    pub(crate) client: &'a HttpsClient,
    /// Where programs find other programs: their `PATH`.
    pub(crate) path: &'a OsStr,
}

/// A record that is put, and all that is needed to remove it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    dns: Dns,
    name: Box<str>,
    value: Box<str>,
    /// Not known before it was put, nor where putting it failed half-way.
    place: Option<Place>,
}

/// What a provider remembers of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Rfc2136(rfc2136::Place),
    Exec,
    Cloudflare(cloudflare::Place),
}

impl Record {
    /// `value` as a TXT record at `name`, such as `_acme-challenge.example.com`; not put yet.
    pub(crate) fn new(dns: &Dns, name: &str, value: &str) -> Self {
        Self { dns: dns.clone(), name: name.into(), value: value.into(), place: None }
    }

    /// Whether it was put without doubt.
    pub(crate) fn is_put(&self) -> bool {
        self.place.is_some()
    }
}

/// Puts a record beside those that are there. How long to wait until the authority is told to look
/// is `dns.wait`, for the caller to do.
///
/// # Errors
/// Says who is at fault and what to do, in words for the operator and without any secret. The
/// record may be there all the same, for [`cleanup`] to find.
///
/// # Cancel safety
/// Dropping the future may leave the record.
pub(crate) async fn present(
    record: &mut Record,
    context: DnsContext<'_>,
) -> Result<(), DnsFailure> {
    let Record { dns, name, value, place } = record;
    let put = match &dns.provider {
        DnsProvider::Rfc2136(update) => {
            let place = rfc2136::present(update, name, value).await;
            Place::Rfc2136(place.map_err(DnsFailure::Update)?)
        }
        DnsProvider::Exec { program } => {
            let run = exec::run(program, context.path, ["present", name, value]).await;
            run.map(|()| Place::Exec).map_err(DnsFailure::Hook)?
        }
        DnsProvider::Cloudflare { token, api } => {
            let api = cloudflare::Api { client: context.client, url: api, token };
            Place::Cloudflare(api.present(name, value).await.map_err(DnsFailure::Api)?)
        }
    };
    *place = Some(put);
    Ok(())
}

/// Removes a record, and no other value at its name. One that is gone already, or was never put,
/// is fine.
///
/// # Errors
/// As [`present`]. What is left then does no harm: it proves one finished order.
///
/// # Cancel safety
/// Dropping the future may leave the record.
pub(crate) async fn cleanup(record: &Record, context: DnsContext<'_>) -> Result<(), DnsFailure> {
    let Record { dns, name, value, place } = record;
    match (&dns.provider, place) {
        (DnsProvider::Rfc2136(update), place) => {
            let known = match place {
                Some(Place::Rfc2136(place)) => Some(place),
                _ => None,
            };
            rfc2136::cleanup(update, name, known, value).await.map_err(DnsFailure::Update)
        }
        (DnsProvider::Exec { program }, _) => {
            let run = exec::run(program, context.path, ["cleanup", name, value]);
            run.await.map_err(DnsFailure::Hook)
        }
        (DnsProvider::Cloudflare { token, api }, place) => {
            let api = cloudflare::Api { client: context.client, url: api, token };
            let removed = match place {
                Some(Place::Cloudflare(place)) => api.cleanup(place).await,
                _ => api.cleanup_unknown(name, value).await,
            };
            removed.map_err(DnsFailure::Api)
        }
    }
}

/// A record that was not put or not removed.
#[derive(Debug)]
pub(crate) enum DnsFailure {
    /// By a name server.
    Update(rfc2136::UpdateFailure),
    /// By a program of the operator's.
    Hook(exec::HookFailure),
    /// By Cloudflare.
    Api(cloudflare::ApiFailure),
}

impl fmt::Display for DnsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Update(failure) => failure.fmt(f),
            Self::Hook(failure) => failure.fmt(f),
            Self::Api(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for DnsFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Update(failure) => Some(failure),
            Self::Hook(failure) => Some(failure),
            Self::Api(failure) => Some(failure),
        }
    }
}
