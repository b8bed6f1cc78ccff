//! Base URLs of interfaces that are spoken to with a secret.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::Explain;

/// An `https` URL without credentials, query or slash at its end; `http` only where it leads to
/// an address of this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiUrl(Box<str>);

impl ApiUrl {
    /// Parses the URL.
    ///
    /// # Errors
    /// Says what such a URL does not have.
    pub fn parse(text: &str) -> Result<Self, ApiUrlError> {
        let url: Uri = text.parse().map_err(|_| ApiUrlError::NotAUrl)?;
        let authority = url.authority().ok_or(ApiUrlError::NotAUrl)?;
        match url.scheme_str() {
            _ if authority.as_str().contains('@') => Err(ApiUrlError::Credentials),
            _ if url.query().is_some() || text.contains('#') => Err(ApiUrlError::Query),
            Some("http") if !is_loopback(authority.host()) => Err(ApiUrlError::InClear),
            Some("https" | "http") => Ok(Self(text.trim_end_matches('/').into())),
            _ => Err(ApiUrlError::NotAUrl),
        }
    }

    /// The URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why a text is not such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiUrlError {
    /// It has no scheme or no host, or another scheme.
    NotAUrl,
    /// A user name or password.
    Credentials,
    /// A query or fragment.
    Query,
    /// The way to another machine would not be encrypted.
    InClear,
}

impl fmt::Display for ApiUrlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotAUrl => "this is not the base URL of an API",
            Self::Credentials => "the base URL of an API has no user name",
            Self::Query => "the base URL of an API has no query or fragment",
            Self::InClear => "a secret would go over the network in clear",
        })
    }
}

impl Explain for ApiUrlError {
    fn help(&self) -> Option<String> {
        Some(str::to_owned(match self {
            Self::InClear => "use `https://`; `http://` is for an address of this machine",
            _ => "write one such as `https://api.example.com/v4`",
        }))
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let v4 = host.parse::<Ipv4Addr>().map(IpAddr::V4);
    v4.or_else(|_| host.parse::<Ipv6Addr>().map(IpAddr::V6)).is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_makes_no_difference() {
        for text in ["https://api.example.com/v4", "https://api.example.com/v4/"] {
            assert_eq!(ApiUrl::parse(text).unwrap().as_str(), "https://api.example.com/v4");
        }
    }

    #[test]
    fn http_is_for_addresses_of_this_machine() {
        assert!(ApiUrl::parse("http://127.0.0.1:8080").is_ok());
        assert!(ApiUrl::parse("http://[::1]:8080/v4").is_ok());
        for text in ["http://localhost/", "http://10.0.0.1/", "http://api.example.com"] {
            assert_eq!(ApiUrl::parse(text), Err(ApiUrlError::InClear), "{text}");
        }
    }

    #[test]
    fn each_bad_url_is_told_apart() {
        use ApiUrlError as E;
        let error = |text: &str| ApiUrl::parse(text).unwrap_err();
        for text in ["", "api.example.com", "/v4", "ftp://a.example"] {
            assert_eq!(error(text), E::NotAUrl, "{text}");
        }
        assert_eq!(error("https://u:p@a.example"), E::Credentials);
        assert_eq!(error("https://a.example/?x"), E::Query);
        assert_eq!(error("https://a.example/#x"), E::Query);
    }
}
