//! The `site` preset: HTTPS with a managed certificate for some names, and a redirect to it.
//!
//! `{ "name": N, "site": HOSTS, … }` means two rules. `N` listens on `:443`, terminates TLS and
//! matches these hosts; `use`, `max_body` and the action are its own, `match` narrows it further,
//! `priority` holds for both, and `tls` replaces the managed certificate or its settings.
//! `N-redirect` listens on `:80` and sends every request for these hosts to `https` with 308.
//! `listen` and `tunnel` have no place beside `site`, and neither has a `close` that asks nothing
//! of requests: the preset is about requests.

use http::StatusCode;

use crate::compile::expand::rule::{Parts, binds, parts, priority};
use crate::compile::expand::{Context, Noted, Notes, tls};
use crate::config;
use crate::diagnostic::code::Code;
use crate::rules::action::{Action, Redirect};
use crate::rules::condition::{Condition, Predicate, Test};
use crate::rules::{Bind, Conjunction, Rule};
use crate::shape::{Keyed, OneOrMany};
use crate::source::Spanned;
use crate::value::field::Field;
use crate::value::host_pattern::HostPattern;
use crate::value::listen_addr::{ListenAddr, ListenHost, Transport};
use crate::value::name::{NameError, RuleName};
use crate::value::template::{Segment, Template};

/// The names of a preset.
type Names = Keyed<OneOrMany<Spanned<HostPattern>>>;

/// The two rules that a preset means; none where something is wrong with it.
pub(super) fn expand<'w>(
    written: &'w config::Rule,
    names: &Names,
    ctx: &mut Context<'w>,
) -> Vec<Noted> {
    let fits = fits(written, names, ctx);
    let parts = parts(written, ctx);
    let redirect_name = redirect_name(&written.name.value);
    if let Err(error) = &redirect_name {
        ctx.error(Code::BadName, written.name.span, format!("{error} with `-redirect` behind it"))
            .help("a `site` makes two rules, and this one names both; shorten it");
    }
    match (fits, parts, redirect_name) {
        (true, Some(parts), Ok(redirect_name)) => {
            let hosts: Vec<_> = names.value.items().iter().map(|name| name.value.clone()).collect();
            let secure = secure(written, names, &hosts, parts, ctx);
            secure.into_iter().chain([redirect(written, names, &hosts, redirect_name)]).collect()
        }
        _ => Vec::new(),
    }
}

/// The name of the second rule.
///
/// # Errors
/// When it is too long.
pub(crate) fn redirect_name(name: &RuleName) -> Result<RuleName, NameError> {
    RuleName::parse(&format!("{name}-redirect"))
}

fn fits(written: &config::Rule, names: &Names, ctx: &mut Context<'_>) -> bool {
    if let Some(listen) = &written.listen {
        ctx.error(Code::BadValue, listen.key, "a rule with `site` has no `listen`")
            .secondary(names.key, "this listens on `:443` and `:80`")
            .help("take `listen` away, or write `match` and `tls` in place of `site`");
        return false;
    }
    let raw = written.tunnel.as_ref().map(|tunnel| tunnel.key);
    let closes = written.close.as_ref().map(|close| close.key);
    let Some(key) = raw.or(closes) else { return true };
    ctx.error(Code::LayerConflict, key, "a rule with `site` answers requests")
        .secondary(names.key, "this serves HTTPS")
        .help("use another action, or write `listen` and `match` in place of `site`");
    false
}

fn secure(
    written: &config::Rule,
    names: &Names,
    hosts: &[HostPattern],
    parts: Parts,
    ctx: &mut Context<'_>,
) -> Option<Noted> {
    let tls = match &written.tls {
        Some(tls) => tls::expand(tls, hosts, ctx)?,
        None => tls::managed(names.key, hosts, ctx)?,
    };
    let rule = Rule {
        name: written.name.value.clone(),
        span: written.name.span,
        binds: both(443, names),
        alternatives: parts.alternatives.into_iter().map(|all| narrow(all, hosts)).collect(),
        middleware: parts.middleware,
        action: parts.action,
        priority: priority(written),
        max_body: written.max_body.as_ref().map(|size| size.value),
        tls: Some(tls),
    };
    let key = written.tls.as_ref().map_or(names.key, |tls| tls.key);
    Some((rule, Notes { tls: Some(key) }))
}

fn redirect(written: &config::Rule, names: &Names, hosts: &[HostPattern], name: RuleName) -> Noted {
    let to = [
        Segment::Literal("https://".into()),
        Segment::Field(Field::HttpHost),
        Segment::Field(Field::HttpUri),
    ];
    let to = Template::from_iter(to);
    let rule = Rule {
        name,
        span: written.name.span,
        binds: both(80, names),
        alternatives: vec![narrow(Conjunction::default(), hosts)],
        middleware: Vec::new(),
        action: Action::Redirect(Redirect { to, status: StatusCode::PERMANENT_REDIRECT }),
        priority: priority(written),
        max_body: None,
        tls: None,
    };
    (rule, Notes::default())
}

fn narrow(mut all: Conjunction, hosts: &[HostPattern]) -> Conjunction {
    let test = Test::Host(hosts.to_vec());
    all.conditions.insert(0, Condition::Test(Predicate { field: Field::HttpHost, test }));
    all
}

fn both(port: u16, names: &Names) -> Vec<Bind> {
    let address = ListenAddr { transport: Transport::Tcp, host: ListenHost::Both, port };
    binds(address, names.span).collect()
}
