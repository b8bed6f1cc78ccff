//! URLs of upstream servers.

use std::fmt;

use super::{
    Explain,
    endpoint::{Endpoint, EndpointError, split_port, unix_path},
};

/// A server that speaks HTTP, without path, query or credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamUrl {
    /// What is spoken.
    pub scheme: Scheme,
    /// Where to connect.
    pub endpoint: Endpoint,
}

/// What is spoken to an upstream server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in clear; also what a Unix socket is spoken to with.
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 in clear by prior knowledge.
    H2c,
}

impl Scheme {
    /// The name in front of `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    /// The port that the scheme implies.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

impl UpstreamUrl {
    /// Parses `http://host[:port]`, `https://host[:port]`, `h2c://host[:port]` or `unix:/path`,
    /// with at most a single `/` behind the first three. Default ports are 80, 443 and 80.
    ///
    /// # Errors
    /// Names the part that the URL of a server does not have.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = unix_path(path).map_err(UrlError::Endpoint)?;
            return Ok(Self { scheme: Scheme::Http, endpoint: Endpoint::Unix(path) });
        }
        let Some((written, rest)) = text.split_once("://") else { return Err(UrlError::NoScheme) };
        let named = |known: &Scheme| known.as_str().eq_ignore_ascii_case(written);
        let scheme = [Scheme::Http, Scheme::Https, Scheme::H2c].into_iter().find(named);
        let scheme = scheme.ok_or_else(|| UrlError::UnknownScheme(written.to_owned()))?;
        let (host, port) = split_port(authority(rest)?).map_err(UrlError::Endpoint)?;
        let port = port.unwrap_or(scheme.default_port());
        Ok(Self { scheme, endpoint: Endpoint::Tcp { host, port } })
    }

    /// Whether a text is meant as a URL rather than as a name.
    pub fn looks_like(text: &str) -> bool {
        text.contains(':') || text.contains('/')
    }
}

/// The port is always written; parses back to the same value.
impl fmt::Display for UpstreamUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp { .. } => write!(out, "{}://{}", self.scheme.as_str(), self.endpoint),
            Endpoint::Unix(_) => self.endpoint.fmt(out),
        }
    }
}

/// Why a text is not the URL of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// No scheme stands in front.
    NoScheme,
    /// The scheme is not one that is spoken.
    UnknownScheme(String),
    /// A user name or password.
    Credentials,
    /// A path other than `/`.
    Path,
    /// A query or fragment.
    Query,
    /// Host or port are wrong.
    Endpoint(EndpointError),
}

impl fmt::Display for UrlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => out.write_str("the URL of a server has no scheme"),
            Self::UnknownScheme(scheme) => write!(out, "`{scheme}` is not spoken to servers"),
            Self::Credentials => out.write_str("the URL of a server has no user name"),
            Self::Path => out.write_str("the URL of a server has no path"),
            Self::Query => out.write_str("the URL of a server has no query or fragment"),
            Self::Endpoint(error) => error.fmt(out),
        }
    }
}

impl Explain for UrlError {
    fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoScheme | Self::UnknownScheme(_) => {
                "write `http://host:port`, `https://host:port`, `h2c://host:port` or `unix:/path`"
            }
            Self::Credentials => {
                "set an `authorization` field with the middleware `request_headers`"
            }
            Self::Path => {
                "to change the path use the middleware `rewrite`, such as `{ \"add_prefix\": \"/v2\" }`"
            }
            Self::Query => "to change the query use the middleware `rewrite`",
            Self::Endpoint(error) => return error.help(),
        };
        Some(help.to_owned())
    }
}

fn authority(rest: &str) -> Result<&str, UrlError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match tail {
        _ if authority.contains('@') => Err(UrlError::Credentials),
        "" | "/" => Ok(authority),
        tail if tail.contains(['?', '#']) => Err(UrlError::Query),
        _ => Err(UrlError::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_defaults_and_one_slash_is_ignored() {
        let shown = |text: &str| UpstreamUrl::parse(text).unwrap().to_string();
        assert_eq!(shown("http://App.internal/"), "http://app.internal:80");
        assert_eq!(shown("HTTPS://[fd00::1]"), "https://[fd00::1]:443");
        assert_eq!(shown("h2c://10.0.0.1:50051"), "h2c://10.0.0.1:50051");
        assert_eq!(shown("unix:/run/app.sock"), "unix:/run/app.sock");
    }

    #[test]
    fn each_bad_url_is_told_apart() {
        use UrlError as E;
        let error = |text| UpstreamUrl::parse(text).unwrap_err();
        assert_eq!(error("10.0.0.1:80"), E::NoScheme);
        assert_eq!(error("ftp://a"), E::UnknownScheme("ftp".into()));
        assert_eq!(error("http://u:p@a/"), E::Credentials);
        assert_eq!(error("http://a/v1"), E::Path);
        assert_eq!(error("http://a/?x"), E::Query);
        assert_eq!(error("http://a?x"), E::Query);
        assert_eq!(error("http://a:99999"), E::Endpoint(EndpointError::BadPort("99999".into())));
    }
}
