//! Where a name server is reached.

use std::fmt;

use super::{
    Explain,
    endpoint::{Endpoint, EndpointError, split_port, unix_path},
};

/// A name server that is asked over TCP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameServer(Endpoint);

impl NameServer {
    /// Parses `host[:port]` or `unix:/path`; port 53 unless written.
    ///
    /// # Errors
    /// Names the part that cannot be connected to.
    pub fn parse(text: &str) -> Result<Self, NameServerError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(|path| Self(Endpoint::Unix(path))).map_err(NameServerError);
        }
        if text.contains("://") {
            return Err(NameServerError(EndpointError::Scheme));
        }
        let (host, port) = split_port(text).map_err(NameServerError)?;
        Ok(Self(Endpoint::Tcp { host, port: port.unwrap_or(PORT) }))
    }

    /// Where to connect.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Why a text is not the address of a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServerError(EndpointError);

impl fmt::Display for NameServerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Explain for NameServerError {
    fn help(&self) -> Option<String> {
        match &self.0 {
            EndpointError::Scheme => {
                Some("write `host`, `host:port` or `unix:/path`; updates go over TCP".to_owned())
            }
            error => error.help(),
        }
    }
}

const PORT: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_53_unless_written() {
        let shown = |text: &str| NameServer::parse(text).unwrap().to_string();
        assert_eq!(shown("ns1.Example.com"), "ns1.example.com:53");
        assert_eq!(shown("[fd00::1]"), "[fd00::1]:53");
        assert_eq!(shown("10.0.0.1:5353"), "10.0.0.1:5353");
        assert_eq!(shown("unix:/run/ns.sock"), "unix:/run/ns.sock");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        let error = |text: &str| NameServer::parse(text).unwrap_err().0;
        assert_eq!(error("tcp://10.0.0.1"), EndpointError::Scheme);
        assert_eq!(error("fd00::1"), EndpointError::NoBrackets);
        assert_eq!(error("unix:run"), EndpointError::UnixPath);
    }
}
