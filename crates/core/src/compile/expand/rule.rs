//! One written rule.

use crate::compile::expand::{
    Context, Expanded, Noted, Notes, action, condition, middleware, site, tls,
};
use crate::config;
use crate::diagnostic::code::Code;
use crate::rules::action::Action;
use crate::rules::condition::{Condition, Test};
use crate::rules::middleware::Middleware;
use crate::rules::{Bind, Conjunction, Rule};
use crate::source::{Span, Spanned};
use crate::value::field::{Field, Layer};
use crate::value::host_pattern::HostPattern;
use crate::value::listen_addr::{ListenAddr, ListenHost, Transport};

/// Adds the rules that a written rule means; none where something is wrong with it.
pub(super) fn expand<'w>(written: &'w config::Rule, into: &mut Expanded, ctx: &mut Context<'w>) {
    match &written.site {
        Some(names) => {
            site::expand(written, names, ctx).into_iter().for_each(|rule| into.add(rule));
        }
        None => ordinary(written, ctx).into_iter().for_each(|rule| into.add(rule)),
    }
}

fn ordinary<'w>(written: &'w config::Rule, ctx: &mut Context<'w>) -> Option<Noted> {
    let binds = listen(written, ctx);
    let parts = parts(written, ctx);
    let (binds, parts) = (binds?, parts?);
    let tls = match &written.tls {
        Some(tls) => Some(tls::expand(tls, &exact_hosts(&parts.alternatives), ctx)?),
        None => None,
    };
    let rule = Rule {
        name: written.name.value.clone(),
        span: written.name.span,
        binds,
        alternatives: parts.alternatives,
        middleware: parts.middleware,
        action: parts.action,
        priority: priority(written),
        max_body: written.max_body.as_ref().map(|size| size.value),
        tls,
    };
    Some((rule, Notes { tls: written.tls.as_ref().map(|tls| tls.key) }))
}

/// What rules with and without preset have in common.
pub(super) struct Parts {
    pub(super) alternatives: Vec<Conjunction>,
    pub(super) middleware: Vec<Middleware>,
    pub(super) action: Action,
}

/// Expands match, middleware and action, and checks that they go together.
pub(super) fn parts<'w>(written: &'w config::Rule, ctx: &mut Context<'w>) -> Option<Parts> {
    let mut deepest = None;
    let alternatives = match &written.predicate {
        Some(predicate) => condition::alternatives(&predicate.value, &mut deepest, ctx),
        None => Some(vec![Conjunction::default()]),
    };
    let middleware = written.middleware.as_ref().map(|list| middleware::expand(&list.items, ctx));
    let action = action::expand(written, ctx);
    let (alternatives, middleware) = (alternatives?, middleware.unwrap_or(Some(Vec::new()))?);
    let (action, key) = action?;
    let parts = Parts { alternatives, middleware, action };
    fits(written, &parts, key, deepest, ctx).then_some(parts)
}

/// The priority, 0 unless written.
pub(super) fn priority(written: &config::Rule) -> i64 {
    written.priority.as_ref().map_or(0, |priority| priority.value.get())
}

fn exact_hosts(alternatives: &[Conjunction]) -> Vec<HostPattern> {
    let conditions = alternatives.iter().flat_map(|all| &all.conditions);
    let patterns = conditions.flat_map(|condition| match condition {
        Condition::Test(predicate) => match (&predicate.field, &predicate.test) {
            (Field::HttpHost | Field::TlsSni, Test::Host(patterns)) => patterns.as_slice(),
            _ => &[],
        },
        _ => &[],
    });
    patterns.filter(|pattern| matches!(pattern, HostPattern::Exact(_))).cloned().collect()
}

fn listen(written: &config::Rule, ctx: &mut Context<'_>) -> Option<Vec<Bind>> {
    let Some(listen) = &written.listen else {
        let message = format!("rule `{}` has no `listen`", written.name.value);
        ctx.error(Code::MissingKey, written.name.span, message)
            .help("write where it listens, such as `\"listen\": \":443\"`, or use `site`");
        return None;
    };
    let addresses = listen.value.items();
    for udp in addresses.iter().filter(|address| address.value.transport == Transport::Udp) {
        ctx.not_available(udp.span, "listen on UDP");
    }
    let served = addresses.iter().all(|address| address.value.transport != Transport::Udp);
    served
        .then(|| addresses.iter().flat_map(|address| binds(address.value, address.span)).collect())
}

/// The sockets that one entry means.
pub(super) fn binds(written: ListenAddr, span: Span) -> impl Iterator<Item = Bind> {
    let expanded = written.host == ListenHost::Both;
    let sockets = written.expand();
    sockets.map(move |(transport, address)| Bind { transport, address, written, expanded, span })
}

/// Refuses what needs a request in a rule that never sees one.
fn fits(
    written: &config::Rule,
    parts: &Parts,
    key: Span,
    deepest: Option<Spanned<Field>>,
    ctx: &mut Context<'_>,
) -> bool {
    let tunnels = matches!(parts.action, Action::Tunnel(_));
    let asks_request = deepest.as_ref().is_some_and(|field| field.value.layer() >= Layer::Request);
    if tunnels && let Some(field) = deepest.filter(|_| asks_request) {
        let message = format!("a tunnel is chosen before `{}` is known", field.value);
        ctx.error(Code::LayerConflict, field.span, message)
            .label("only HTTP requests have this")
            .secondary(key, "a tunnel passes bytes on and sees no request")
            .help("match on the connection or on `tls.sni`, or use `forward`");
        return false;
    }
    let raw = tunnels || (parts.action == Action::Close && !asks_request);
    !raw || no_request_parts(written, key, ctx)
}

fn no_request_parts(written: &config::Rule, key: Span, ctx: &mut Context<'_>) -> bool {
    let middleware = written.middleware.as_ref().and_then(|list| list.items.first());
    let middleware = middleware.map(|first| (first.span, "middleware"));
    let max_body = written.max_body.as_ref().map(|size| (size.span, "`max_body`"));
    let Some((span, what)) = middleware.or(max_body) else { return true };
    ctx.error(
        Code::LayerConflict,
        span,
        format!("{what} works on requests, and this rule has none"),
    )
    .secondary(key, "this acts on whole connections")
    .help("take it away, or use an action that answers requests");
    false
}
