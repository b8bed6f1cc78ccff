//! Actions.

use std::time::Duration;

use http::StatusCode;

use crate::compile::expand::{Context, template, upstream};
use crate::config;
use crate::config::action as written;
use crate::diagnostic::code::Code;
use crate::diagnostic::every;
use crate::rules::action::{
    Action, Forward, ForwardTimeouts, ForwardVersion, ForwardedHost, Redirect, Respond,
    RespondBody, Tunnel,
};
use crate::source::{Span, Spanned};
use crate::value::template::Template;
use crate::value::units;

/// The one action of a rule, and where its key stands.
pub(super) fn expand<'w>(rule: &'w config::Rule, ctx: &mut Context<'w>) -> Option<(Action, Span)> {
    let key = only_key(rule, ctx)?;
    let action = if let Some(forward) = &rule.forward {
        self::forward(&forward.value, ctx).map(Action::Forward)
    } else if let Some(respond) = &rule.respond {
        self::respond(&respond.value, ctx).map(Action::Respond)
    } else if let Some(redirect) = &rule.redirect {
        self::redirect(&redirect.value, ctx).map(Action::Redirect)
    } else if let Some(tunnel) = &rule.tunnel {
        self::tunnel(&tunnel.value, ctx).map(Action::Tunnel)
    } else if rule.close.is_some() {
        Some(Action::Close)
    } else {
        let what = if rule.files.is_some() { "serve files" } else { "run CGI programs" };
        ctx.not_available(key, what);
        None
    };
    action.map(|action| (action, key))
}

fn only_key(rule: &config::Rule, ctx: &mut Context<'_>) -> Option<Span> {
    let keys = keys(rule);
    let name = &rule.name.value;
    match keys.as_slice() {
        [] => {
            ctx.error(Code::NoAction, rule.name.span, format!("rule `{name}` has no action"))
                .label("what should it do?")
                .help("add one of `forward`, `respond`, `redirect`, `tunnel` and `close`");
            None
        }
        [(_, key)] => Some(*key),
        [(first, at), (second, again), ..] => {
            let message = format!("rule `{name}` has two actions, `{first}` and `{second}`");
            ctx.error(Code::TwoActions, *again, message)
                .label("the second one")
                .secondary(*at, "the first one")
                .help(
                    "a rule does one thing; keep one, or make a second rule with its own `match`",
                );
            None
        }
    }
}

/// The actions that are written, in the order in which they stand.
fn keys(rule: &config::Rule) -> Vec<(&'static str, Span)> {
    let mut keys: Vec<_> = [
        ("forward", rule.forward.as_ref().map(|action| action.key)),
        ("respond", rule.respond.as_ref().map(|action| action.key)),
        ("redirect", rule.redirect.as_ref().map(|action| action.key)),
        ("files", rule.files.as_ref().map(|action| action.key)),
        ("tunnel", rule.tunnel.as_ref().map(|action| action.key)),
        ("cgi", rule.cgi.as_ref().map(|action| action.key)),
        ("close", rule.close.as_ref().map(|action| action.key)),
    ]
    .into_iter()
    .filter_map(|(name, key)| Some((name, key?)))
    .collect();
    keys.sort_by_key(|(_, key)| key.start);
    keys
}

fn forward<'w>(forward: &'w written::Forward, ctx: &mut Context<'w>) -> Option<Forward> {
    let upstream = upstream::of(forward.to.items(), forward.tls.as_ref(), ctx);
    let host = forwarded_host(forward.host.as_ref(), ctx);
    let version = version(forward.version.as_ref(), ctx);
    let served = served(forward, ctx);
    let defaults = ForwardTimeouts::default();
    let timeouts = forward.timeout.as_ref().map_or(defaults, |written| ForwardTimeouts {
        connect: time(written.connect.as_ref(), defaults.connect),
        response: time(written.response.as_ref(), defaults.response),
        idle: time(written.idle.as_ref(), defaults.idle),
    });
    let forward = Forward { upstream: upstream?, host: host?, timeouts, version: version? };
    served.then_some(forward)
}

fn served(forward: &written::Forward, ctx: &mut Context<'_>) -> bool {
    if let Some(retry) = &forward.retry {
        ctx.not_available(retry.span, "try requests again on another server");
    }
    forward.retry.is_none()
}

fn forwarded_host(
    host: Option<&Spanned<written::ForwardHost>>,
    ctx: &mut Context<'_>,
) -> Option<ForwardedHost> {
    match host.map(|host| (&host.value, host.span)) {
        None | Some((written::ForwardHost::Preserve, _)) => Some(ForwardedHost::Preserve),
        Some((written::ForwardHost::Upstream, _)) => Some(ForwardedHost::Upstream),
        Some((written::ForwardHost::Template(host), span)) => {
            let host = Spanned::new(host.clone(), span);
            template::available(&host, ctx).map(ForwardedHost::Template)
        }
    }
}

fn version(
    version: Option<&Spanned<written::HttpVersion>>,
    ctx: &mut Context<'_>,
) -> Option<ForwardVersion> {
    match version.map(|version| (version.value, version.span)) {
        None | Some((written::HttpVersion::Auto, _)) => Some(ForwardVersion::Auto),
        Some((written::HttpVersion::Http1, _)) => Some(ForwardVersion::Http1),
        Some((written::HttpVersion::Http2, _)) => Some(ForwardVersion::Http2),
        Some((written::HttpVersion::Http3, span)) => {
            ctx.not_available(span, "speak HTTP/3 to servers");
            None
        }
    }
}

fn respond(respond: &written::Respond, ctx: &mut Context<'_>) -> Option<Respond> {
    let status = respond.status.as_ref();
    let status = status.and_then(|status| u16::try_from(status.value.get()).ok());
    let status = status_code(status, StatusCode::OK);
    let headers = respond.headers.iter().flat_map(|map| &map.entries);
    let headers = every(headers.map(|(name, value)| template::header(name, value, ctx)));
    let body = body(respond, status, ctx);
    Some(Respond { status, headers: headers?, body: body? })
}

fn body(
    respond: &written::Respond,
    status: StatusCode,
    ctx: &mut Context<'_>,
) -> Option<RespondBody> {
    let span = respond.body.as_ref().map(|body| body.span);
    let span = span.or(respond.body_file.as_ref().map(|file| file.span));
    let bodyless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(span) = span.filter(|_| bodyless) {
        let message = format!("an answer with status {} has no body", status.as_u16());
        ctx.error(Code::BadValue, span, message).help("take the body away, or use another status");
        return None;
    }
    match (&respond.body, &respond.body_file) {
        (Some(body), Some(file)) => {
            ctx.error(Code::BadValue, file.span, "an answer has one body")
                .secondary(body.span, "this is one already")
                .help("keep one of `body` and `body_file`");
            None
        }
        (Some(body), None) => template::available(body, ctx).map(RespondBody::Template),
        (None, Some(file)) => Some(RespondBody::File(file.value.as_str().into())),
        (None, None) => Some(RespondBody::Template(Template::default())),
    }
}

fn redirect(redirect: &written::Redirect, ctx: &mut Context<'_>) -> Option<Redirect> {
    if redirect.to.value.segments().is_empty() {
        ctx.error(Code::BadValue, redirect.to.span, "a redirect leads somewhere")
            .help("write the target, such as `https://{http.host}{http.uri}`");
        return None;
    }
    let to = template::available(&redirect.to, ctx)?;
    let status = redirect.status.as_ref().map(|status| status.value.get());
    Some(Redirect { to, status: status_code(status, StatusCode::PERMANENT_REDIRECT) })
}

fn status_code(written: Option<u16>, default: StatusCode) -> StatusCode {
    written.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(default)
}

fn tunnel(tunnel: &written::Tunnel, ctx: &mut Context<'_>) -> Option<Tunnel> {
    if let Some(protocol) = &tunnel.proxy_protocol {
        ctx.not_available(protocol.span, "speak the PROXY protocol");
        return None;
    }
    let timeout = tunnel.timeout.as_ref();
    let connect = timeout.and_then(|timeout| timeout.connect.as_ref());
    let idle = timeout.and_then(|timeout| timeout.idle.as_ref());
    Some(Tunnel {
        to: tunnel.to.value.clone(),
        connect_timeout: time(connect, Duration::from_secs(5)),
        idle_timeout: time(idle, Duration::from_secs(3600)),
    })
}

fn time(written: Option<&Spanned<units::Duration>>, default: Duration) -> Duration {
    written.map_or(default, |written| written.value.as_std())
}
