//! What can be connected to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::{
    Explain,
    host_pattern::{HostPatternError, host_name},
    is_v4_mapped, plain_number,
};

/// Where a tunnel ends: a host and port, or a Unix socket. TCP or UDP follows the listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// A server of the network.
    Tcp {
        /// Name or address.
        host: Host,
        /// 1 to 65535.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(Box<str>),
}

impl Endpoint {
    /// Parses `host:port`, `192.0.2.1:port`, `[2001:db8::1]:port` or `unix:/path`.
    ///
    /// # Errors
    /// Names the part that cannot be connected to.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Self::Unix);
        }
        if text.contains("://") {
            return Err(EndpointError::Scheme);
        }
        let (host, port) = split_port(text)?;
        let port = port.ok_or(EndpointError::NoPort)?;
        Ok(Self::Tcp { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(out, "{host}:{port}"),
            Self::Unix(path) => write!(out, "unix:{path}"),
        }
    }
}

/// A host to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address; never an IPv4 address mapped into IPv6.
    Ip(IpAddr),
    /// A name to resolve, in lower case.
    Name(Box<str>),
}

/// As in a URL: an IPv6 address is in brackets.
impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(out, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => write!(out, "{address}"),
            Self::Name(name) => out.write_str(name),
        }
    }
}

/// Splits `host[:port]`.
pub(super) fn split_port(text: &str) -> Result<(Host, Option<u16>), EndpointError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') && text.parse::<Ipv6Addr>().is_ok() => {
            return Err(EndpointError::NoBrackets);
        }
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = port.map(parse_port).transpose()?;
    Ok((parse_host(host)?, port))
}

pub(super) fn unix_path(path: &str) -> Result<Box<str>, EndpointError> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(EndpointError::UnixPath);
    }
    if path.len() > LONGEST_UNIX_PATH {
        return Err(EndpointError::LongUnixPath);
    }
    Ok(path.into())
}

/// Why a text is not something to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// A URL where only an address belongs.
    Scheme,
    /// The port is missing.
    NoPort,
    /// The port is not a number from 1 to 65535.
    BadPort(String),
    /// An IPv6 address without brackets.
    NoBrackets,
    /// An IPv4 address mapped into IPv6.
    V4Mapped,
    /// The host is malformed.
    Host(HostPatternError),
    /// The path of a Unix socket is not absolute.
    UnixPath,
    /// The path of a Unix socket is longer than the operating system takes.
    LongUnixPath,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => out.write_str("a URL stands where an address belongs"),
            Self::NoPort => out.write_str("the address has no port"),
            Self::BadPort(port) => write!(out, "`{port}` is not a port"),
            Self::NoBrackets => out.write_str("an IPv6 address stands without brackets"),
            Self::V4Mapped => out.write_str("an IPv4 address is mapped into IPv6"),
            Self::Host(error) => error.fmt(out),
            Self::UnixPath => out.write_str("the path of a Unix socket starts with `/`"),
            Self::LongUnixPath => {
                write!(out, "the path of a Unix socket has at most {LONGEST_UNIX_PATH} bytes")
            }
        }
    }
}

impl Explain for EndpointError {
    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Scheme => "write `host:port` or `unix:/path`",
            Self::NoPort => "write `host:port`, such as `10.0.0.1:5432`",
            Self::BadPort(_) => "a port is a number from 1 to 65535",
            Self::NoBrackets => "write the address in brackets, as in `[fd00::1]:443`",
            Self::V4Mapped => "write the IPv4 address",
            Self::Host(error) => return error.help(),
            Self::UnixPath => "write `unix:/run/app.sock`",
            Self::LongUnixPath => return None,
        };
        Some(help.to_owned())
    }
}

fn parse_port(text: &str) -> Result<u16, EndpointError> {
    let port = plain_number(text).filter(|port| *port != 0);
    port.ok_or_else(|| EndpointError::BadPort(text.to_owned()))
}

fn parse_host(text: &str) -> Result<Host, EndpointError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inner.parse().map(IpAddr::V6) {
            Ok(address) if is_v4_mapped(address) => Err(EndpointError::V4Mapped),
            Ok(address) => Ok(Host::Ip(address)),
            Err(_) => Err(EndpointError::Host(HostPatternError::BadCharacter('['))),
        };
    }
    match text.parse() {
        Ok(address) => Ok(Host::Ip(IpAddr::V4(address))),
        Err(_) => host_name(text).map(Host::Name).map_err(EndpointError::Host),
    }
}

/// What fits `sun_path` on Linux with its closing NUL.
const LONGEST_UNIX_PATH: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_prints_as_it_is_written() {
        for text in ["db.internal:5432", "10.0.0.1:53", "[fd00::1]:443", "unix:/run/x.sock"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_bad_endpoint_is_told_apart() {
        use EndpointError as E;
        let error = |text| Endpoint::parse(text).unwrap_err();
        assert_eq!(error("http://a:1"), E::Scheme);
        assert_eq!(error("a"), E::NoPort);
        assert_eq!(error("[::1]"), E::NoPort);
        assert_eq!(error("a:0"), E::BadPort("0".into()));
        assert_eq!(error("a:65536"), E::BadPort("65536".into()));
        assert_eq!(error("fd00::1"), E::NoBrackets);
        assert_eq!(error("[::ffff:1.2.3.4]:1"), E::V4Mapped);
        assert_eq!(error("unix:run"), E::UnixPath);
        assert_eq!(error(":80"), E::Host(HostPatternError::Empty));
    }
}
