//! Where TXT records are put.

use std::time::Duration;

use crate::compile::expand::Context;
use crate::config::tls as written;
use crate::diagnostic::code::Code;
use crate::rules::tls::{Dns, DnsProvider, DnsUpdate, TsigAlgorithm, TsigKey};
use crate::source::{Span, Spanned};

/// The provider that is written, with its defaults.
pub(super) fn expand(written: &Spanned<written::Dns>, ctx: &mut Context<'_>) -> Option<Dns> {
    let dns = &written.value;
    let one = exactly_one(written, ctx);
    let provider = if let Some(update) = &dns.rfc2136 {
        self::update(&update.value, ctx).map(DnsProvider::Rfc2136)
    } else if let Some(program) = &dns.exec {
        Some(DnsProvider::Exec { program: program.value.as_str().into() })
    } else {
        dns.cloudflare.as_ref().and_then(|cloudflare| self::cloudflare(&cloudflare.value, ctx))
    };
    let provider = provider.filter(|_| one)?;
    let wait = dns.wait.as_ref().map_or(usual_wait(&provider), |wait| wait.value.as_std());
    Some(Dns { provider, wait })
}

/// What is put at Cloudflare is seen a little later; the others answer when it can be seen.
fn usual_wait(provider: &DnsProvider) -> Duration {
    match provider {
        DnsProvider::Cloudflare { .. } => Duration::from_secs(5),
        DnsProvider::Rfc2136(_) | DnsProvider::Exec { .. } => Duration::ZERO,
    }
}

fn exactly_one(written: &Spanned<written::Dns>, ctx: &mut Context<'_>) -> bool {
    let dns = &written.value;
    let keys = [
        dns.rfc2136.as_ref().map(|update| update.key),
        dns.exec.as_ref().map(|program| program.key),
        dns.cloudflare.as_ref().map(|cloudflare| cloudflare.key),
    ];
    let mut keys: Vec<_> = keys.into_iter().flatten().collect();
    keys.sort_by_key(|key| key.start);
    match keys.as_slice() {
        [] => {
            ctx.error(Code::MissingKey, written.span, "`dns` does not say who is told of records")
                .help("write one of `rfc2136`, `exec` and `cloudflare`");
        }
        [_] => return true,
        [first, second, ..] => {
            ctx.error(Code::BadValue, *second, "`dns` has one provider")
                .secondary(*first, "this is one already")
                .help("keep one of `rfc2136`, `exec` and `cloudflare`");
        }
    }
    false
}

fn update(update: &written::DnsUpdate, ctx: &mut Context<'_>) -> Option<DnsUpdate> {
    let key = key(update, ctx)?;
    let zone = update.zone.as_ref().map(|zone| zone.value.as_str().into());
    Some(DnsUpdate { server: update.server.value.endpoint().clone(), zone, key })
}

/// The key, where one is written.
fn key(update: &written::DnsUpdate, ctx: &mut Context<'_>) -> Option<Option<TsigKey>> {
    let algorithm = update.key_algorithm.as_ref();
    match (&update.key_name, &update.key_secret) {
        (Some(name), Some(secret)) => {
            let (name, secret) = (name.value.as_str().into(), secret.value.secret().clone());
            let algorithm = self::algorithm(algorithm.map(|written| written.value));
            Some(Some(TsigKey { name, algorithm, secret }))
        }
        (None, None) => match algorithm {
            Some(algorithm) => half(algorithm.span, "`key_name` and `key_secret`", ctx),
            None => Some(None),
        },
        (Some(name), None) => half(name.span, "`key_secret`", ctx),
        (None, Some(secret)) => half(secret.span, "`key_name`", ctx),
    }
}

fn half<T>(at: Span, missing: &str, ctx: &mut Context<'_>) -> Option<T> {
    ctx.error(Code::MissingKey, at, format!("a key for updates lacks {missing}"))
        .help("write `key_name` and `key_secret` together, or neither for unsigned updates");
    None
}

fn algorithm(written: Option<written::KeyAlgorithm>) -> TsigAlgorithm {
    match written {
        None | Some(written::KeyAlgorithm::HmacSha256) => TsigAlgorithm::HmacSha256,
        Some(written::KeyAlgorithm::HmacSha384) => TsigAlgorithm::HmacSha384,
        Some(written::KeyAlgorithm::HmacSha512) => TsigAlgorithm::HmacSha512,
    }
}

fn cloudflare(cloudflare: &written::Cloudflare, ctx: &mut Context<'_>) -> Option<DnsProvider> {
    let token = &cloudflare.token;
    if !token.value.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        ctx.error(Code::BadValue, token.span, "a token has no blanks and no control characters")
            .help("look for a line end that was copied along");
        return None;
    }
    let api = cloudflare.api.as_ref().map_or(CLOUDFLARE, |api| api.value.as_str());
    Some(DnsProvider::Cloudflare { token: token.value.clone(), api: api.into() })
}

const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";
