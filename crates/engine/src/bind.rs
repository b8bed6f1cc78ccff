//! Opens listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

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

/// Lets the kernel drop attempts to connect from now on; those that it has let in can still be
/// accepted. The kernel resets whoever it lets in between the last accept and the close. A client
/// whose attempt is dropped makes another a second later, and is then refused, or finds whoever
/// listens there next.
///
/// # Errors
/// When the kernel has no socket filters.
pub(crate) fn turn_away(listener: &TcpListener) -> io::Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const WHOLE: u32 = u32::MAX;
    // Classic BPF on a TCP header, by the kernel's `linux/bpf_common.h`.
    let program = [
        SockFilter::new(0x30, 0, 0, FLAGS), // load that byte
        SockFilter::new(0x45, 0, 1, SYN),   // is it an attempt to connect?
        SockFilter::new(0x06, 0, 0, 0),     // take nothing of it
        SockFilter::new(0x06, 0, 0, WHOLE),
    ];
    SockRef::from(listener).attach_filter(&program)
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
        assert!(SockRef::from(&socket).only_v6().expect("an IPv6 socket"));
    }

    #[test]
    fn a_taken_address_is_refused_although_it_may_be_reused() {
        let first = tcp("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = first.local_addr().expect("a bound socket");
        let error = tcp(address).expect_err("the address is taken");
        assert!(advice(&error).contains("ss -ltnp"));
    }

    #[tokio::test]
    async fn whoever_comes_before_the_end_is_accepted_and_whoever_comes_later_is_not() {
        let socket = tcp("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let before = std::net::TcpStream::connect(address).expect("somebody listens");
        turn_away(&socket).expect("a kernel with socket filters");
        let after = tokio::spawn(tokio::net::TcpStream::connect(address));
        let (_accepted, peer) = socket.accept().expect("the first is in the queue");
        assert_eq!(peer, before.local_addr().expect("connected"));
        tokio::task::yield_now().await;
        assert!(socket.accept().is_err(), "the second was let in");
        drop(socket);
        let failure = after.await.expect("it ends").expect_err("nobody accepts it");
        assert_eq!(failure.kind(), io::ErrorKind::ConnectionRefused);
    }
}
