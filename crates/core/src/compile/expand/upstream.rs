//! Upstreams: those of `config.json` and those that rules name by URL.

use crate::table::Table;

use crate::compile::expand::Context;
use crate::config::DaemonConfig;
use crate::config::action::ForwardTo;
use crate::config::daemon;
use crate::config::daemon::Balance;
use crate::diagnostic::code::Code;
use crate::diagnostic::every;
use crate::rules::upstream::{Server, Upstream, UpstreamId};
use crate::source::{Span, Spanned};
use crate::value::name::UpstreamName;
use crate::value::url::{Scheme, UpstreamUrl};

/// The upstreams so far, with the ids of their names.
#[derive(Debug, Default)]
pub(super) struct Upstreams<'w> {
    pub(super) all: Vec<Upstream>,
    by_name: Table<Box<str>, UpstreamId>,
    /// Those that rules spell out, so that a name is put together once and not for each rule.
    by_urls: Table<Vec<&'w UpstreamUrl>, UpstreamId>,
}

impl Upstreams<'_> {
    /// Servers named alike are one upstream.
    fn add(&mut self, name: Box<str>, servers: Vec<Server>) -> UpstreamId {
        let next = u32::try_from(self.all.len()).expect("fewer than 2^32 upstreams");
        *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.all.push(Upstream { name, servers });
            UpstreamId(next)
        })
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
        let servers = upstream.servers.items().iter().map(|server| self::server(server, ctx));
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

fn server(server: &Spanned<daemon::Server>, ctx: &mut Context<'_>) -> Server {
    let url = &server.value.url;
    spoken(&url.value, url.span, ctx);
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
        ForwardTo::Url(url) => spoken(url, to.span, ctx).then_some(url),
        ForwardTo::Upstream(_) => {
            ctx.error(Code::BadValue, to.span, "a list has the URLs of servers only")
                .label("this is the name of an upstream")
                .help("forward to one upstream by its name alone, or write all servers as URLs");
            None
        }
    }
}

fn spoken(url: &UpstreamUrl, span: Span, ctx: &mut Context<'_>) -> bool {
    if url.scheme == Scheme::Https {
        ctx.not_available(span, "speak TLS to servers")
            .help("use `http://` or `h2c://` where the way to the server is private");
        return false;
    }
    true
}
