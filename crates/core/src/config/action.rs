//! Actions: what ends the walk of a rule.

use serde_json::json;

use http::HeaderName;

use crate::{
    diagnostic::code::Code,
    json::Value,
    shape::{Decoder, Integer, List, Map, OneOrMany, Origin, SchemaDefs, Shape, keyword, object},
    source::Spanned,
    value::{
        endpoint::Endpoint,
        file_path::FilePath,
        name::{Name, UpstreamName},
        template::Template,
        units::{ByteSize, Duration},
        url::UpstreamUrl,
    },
};

object! {
    /// Proxies requests to servers.
    pub struct Forward short "to" {
        /// URLs (`http`, `https`, `h2c`, `unix`), or the name of an upstream in `config.json`.
        required "to" to: OneOrMany<Spanned<ForwardTo>>,
        /// The `Host` that servers see: `preserve` (default) that of the request, `upstream` that
        /// of the URL, or a template.
        optional "host" host: Spanned<ForwardHost>,
        /// How long to wait.
        optional "timeout" timeout: ForwardTimeout,
        /// When to try again.
        optional "retry" retry: Spanned<Retry>,
        /// How servers are verified, and with what we present ourselves.
        optional "tls" tls: Spanned<UpstreamTls>,
        /// The version of HTTP that is spoken to servers. Default: `auto`.
        optional "version" version: Spanned<HttpVersion>,
    }
}

/// One target of `forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardTo {
    /// A server.
    Url(UpstreamUrl),
    /// The name of an upstream, which may or may not exist.
    Upstream(UpstreamName),
}

impl Shape for ForwardTo {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let text = ctx.text(value, "the URL of a server or the name of an upstream")?;
        if text.origin == Origin::Unset || UpstreamUrl::looks_like(&text.text) {
            text.parse(value, ctx).map(Self::Url)
        } else {
            text.parse(value, ctx).map(Self::Upstream)
        }
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        json!({ "anyOf": [UpstreamUrl::schema(defs), Name::schema(defs)] })
    }
}

/// What servers see as `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardHost {
    /// What the client sent.
    Preserve,
    /// The authority of the URL.
    Upstream,
    /// Something else.
    Template(Template),
}

impl Shape for ForwardHost {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let text = ctx.text(value, "`preserve`, `upstream` or a template")?;
        match &*text.text {
            "preserve" => Some(Self::Preserve),
            "upstream" => Some(Self::Upstream),
            _ => text.parse(value, ctx).map(Self::Template),
        }
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        json!({ "anyOf": [{ "enum": ["preserve", "upstream"] }, Template::schema(defs)] })
    }
}

object! {
    /// Time limits of `forward`.
    pub struct ForwardTimeout {
        /// Until a server accepts the connection. Default: 5s.
        optional "connect" connect: Spanned<Duration>,
        /// Until the head of the response arrives. Default: 60s.
        optional "response" response: Spanned<Duration>,
        /// Without a byte in either direction. Default: 60s.
        optional "idle" idle: Spanned<Duration>,
    }
}

object! {
    /// When a request is tried again on another server.
    pub struct Retry {
        /// How often at most, the first attempt included.
        optional "attempts" attempts: Integer<1, 10>,
        /// How long one attempt may take.
        optional "timeout" timeout: Duration,
        /// What counts as a failed attempt.
        optional "on" on: OneOrMany<RetryOn>,
    }
}

keyword! {
    /// A failure after which a request may be tried again.
    pub enum RetryOn {
        /// No connection.
        Connect = "connect",
        /// No response in time.
        Timeout = "timeout",
        /// The server answered 502.
        BadGateway = "502",
        /// The server answered 503.
        Unavailable = "503",
        /// The server answered 504.
        GatewayTimeout = "504",
    }
}

object! {
    /// TLS towards servers.
    pub struct UpstreamTls {
        /// Certificates that are trusted in place of those of the system, PEM.
        optional "ca_file" ca_file: Spanned<FilePath>,
        /// The name that is asked for and verified in place of the host of the URL.
        optional "server_name" server_name: Spanned<String>,
        /// Our own certificate, PEM.
        optional "client_cert_file" client_cert_file: Spanned<FilePath>,
        /// The key of our own certificate, PEM.
        optional "client_key_file" client_key_file: Spanned<FilePath>,
        /// What is verified. Default: `full`.
        optional "verify" verify: Spanned<Verify>,
    }
}

keyword! {
    /// How the certificate of a server is verified.
    pub enum Verify {
        /// Chain, name and dates.
        Full = "full",
        /// Nothing.
        None = "none",
    }
}

keyword! {
    /// The version of HTTP towards servers.
    pub enum HttpVersion {
        /// What the server agrees to.
        Auto = "auto",
        /// HTTP/1.1.
        Http1 = "1.1",
        /// HTTP/2.
        Http2 = "2",
        /// HTTP/3.
        Http3 = "3",
    }
}

object! {
    /// Answers requests.
    pub struct Respond {
        /// Status code. Default: 200.
        optional "status" status: Spanned<Integer<200, 599>>,
        /// Header fields; values are templates.
        optional "headers" headers: Map<HeaderName, Spanned<Template>>,
        /// The body, a template; a literal brace is written twice.
        optional "body" body: Spanned<Template>,
        /// A file that is the body as it is.
        optional "body_file" body_file: Spanned<FilePath>,
    }
}

object! {
    /// Redirects requests.
    pub struct Redirect short "to" {
        /// The target, such as `https://{http.host}{http.uri}`.
        required "to" to: Spanned<Template>,
        /// 301, 302, 303, 307 or 308 (default).
        optional "status" status: Spanned<RedirectStatus>,
    }
}

/// A status that redirects: 301, 302, 303, 307 or 308.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectStatus(u16);

impl RedirectStatus {
    /// The status code.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Shape for RedirectStatus {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let status = Integer::<100, 599>::decode(value, ctx)?.get();
        let known = REDIRECTS.iter().find(|known| i64::from(**known) == status);
        if known.is_none() {
            let message = format!("{status} is not a status that redirects");
            ctx.diagnostics()
                .error(Code::BadValue, value.span, message)
                .help("write 301, 302, 303, 307 or 308; 307 and 308 keep the method");
        }
        known.copied().map(Self)
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        json!({ "enum": REDIRECTS })
    }
}

object! {
    /// Passes bytes or datagrams on, TCP or UDP after the listener.
    pub struct Tunnel short "to" {
        /// `host:port` or `unix:/path`.
        required "to" to: Spanned<Endpoint>,
        /// How long to wait.
        optional "timeout" timeout: TunnelTimeout,
        /// Announces the client to the server by the PROXY protocol.
        optional "proxy_protocol" proxy_protocol: Spanned<ProxyProtocol>,
    }
}

object! {
    /// Time limits of `tunnel`.
    pub struct TunnelTimeout {
        /// Until the server accepts the connection. Default: 5s.
        optional "connect" connect: Spanned<Duration>,
        /// Without a byte in either direction.
        optional "idle" idle: Spanned<Duration>,
    }
}

keyword! {
    /// Versions of the PROXY protocol.
    pub enum ProxyProtocol {
        /// The text form.
        V1 = "v1",
        /// The binary form.
        V2 = "v2",
    }
}

object! {
    /// Serves files.
    pub struct Files short "root" {
        /// The directory.
        required "root" root: Spanned<FilePath>,
        /// Files that stand for a directory, the first that exists. Default: `index.html`.
        optional "index" index: OneOrMany<Spanned<FilePath>>,
        /// Encodings whose ready-made files are served beside the plain ones.
        optional "precompressed" precompressed: List<Encoding>,
        /// Whether directories without index are listed. Default: false.
        optional "listing" listing: Spanned<bool>,
    }
}

keyword! {
    /// Encodings of ready-made files.
    pub enum Encoding {
        /// Brotli, `.br`.
        Brotli = "br",
        /// Zstandard, `.zst`.
        Zstd = "zstd",
        /// Gzip, `.gz`.
        Gzip = "gzip",
    }
}

object! {
    /// Runs a CGI program, RFC 3875.
    pub struct Cgi {
        /// The program.
        required "binary" binary: Spanned<FilePath>,
        /// The part of the path that is the program's own.
        optional "script_name" script_name: Spanned<String>,
        /// Environment variables beside those of CGI.
        optional "env" env: Map<String, Spanned<String>>,
        /// The user that the program runs as.
        optional "user" user: Spanned<String>,
        /// What the program may use.
        optional "limits" limits: CgiLimits,
    }
}

object! {
    /// Limits of a CGI program.
    pub struct CgiLimits {
        /// Time until it must be done.
        optional "time" time: Spanned<Duration>,
        /// Memory that it may have.
        optional "memory" memory: Spanned<ByteSize>,
        /// How many run at once.
        optional "processes" processes: Spanned<Integer<1, 10_000>>,
    }
}

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
