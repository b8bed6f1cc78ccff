//! Ranges of addresses.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{Explain, is_v4_mapped};

/// A network such as `10.0.0.0/8`, or one address. Never IPv4 mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Parses `10.0.0.0/8`, `fd00::/8`, or a single address.
    ///
    /// # Errors
    /// When it is not a network, or has bits set behind its prefix.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::checked(IpNet::from(address));
        }
        match text.parse::<IpNet>() {
            Ok(network) => Self::checked(network),
            Err(_) => Err(CidrError::NotANetwork),
        }
    }

    /// The network.
    pub fn network(self) -> IpNet {
        self.0
    }

    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    fn checked(network: IpNet) -> Result<Self, CidrError> {
        if is_v4_mapped(network.addr()) {
            return Err(CidrError::V4Mapped);
        }
        if network.trunc() != network {
            return Err(CidrError::HostBits(network.trunc()));
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Why a text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// It is neither an address nor a network.
    NotANetwork,
    /// The address has bits behind the prefix; the network that was probably meant.
    HostBits(IpNet),
    /// IPv4 mapped into IPv6.
    V4Mapped,
}

impl fmt::Display for CidrError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotANetwork => "this is neither an address nor a network",
            Self::HostBits(_) => "the address of the network has bits behind its prefix",
            Self::V4Mapped => "an IPv4 network is mapped into IPv6",
        })
    }
}

impl Explain for CidrError {
    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NotANetwork => "write `10.0.0.0/8`, `fd00::/8` or a single address".to_owned(),
            Self::HostBits(network) => {
                format!("write `{network}`, or the address without a prefix")
            }
            Self::V4Mapped => "write the IPv4 form; addresses are never mapped".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_address_is_a_full_prefix() {
        assert_eq!(Cidr::parse("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
        assert!(Cidr::parse("fd00::/8").unwrap().contains("fd00::1".parse().unwrap()));
    }

    #[test]
    fn bits_behind_the_prefix_and_mapped_addresses_are_refused() {
        let meant = "10.0.0.0/8".parse().unwrap();
        assert_eq!(Cidr::parse("10.0.0.1/8"), Err(CidrError::HostBits(meant)));
        assert_eq!(Cidr::parse("::ffff:10.0.0.0/104"), Err(CidrError::V4Mapped));
        assert_eq!(Cidr::parse("10.0.0.0/33"), Err(CidrError::NotANetwork));
        assert_eq!(Cidr::parse("lan"), Err(CidrError::NotANetwork));
    }
}
