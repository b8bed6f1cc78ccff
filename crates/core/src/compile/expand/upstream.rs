//! Upstreams: those of `config.json` and those that rules name by URL.

use std::collections::HashMap;

use crate::table::Table;

use crate::compile::expand::Context;
use crate::config::DaemonConfig;
use crate::config::action::{self as written, ForwardTo};
use crate::config::daemon;
use crate::config::daemon::Balance;
use crate::diagnostic::code::Code;
use crate::diagnostic::every;
use crate::rules::upstream::{Server, Upstream, UpstreamId, UpstreamTls};
use crate::source::{Span, Spanned};
use crate::value::file_path::FilePath;
use crate::value::host_pattern::host_name;
use crate::value::name::UpstreamName;
use crate::value::url::{Scheme, UpstreamUrl};

/// The upstreams so far, with the ids of their names.
#[derive(Debug, Default)]
pub(super) struct Upstreams<'w> {
    pub(super) all: Vec<Upstream>,
    by_name: Table<Box<str>, UpstreamId>,
    /// Those that rules spell out, so that a name is put together once and not for each rule.
    by_urls: Table<Vec<&'w UpstreamUrl>, UpstreamId>,
    /// The same servers under other terms.
    by_terms: HashMap<(UpstreamId, UpstreamTls), UpstreamId>,
}

impl Upstreams<'_> {
    /// Servers named alike are one upstream.
    fn add(&mut self, name: Box<str>, servers: Vec<Server>) -> UpstreamId {
        let next = u32::try_from(self.all.len()).expect("fewer than 2^32 upstreams");
        *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.all.push(Upstream { name, servers, tls: UpstreamTls::default() });
            UpstreamId(next)
        })
    }

    /// The same servers, spoken to as `tls` says.
    fn under(&mut self, id: UpstreamId, tls: UpstreamTls) -> UpstreamId {
        let next = u32::try_from(self.all.len()).expect("fewer than 2^32 upstreams");
        *self.by_terms.entry((id, tls)).or_insert_with_key(|(id, tls)| {
            let Upstream { name, servers, .. } = self.all[id.0 as usize].clone();
            let name = format!("{name}#{next}").into();
            self.all.push(Upstream { name, servers, tls: tls.clone() });
            UpstreamId(next)
        })
    }
}

/// The same upstream, spoken to as a rule's `tls` says.
pub(super) fn secured(
    id: UpstreamId,
    tls: &Spanned<written::UpstreamTls>,
    ctx: &mut Context<'_>,
) -> Option<UpstreamId> {
    let servers = &ctx.upstreams.all[id.0 as usize].servers;
    if servers.iter().all(|server| server.url.scheme != Scheme::Https) {
        ctx.error(Code::BadValue, tls.span, "none of these servers speaks TLS")
            .help("write `https://` in front of those that do, or take `tls` away");
        return None;
    }
    let terms = terms(&tls.value, ctx)?;
    Some(ctx.upstreams.under(id, terms))
}

fn terms(tls: &written::UpstreamTls, ctx: &mut Context<'_>) -> Option<UpstreamTls> {
    let path = |file: &Spanned<FilePath>| Box::<str>::from(file.value.as_str());
    let identity = match (&tls.client_cert_file, &tls.client_key_file) {
        (Some(chain), Some(key)) => Some((path(chain), path(key))),
        (None, None) => None,
        (Some(half), None) | (None, Some(half)) => {
            let message =
                "our own certificate is two files: `client_cert_file` and `client_key_file`";
            ctx.error(Code::MissingKey, half.span, message).label("the other one is not written");
            return None;
        }
    };
    let unverified = tls.verify.as_ref().filter(|verify| verify.value == written::Verify::None);
    if let Some(verify) = unverified {
        ctx.diagnostics
            .warning(Code::UnverifiedUpstream, verify.span, "anybody on the way can be this server")
            .label("its certificate is not verified")
            .help("name the certificate of its authority, or its own, in `ca_file`");
    }
    Some(UpstreamTls {
        ca_file: tls.ca_file.as_ref().map(path),
        server_name: server_name(tls.server_name.as_ref(), ctx)?,
        identity,
        unverified: unverified.is_some(),
    })
}

fn server_name(
    written: Option<&Spanned<String>>,
    ctx: &mut Context<'_>,
) -> Option<Option<Box<str>>> {
    let Some(name) = written else { return Some(None) };
    match host_name(&name.value) {
        Ok(host) => Some(Some(host)),
        Err(error) => {
            ctx.error(Code::BadHostPattern, name.span, error.to_string());
            None
        }
    }
}

/// Takes in the upstreams of `config.json`.
pub(super) fn named(config: &DaemonConfig, ctx: &mut Context<'_>) {
    let entries = config.upstreams.iter().flat_map(|upstreams| &upstreams.entries);
    for (name, upstream) in entries {
        if let Some(balance) = &upstream.balance
            && balance.value != Balance::RoundRobin
        {
            ctx.not_available(balance.span, "choose servers other than by `round_robin`");
        }
        let servers = upstream.servers.items().iter().map(server);
        let servers = servers.collect();
        ctx.upstreams.add(name.value.as_str().into(), servers);
    }
}

/// The upstream that a `forward` names or spells out.
pub(super) fn of<'w>(to: &'w [Spanned<ForwardTo>], ctx: &mut Context<'w>) -> Option<UpstreamId> {
    if let [Spanned { value: ForwardTo::Upstream(name), span }] = to {
        return known(name, *span, ctx);
    }
    let urls = every(to.iter().map(|each| url(each, ctx)))?;
    if let Some(&id) = ctx.upstreams.by_urls.get(&urls) {
        return Some(id);
    }
    let name = urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let servers = urls.iter().map(|&url| Server { url: url.clone(), weight: 1 }).collect();
    let id = ctx.upstreams.add(name.into(), servers);
    ctx.upstreams.by_urls.insert(urls, id);
    Some(id)
}

fn server(server: &Spanned<daemon::Server>) -> Server {
    let url = &server.value.url;
    let weight = server.value.weight.as_ref().map_or(1, |weight| weight.value.get());
    Server { url: url.value.clone(), weight: u16::try_from(weight).unwrap_or(u16::MAX) }
}

fn known(name: &UpstreamName, span: Span, ctx: &mut Context<'_>) -> Option<UpstreamId> {
    if let Some(&id) = ctx.upstreams.by_name.get(name.as_str()) {
        return Some(id);
    }
    if ctx.incomplete {
        return None;
    }
    let names = ctx.upstreams.all.iter().map(|upstream| &*upstream.name);
    let names = names.filter(|name| !name.contains(':'));
    let meant = ctx.nearest(name.as_str(), names).map(str::to_owned);
    let error = ctx.error(Code::UnknownUpstream, span, "no upstream has this name");
    if let Some(meant) = meant {
        error.label(format!("did you mean `{meant}`?"));
    }
    error.help("upstreams are named under `upstreams` in `config.json`; a server is written as a URL, such as `http://127.0.0.1:8080`");
    None
}

fn url<'w>(to: &'w Spanned<ForwardTo>, ctx: &mut Context<'_>) -> Option<&'w UpstreamUrl> {
    match &to.value {
        ForwardTo::Url(url) => Some(url),
        ForwardTo::Upstream(_) => {
            ctx.error(Code::BadValue, to.span, "a list has the URLs of servers only")
                .label("this is the name of an upstream")
                .help("forward to one upstream by its name alone, or write all servers as URLs");
            None
        }
    }
}
