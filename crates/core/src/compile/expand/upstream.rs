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

/// The upstreams so far.
#[derive(Debug, Default)]
pub(super) struct Upstreams<'w> {
    /// Those that a rule uses, each with the place of its servers in `sets`.
    used: Vec<(usize, Upstream)>,
    sets: Vec<Set>,
    by_name: Table<Box<str>, usize>,
    /// Those that rules spell out, so that a name is put together once and not for each rule.
    by_urls: Table<Vec<&'w UpstreamUrl>, usize>,
    by_terms: HashMap<(usize, UpstreamTls), UpstreamId>,
}

/// Servers under a name, spoken to on whatever terms.
#[derive(Debug)]
struct Set {
    name: Box<str>,
    servers: Vec<Server>,
    /// The upstream that they are where a rule says nothing of TLS.
    plain: Option<UpstreamId>,
}

impl Upstreams<'_> {
    /// Servers named alike are one set.
    fn add(&mut self, name: Box<str>, servers: Vec<Server>) -> usize {
        let next = self.sets.len();
        *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.sets.push(Set { name, servers, plain: None });
            next
        })
    }

    /// The upstream that the servers of a set are on these terms.
    fn on(&mut self, set: usize, terms: Option<UpstreamTls>) -> UpstreamId {
        let next = u32::try_from(self.used.len()).expect("fewer than 2^32 upstreams");
        let Set { name, servers, plain } = &mut self.sets[set];
        let id = match &terms {
            None => plain.get_or_insert(UpstreamId(next)),
            Some(terms) => self.by_terms.entry((set, terms.clone())).or_insert(UpstreamId(next)),
        };
        if id.0 == next {
            let (name, servers) = (name.clone(), servers.clone());
            self.used.push((set, Upstream { name, servers, tls: terms.unwrap_or_default() }));
        }
        *id
    }

    /// Those that are used. Of several with the same servers the one on usual terms has their name,
    /// or the first; the others are numbered behind it.
    pub(super) fn named_apart(self) -> Vec<Upstream> {
        let mut named = vec![0_usize; self.sets.len()];
        for (set, count) in self.sets.iter().zip(&mut named) {
            *count = usize::from(set.plain.is_some());
        }
        let name = |(id, (set, mut upstream)): (usize, (usize, Upstream))| {
            if self.sets[set].plain.is_none_or(|plain| plain.0 as usize != id) {
                named[set] += 1;
                if named[set] > 1 {
                    upstream.name = format!("{}#{}", upstream.name, named[set]).into();
                }
            }
            upstream
        };
        self.used.into_iter().enumerate().map(name).collect()
    }
}

/// The upstream that a `forward` names or spells out, spoken to as its `tls` says.
pub(super) fn of<'w>(
    to: &'w [Spanned<ForwardTo>],
    tls: Option<&Spanned<written::UpstreamTls>>,
    ctx: &mut Context<'w>,
) -> Option<UpstreamId> {
    let set = set(to, ctx);
    let terms = match tls {
        None => None,
        Some(tls) => {
            let expanded = terms(&tls.value, ctx);
            let in_clear = |server: &Server| server.url.scheme != Scheme::Https;
            if set.is_some_and(|set| ctx.upstreams.sets[set].servers.iter().all(in_clear)) {
                ctx.error(Code::BadValue, tls.span, "none of these servers speaks TLS")
                    .help("write `https://` in front of those that do, or take `tls` away");
                return None;
            }
            // What is as usual is the same upstream whether or not it is written.
            Some(expanded?).filter(|terms| *terms != UpstreamTls::default())
        }
    };
    Some(ctx.upstreams.on(set?, terms))
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

fn set<'w>(to: &'w [Spanned<ForwardTo>], ctx: &mut Context<'w>) -> Option<usize> {
    if let [Spanned { value: ForwardTo::Upstream(name), span }] = to {
        return known(name, *span, ctx);
    }
    let urls = every(to.iter().map(|each| url(each, ctx)))?;
    if let Some(&set) = ctx.upstreams.by_urls.get(&urls) {
        return Some(set);
    }
    let name = urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let servers = urls.iter().map(|&url| Server { url: url.clone(), weight: 1 }).collect();
    let set = ctx.upstreams.add(name.into(), servers);
    ctx.upstreams.by_urls.insert(urls, set);
    Some(set)
}

fn server(server: &Spanned<daemon::Server>) -> Server {
    let url = &server.value.url;
    let weight = server.value.weight.as_ref().map_or(1, |weight| weight.value.get());
    Server { url: url.value.clone(), weight: u16::try_from(weight).unwrap_or(u16::MAX) }
}

fn known(name: &UpstreamName, span: Span, ctx: &mut Context<'_>) -> Option<usize> {
    if let Some(&set) = ctx.upstreams.by_name.get(name.as_str()) {
        return Some(set);
    }
    if ctx.incomplete {
        return None;
    }
    let names = ctx.upstreams.sets.iter().map(|set| &*set.name);
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
