//! Whether a certificate authority can reach what proves a name.

use crate::compile::analyze::challenges::{by_http, holds};
use crate::compile::analyze::{Group, Socket};
use crate::compile::expand::Expanded;
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::rules::Rule;
use crate::source::Span;

/// `http-01` needs HTTP in clear on its port: a listener that has the port for something else
/// leaves no room for it, and one that only this machine reaches is not found by an authority.
pub(super) fn check(
    expanded: &Expanded,
    groups: &[Group<'_>],
    port: u16,
    diagnostics: &mut Diagnostics,
) {
    let on_port: Vec<_> = groups.iter().filter(|group| holds(group, port)).collect();
    let answers = |group: &&&Group<'_>| group.tls.is_none() && !group.http.is_empty();
    let answering: Vec<_> = on_port.iter().filter(answers).copied().collect();
    match (on_port.first(), answering.first()) {
        (Some(first), None) => taken(expanded, socket_on(first, port), port, diagnostics),
        (_, Some(first)) if answering.iter().all(|group| is_local(group, port)) => {
            unreachable(expanded, socket_on(first, port), port, diagnostics);
        }
        _ => {}
    }
}

fn taken(
    expanded: &Expanded,
    socket: Option<Socket<'_>>,
    port: u16,
    diagnostics: &mut Diagnostics,
) {
    if let Some(((_, span), socket)) = proven_by_http(expanded).next().zip(socket) {
        diagnostics
            .error(
                Code::ChallengeUnfit,
                span,
                format!("`http-01` cannot be answered on port {port}"),
            )
            .label("this certificate is proven by `http-01`")
            .secondary(socket.bind.span, "this listener has the port, and serves no HTTP in clear")
            .help("use `\"challenge\": \"tls-alpn-01\"` or `\"dns-01\"`, or move that listener");
    }
}

/// A site that is served to this machine alone may have an authority there as well.
fn unreachable(
    expanded: &Expanded,
    socket: Option<Socket<'_>>,
    port: u16,
    diagnostics: &mut Diagnostics,
) {
    let is_public = |rule: &Rule| rule.binds.iter().any(|bind| !bind.address.ip().is_loopback());
    let mut public = proven_by_http(expanded).filter(|(rule, _)| is_public(rule));
    if let Some(((_, span), socket)) = public.next().zip(socket) {
        diagnostics
            .warning(
                Code::ChallengeUnfit,
                span,
                format!("only this machine reaches port {port}, where `http-01` is answered"),
            )
            .label("this certificate is proven by `http-01`")
            .secondary(socket.bind.span, "this listener has the port, on a loopback address")
            .help(format!("let that listener be on `:{port}`, move it to another port, or use `\"challenge\": \"tls-alpn-01\"` or `\"dns-01\"`"));
    }
}

fn proven_by_http(expanded: &Expanded) -> impl Iterator<Item = (&Rule, Span)> {
    let rules = expanded.set.rules.iter().zip(&expanded.notes);
    rules.filter_map(|(rule, note)| {
        let certificate = rule.tls.as_ref()?.serving.certificate.0 as usize;
        by_http(&expanded.set.certificates[certificate]).then_some((rule, note.tls?))
    })
}

fn is_local(group: &Group<'_>, port: u16) -> bool {
    let mut on_port = group.sockets.iter().filter(|socket| socket.address.port() == port);
    on_port.all(|socket| socket.address.ip().is_loopback())
}

fn socket_on<'r>(group: &Group<'r>, port: u16) -> Option<Socket<'r>> {
    group.sockets.iter().find(|socket| socket.address.port() == port).copied()
}
