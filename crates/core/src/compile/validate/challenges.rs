//! Whether a certificate authority can reach what proves a name.

use crate::compile::analyze::Group;
use crate::compile::analyze::challenges::{by_http, holds};
use crate::compile::expand::Expanded;
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;

/// `http-01` needs HTTP in clear on its port: a listener that has the port for something else
/// leaves no room for it.
pub(super) fn check(
    expanded: &Expanded,
    groups: &[Group<'_>],
    port: u16,
    diagnostics: &mut Diagnostics,
) {
    let on_port: Vec<_> = groups.iter().filter(|group| holds(group, port)).collect();
    let answers = |group: &&Group<'_>| group.tls.is_none() && !group.http.is_empty();
    if on_port.is_empty() || on_port.iter().any(answers) {
        return;
    }
    let socket = on_port[0].sockets.iter().find(|socket| socket.address.port() == port);
    let rules = expanded.set.rules.iter().zip(&expanded.notes);
    let by_http = rules.filter(|(rule, _)| {
        let certificate = rule.tls.as_ref().map(|tls| tls.serving.certificate.0 as usize);
        certificate.is_some_and(|at| by_http(&expanded.set.certificates[at]))
    });
    if let Some((span, socket)) = by_http.filter_map(|(_, note)| note.tls).next().zip(socket) {
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
