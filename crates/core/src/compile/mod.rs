//! Passes.
pub(crate) mod analyze;
pub(crate) mod lower;
use std::net::SocketAddr;

/// The address families that listeners are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Families {
    fn allow(self, address: SocketAddr) -> bool {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}
