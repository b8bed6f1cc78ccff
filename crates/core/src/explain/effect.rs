//! What a matched rule does, in words, with templates filled in.

use crate::graph::dump::words;
use crate::graph::facts::Facts;
use crate::graph::render::render;
use crate::graph::walk::{self, Step};
use crate::graph::{FlowGraph, NodeId, read};
use crate::rules::action::{Action, Forward, ForwardedHost, Respond, RespondBody};
use crate::rules::middleware::{HeaderEdit, Middleware, RateLimit, Rewrite};
use crate::value::template::Template;

/// The effects of a rule whose first step is `next`, in order.
pub(super) fn of(graph: &FlowGraph, next: NodeId, facts: &Facts<'_>, unix_ms: u64) -> Vec<String> {
    let filler = Filler { graph, facts, unix_ms };
    let words = walk::steps(graph, next).map(|step| match step {
        Step::Middleware(_, middleware) => filler.middleware(middleware),
        Step::Action(_, action) => filler.action(action),
    });
    words.collect()
}

struct Filler<'a> {
    graph: &'a FlowGraph,
    facts: &'a Facts<'a>,
    unix_ms: u64,
}

impl Filler<'_> {
    fn middleware(&self, middleware: &Middleware) -> String {
        match middleware {
            Middleware::RequestHeaders(edit) => format!("request_headers {}", self.edit(edit)),
            Middleware::ResponseHeaders(edit) => format!("response_headers {}", self.edit(edit)),
            Middleware::Rewrite(Rewrite::Path(path)) => format!("rewrite path {}", self.fill(path)),
            Middleware::Rewrite(_) => words::middleware(middleware),
            Middleware::RateLimit(limit) => self.rate_limit(limit),
        }
    }

    fn edit(&self, edit: &HeaderEdit) -> String {
        let removed = edit.remove.iter().map(|name| format!("remove {name}"));
        let set = edit.set.iter().map(|(name, value)| format!("set {name}: {}", self.fill(value)));
        let added =
            edit.add.iter().map(|(name, value)| format!("add {name}: {}", self.fill(value)));
        removed.chain(set).chain(added).collect::<Vec<_>>().join(", ")
    }

    fn rate_limit(&self, limit: &RateLimit) -> String {
        let value = |field| read::text(field, self.facts).unwrap_or_default();
        let bucket =
            limit.per.iter().map(|field| format!("{field} {}", words::quoted(&value(field))));
        let bucket = bucket.collect::<Vec<_>>().join(" and ");
        let (rate, burst, status) = (limit.rate, limit.burst, limit.status.as_u16());
        format!("rate_limit {rate}, burst {burst}, else {status}; counted for {bucket}")
    }

    fn action(&self, action: &Action) -> String {
        match action {
            Action::Forward(forward) => self.forward(forward),
            Action::Respond(respond) => self.respond(respond),
            Action::Redirect(redirect) => {
                format!("redirect {} to {}", redirect.status.as_u16(), self.fill(&redirect.to))
            }
            Action::Tunnel(_) | Action::Close => words::action(action, self.graph),
        }
    }

    fn forward(&self, forward: &Forward) -> String {
        let upstream = self.graph.upstream(forward.upstream);
        let servers: Vec<_> =
            upstream.servers.iter().map(|server| server.url.to_string()).collect();
        let host = match &forward.host {
            ForwardedHost::Preserve => {
                self.facts.request.as_ref().map(|request| request.host.to_owned())
            }
            ForwardedHost::Upstream => Some("that of the server".to_owned()),
            ForwardedHost::Template(template) => Some(self.fill(template)),
        };
        let host = host.map(|host| format!(", host {host}")).unwrap_or_default();
        format!("forward to {}{host}", servers.join(" or "))
    }

    fn respond(&self, respond: &Respond) -> String {
        let headers = respond.headers.iter();
        let headers = headers.map(|(name, value)| format!(", {name}: {}", self.fill(value)));
        let headers: String = headers.collect();
        let body = match &respond.body {
            RespondBody::Template(template) if template.segments().is_empty() => String::new(),
            RespondBody::Template(template) => {
                format!(", body {:?}", shortened(&self.fill(template)))
            }
            RespondBody::File(path) => format!(", body from {path}"),
        };
        format!("respond {}{headers}{body}", respond.status.as_u16())
    }

    fn fill(&self, template: &Template) -> String {
        render(template, self.facts, || self.unix_ms)
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// How many characters of a body are shown.
const LONGEST: usize = 200;
