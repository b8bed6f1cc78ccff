//! What the kernel knows of the sockets of a process: how to learn the port of a program that was
//! told to take any, and does not say which it took.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::sockopt::set_ipv6_v6only;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// An address of the loopback network that no other test uses now. A port of it is free again
/// when its owner ends: no client of another test is given it meanwhile, as it could on 127.0.0.1.
pub fn private_address() -> Ipv4Addr {
    let pid = std::process::id();
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    // 127.0.x.y is left to those who name addresses by hand.
    let octets = [1 + (pid >> 8) % 254, pid % 256, 1 + turn % 254].map(|octet| octet as u8);
    Ipv4Addr::new(127, octets[0], octets[1], octets[2])
}

/// Any port of all addresses of IPv6, and of none of IPv4.
pub fn ipv6_alone() -> TcpListener {
    let socket = socket(AddressFamily::INET6, SocketType::STREAM, None).expect("IPv6 is there");
    set_ipv6_v6only(&socket, true).expect("a new socket takes the option");
    bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0)).expect("a port is free");
    listen(&socket, 1).expect("a bound socket listens");
    socket.into()
}

/// A kind of socket that waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// A TCP socket that listens.
    Tcp,
    /// A UDP socket that is bound and not connected.
    Udp,
}

/// Where that process waits, on IPv4. Empty where it has ended or belongs to someone else.
pub fn waiting(pid: u32, kind: Waiting) -> Vec<SocketAddrV4> {
    let (table, state) = match kind {
        Waiting::Tcp => ("tcp", "0A"),
        Waiting::Udp => ("udp", "07"),
    };
    let own = inodes(pid);
    let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let entries = text.lines().skip(1).filter_map(|line| entry(line, state));
    entries.filter(|(_, inode)| own.contains(inode)).map(|(addr, _)| addr).collect()
}

/// The sockets among the open files of a process.
fn inodes(pid: u32) -> HashSet<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let inodes = targets.filter_map(|target| {
        let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    });
    inodes.collect()
}

/// Address and inode of a line of the table, when it is in that state; see proc_pid_net(5).
fn entry(line: &str, state: &str) -> Option<(SocketAddrV4, String)> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let (ip, port) = columns.get(1)?.split_once(':')?;
    if *columns.get(3)? != state {
        return None;
    }
    // The address is shown as the number that its bytes in memory make.
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddrV4::new(ip.into(), port), (*columns.get(9)?).to_owned()))
}

static NEXT: AtomicU32 = AtomicU32::new(0);
