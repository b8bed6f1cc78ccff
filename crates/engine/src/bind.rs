//! Opens listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel holds ready; it cuts this down to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens a listening TCP socket: SO_REUSEADDR on, SO_REUSEPORT off, IPV6_V6ONLY set,
/// non-blocking.
///
/// # Errors
/// As the system says: the address is taken, is not of this host, or may not be bound.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What an operator can do about a failed bind, where that is known.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there: `ss -ltnp` names it",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE or socket activation"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this host has that address",
        _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            "the kernel has no such address family: set VANE_BIND_IPV4=0 or VANE_BIND_IPV6=0"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_socket_takes_no_ipv4_connection() {
        let socket = tcp("[::]:0".parse().expect("an address")).expect("a free port");
        assert!(socket2::SockRef::from(&socket).only_v6().expect("an IPv6 socket"));
    }

    #[test]
    fn a_taken_address_is_refused_although_it_may_be_reused() {
        let first = tcp("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = first.local_addr().expect("a bound socket");
        let error = tcp(address).expect_err("the address is taken");
        assert!(advice(&error).contains("ss -ltnp"));
    }
}
