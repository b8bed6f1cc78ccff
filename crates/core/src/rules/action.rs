//! What ends a walk.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::rules::upstream::UpstreamId;
use crate::value::endpoint::Endpoint;
use crate::value::field::Layer;
use crate::value::template::Template;

/// Ends the walk of a connection or a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sends the request to an upstream and its answer back.
    Forward(Forward),
    /// Answers from here.
    Respond(Respond),
    /// Answers with another place to go to.
    Redirect(Redirect),
    /// Copies bytes between the client and a target.
    Tunnel(Tunnel),
    /// Closes the connection without an answer.
    Close,
}

impl Action {
    /// The layer an action acts on: `Request` for those that need one, else `Connection`.
    pub fn layer(&self) -> Layer {
        match self {
            Self::Forward(_) | Self::Respond(_) | Self::Redirect(_) => Layer::Request,
            Self::Tunnel(_) | Self::Close => Layer::Connection,
        }
    }
}

/// Sends the request to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Where to.
    pub upstream: UpstreamId,
    /// What the upstream is told as host.
    pub host: ForwardedHost,
    /// How long each part may take.
    pub timeouts: ForwardTimeouts,
    /// The HTTP version to speak.
    pub version: ForwardVersion,
}

/// What the `Host` (or `:authority`) of a forwarded request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardedHost {
    /// As the client sent it.
    Preserve,
    /// Host and port of the server it goes to.
    Upstream,
    /// The value of a template.
    Template(Template),
}

/// Bounds on the parts of a forwarded exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardTimeouts {
    /// Until the connection stands; 5 s unless written.
    pub connect: Duration,
    /// From the request's last byte to the head of the answer; 60 s unless written.
    pub response: Duration,
    /// Between two pieces of a body or of an upgraded stream; 60 s unless written.
    pub idle: Duration,
}

impl Default for ForwardTimeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: Duration::from_secs(5), response: minute, idle: minute }
    }
}

/// The HTTP version spoken to an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardVersion {
    /// What the scheme says: HTTP/1.1 for `http` and `unix`, HTTP/2 for `h2c`, what the server
    /// agrees to for `https`.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in clear by prior knowledge.
    Http2,
}

/// Answers from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// 200 unless written; never 1xx.
    pub status: StatusCode,
    /// In the order written.
    pub headers: Vec<(HeaderName, Template)>,
    /// What follows the head.
    pub body: RespondBody,
}

/// The body of a [`Respond`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RespondBody {
    /// The value of a template; an empty template is no body.
    Template(Template),
    /// The content of a file, read when the graph is prepared.
    File(Box<str>),
}

/// Answers with another place to go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The value of `Location`.
    pub to: Template,
    /// One of 301, 302, 303, 307, 308; 308 unless written.
    pub status: StatusCode,
}

/// Copies bytes between the client and a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// Where to.
    pub to: Endpoint,
    /// Until the connection stands; 5 s unless written.
    pub connect_timeout: Duration,
    /// Without a byte in either direction; 1 h unless written.
    pub idle_timeout: Duration,
}
