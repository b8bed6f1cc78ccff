//! Addresses to listen on.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{Explain, is_v4_mapped, plain_number};

/// What a listener is made of on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Where to listen, as the operator wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenAddr {
    /// TCP unless written otherwise.
    pub transport: Transport,
    /// One address, or both families.
    pub host: ListenHost,
    /// The port; 0 asks the kernel for a free one.
    pub port: u16,
}

/// The address part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenHost {
    /// All addresses of both families, as two listeners.
    Both,
    /// This address; never an IPv4 address mapped into IPv6.
    Addr(IpAddr),
}

impl ListenAddr {
    /// Parses `:443`, `0.0.0.0:443`, `[::]:443`, `127.0.0.1:8080` or `[fd00::1]:80`, each with
    /// `tcp/` or `udp/` in front or without.
    ///
    /// # Errors
    /// Names the part that cannot be listened on.
    pub fn parse(text: &str) -> Result<Self, ListenAddrError> {
        let (transport, rest) = split_transport(text)?;
        let Some((host, port)) = rest.rsplit_once(':') else {
            return Err(no_port(rest));
        };
        let host = parse_host(host, rest)?;
        let port = plain_number(port).ok_or_else(|| ListenAddrError::BadPort(port.to_owned()))?;
        Ok(Self { transport, host, port })
    }

    /// The sockets that this address means: two for both families (IPv4 first), else one.
    pub fn expand(self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        let (first, second) = match self.host {
            ListenHost::Both => (Ipv4Addr::UNSPECIFIED.into(), Some(Ipv6Addr::UNSPECIFIED.into())),
            ListenHost::Addr(address) => (address, None),
        };
        let hosts = std::iter::once(first).chain(second);
        hosts.map(move |host| (self.transport, SocketAddr::new(host, self.port)))
    }
}

/// `tcp/` is left out, being the default; parses back to the same value.
impl fmt::Display for ListenAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transport == Transport::Udp {
            out.write_str("udp/")?;
        }
        match self.host {
            ListenHost::Both => write!(out, ":{}", self.port),
            ListenHost::Addr(address) => write!(out, "{}", SocketAddr::new(address, self.port)),
        }
    }
}

/// Why a text is not an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddrError {
    /// The word before the `/` is not a transport.
    UnknownTransport(String),
    /// There is an address, or a number, but no `:port`.
    NoPort(String),
    /// The port is not a number from 0 to 65535.
    BadPort(String),
    /// A name stands where an address belongs.
    HostName(String),
    /// An IPv6 address without brackets.
    NoBrackets(String),
    /// The address has a scope id.
    Scope,
    /// An IPv4 address mapped into IPv6.
    V4Mapped(Ipv4Addr),
}

impl fmt::Display for ListenAddrError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTransport(word) => write!(out, "`{word}` is not a transport"),
            Self::NoPort(text) => write!(out, "`{text}` has no port"),
            Self::BadPort(port) => write!(out, "`{port}` is not a port"),
            Self::HostName(host) => write!(out, "`{host}` is not an IP address"),
            Self::NoBrackets(text) => write!(out, "`{text}` is an IPv6 address without brackets"),
            Self::Scope => out.write_str("a listen address has no scope id"),
            Self::V4Mapped(_) => out.write_str("an IPv4 address is mapped into IPv6"),
        }
    }
}

impl Explain for ListenAddrError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::UnknownTransport(_) => "write `tcp/` or `udp/`, or nothing for TCP".to_owned(),
            Self::NoPort(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("write `:{text}` for both families")
            }
            Self::NoPort(text) => format!("write `{text}:443`, or the port that is meant"),
            Self::BadPort(_) => "a port is a number from 0 to 65535".to_owned(),
            Self::HostName(host) if host == "*" => {
                "leave the `*` out to mean all addresses".to_owned()
            }
            Self::HostName(_) => {
                "a listener binds addresses, not names; to choose requests by name \
                                  use `match` with `http.host` or `tls.sni`"
                    .to_owned()
            }
            Self::NoBrackets(_) => {
                "write the address in brackets, as in `[fd00::1]:443`".to_owned()
            }
            Self::Scope => "write the address without `%`, or listen on `[::]`".to_owned(),
            Self::V4Mapped(v4) => format!("write `{v4}`"),
        })
    }
}

fn split_transport(text: &str) -> Result<(Transport, &str), ListenAddrError> {
    match text.split_once('/') {
        None => Ok((Transport::Tcp, text)),
        Some(("tcp", rest)) => Ok((Transport::Tcp, rest)),
        Some(("udp", rest)) => Ok((Transport::Udp, rest)),
        Some((word, _)) => Err(ListenAddrError::UnknownTransport(word.to_owned())),
    }
}

fn parse_host(host: &str, whole: &str) -> Result<ListenHost, ListenAddrError> {
    if host.is_empty() {
        return Ok(ListenHost::Both);
    }
    if host.contains('%') {
        return Err(ListenAddrError::Scope);
    }
    if host.contains(':') && whole.parse::<Ipv6Addr>().is_ok() {
        return Err(ListenAddrError::NoBrackets(whole.to_owned()));
    }
    let address = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    match address {
        Some(address) if is_v4_mapped(address) => Err(mapped(address)),
        Some(address) => Ok(ListenHost::Addr(address)),
        None if host.parse::<Ipv6Addr>().is_ok() => {
            Err(ListenAddrError::NoBrackets(host.to_owned()))
        }
        None => Err(ListenAddrError::HostName(host.to_owned())),
    }
}

fn mapped(address: IpAddr) -> ListenAddrError {
    match address.to_canonical() {
        IpAddr::V4(v4) => ListenAddrError::V4Mapped(v4),
        IpAddr::V6(_) => ListenAddrError::HostName(address.to_string()),
    }
}

fn no_port(text: &str) -> ListenAddrError {
    ListenAddrError::NoPort(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Vec<String> {
        let sockets = ListenAddr::parse(text).unwrap().expand();
        sockets.map(|(transport, address)| format!("{transport} {address}")).collect()
    }

    #[test]
    fn a_bare_port_is_both_families_and_an_address_is_one_socket() {
        assert_eq!(expanded(":443"), ["tcp 0.0.0.0:443", "tcp [::]:443"]);
        assert_eq!(expanded("udp/:53"), ["udp 0.0.0.0:53", "udp [::]:53"]);
        assert_eq!(expanded("0.0.0.0:443"), ["tcp 0.0.0.0:443"]);
        assert_eq!(expanded("tcp/[::]:443"), ["tcp [::]:443"]);
        assert_eq!(expanded("[fd00::1]:0"), ["tcp [fd00::1]:0"]);
    }

    #[test]
    fn each_bad_address_is_told_apart() {
        use ListenAddrError as E;
        let error = |text| ListenAddr::parse(text).unwrap_err();
        assert_eq!(error("443"), E::NoPort("443".into()));
        assert_eq!(error("127.0.0.1"), E::NoPort("127.0.0.1".into()));
        assert_eq!(error(":http"), E::BadPort("http".into()));
        assert_eq!(error(":70000"), E::BadPort("70000".into()));
        assert_eq!(error(":+80"), E::BadPort("+80".into()));
        assert_eq!(error(":080"), E::BadPort("080".into()));
        assert_eq!(error("localhost:80"), E::HostName("localhost".into()));
        assert_eq!(error("sctp/:80"), E::UnknownTransport("sctp".into()));
        assert_eq!(error("fd00::1:80"), E::NoBrackets("fd00::1:80".into()));
        assert_eq!(error("[fe80::1%eth0]:80"), E::Scope);
        assert_eq!(error("[::ffff:10.0.0.1]:80"), E::V4Mapped(Ipv4Addr::new(10, 0, 0, 1)));
    }
}
