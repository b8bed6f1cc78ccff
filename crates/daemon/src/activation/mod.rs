//! Sockets that the service manager hands over, as sd_listen_fds(3) has it. They are told apart by
//! what they are, never by their order or name: neither is stable between two starts.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};
use rustix::process::{Resource, getrlimit};
use vane_core::value::listen_addr::Transport;
use vane_engine::sockets::{HandedSocket, Socket, Source};

use crate::supervisor;

/// What the service manager handed over.
#[derive(Debug, Default)]
pub(crate) struct Activation {
    /// For listeners.
    pub(crate) sockets: Vec<HandedSocket>,
    /// What cannot be used, in words for the log.
    pub(crate) problems: Vec<String>,
    local: Vec<UnixListener>,
}

impl Activation {
    /// Takes what is there. Once a process, and before it opens anything: a count that is too high
    /// would claim what was opened since.
    pub(crate) fn take() -> Self {
        let mut activation = Self::default();
        if let Some(problem) = excess() {
            activation.problems.push(problem);
            return activation;
        }
        match sd_listen_fds::get() {
            Ok(handed) => {
                for (name, fd) in handed {
                    activation.add(name.as_deref().unwrap_or_default(), fd.into_std());
                }
            }
            Err(error) => activation.problems.push(format!("no socket is taken over: {error}")),
        }
        activation.refuse_twins();
        activation
    }

    /// The socket of management, if it is among those handed over.
    ///
    /// # Errors
    /// When the process has no descriptor left for it.
    pub(crate) fn management(&self, path: &Path) -> io::Result<Option<UnixListener>> {
        let found = self.local.iter().find(|socket| is_at(socket, path));
        found.map(UnixListener::try_clone).transpose()
    }

    /// What is wrong, once it is known where management is.
    pub(crate) fn doubts(&self, management: &Path) -> Vec<String> {
        let mut doubts = self.problems.clone();
        for socket in self.local.iter().filter(|socket| !is_at(socket, management)) {
            let (path, wanted) = (path_of(socket).unwrap_or_default(), management.display());
            doubts.push(format!(
                "an inherited socket is not served: {} is not where management is, {wanted}",
                path.display()
            ));
        }
        doubts
    }

    fn add(&mut self, name: &str, fd: OwnedFd) {
        if fcntl_getfd(&fd).is_err() {
            // There is nothing to close, and closing it would be a fault.
            let number = fd.into_raw_fd();
            return self.problems.push(format!("LISTEN_FDS: descriptor {number} is not open"));
        }
        // Programs that hooks run are not to inherit it.
        let _ = fcntl_setfd(&fd, FdFlags::CLOEXEC);
        if let Err(problem) = self.sort(name, fd) {
            let named = if name.is_empty() { String::new() } else { format!(" `{name}`") };
            self.problems.push(format!("an inherited descriptor{named} is not used: {problem}"));
        }
    }

    /// Puts a descriptor where it belongs.
    fn sort(&mut self, name: &str, fd: OwnedFd) -> Result<(), String> {
        let facts = Facts::of(&fd).map_err(|error| format!("it is no socket: {error}"))?;
        match (facts.family, facts.kind, facts.accepts) {
            (AddressFamily::UNIX, SocketType::STREAM, true) => {
                self.local.push(UnixListener::from(fd));
                Ok(())
            }
            (AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM, true) => {
                let socket = Socket::Tcp(TcpListener::from(fd));
                self.listener(name, Transport::Tcp, &facts, socket)
            }
            (AddressFamily::INET | AddressFamily::INET6, SocketType::DGRAM, _) => {
                let socket = Socket::Udp(UdpSocket::from(fd));
                self.listener(name, Transport::Udp, &facts, socket)
            }
            (_, SocketType::STREAM, false) => Err("it does not listen".to_owned()),
            (family, kind, _) => {
                Err(format!("nothing is served on {family:?} sockets of type {kind:?}"))
            }
        }
    }

    fn listener(
        &mut self,
        name: &str,
        transport: Transport,
        facts: &Facts,
        socket: Socket,
    ) -> Result<(), String> {
        let address = facts.address.ok_or("it has no address")?;
        let source =
            if supervisor::is_kept(name, address) { Source::Kept } else { Source::Inherited };
        let takes_both = facts.takes_ipv4 && address.ip().is_unspecified();
        if is_mapped(address) || takes_both {
            let why = both_families(address);
            if takes_both {
                let ipv4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
                let socket = Err(why.clone());
                self.sockets.push(HandedSocket { transport, address: ipv4, source, socket });
            }
            self.sockets.push(HandedSocket { transport, address, source, socket: Err(why) });
            return Ok(());
        }
        self.sockets.push(HandedSocket { transport, address, source, socket: Ok(socket) });
        Ok(())
    }

    /// Of two sockets on one address only the first can be served.
    fn refuse_twins(&mut self) {
        let mut seen = HashSet::new();
        let (sockets, twins): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|socket| seen.insert((socket.transport, socket.address)));
        self.sockets = sockets;
        for twin in twins {
            self.problems.push(format!(
                "a second inherited socket on {} is not used: of those that share an address \
                 (ReusePort=yes) only one is",
                twin.address
            ));
        }
    }
}

/// What is wrong with a count of descriptors that is higher than a process can have. Memory would be
/// set aside for each.
fn excess() -> Option<String> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("LISTEN_PID") == Some(std::process::id().into());
    let limit = getrlimit(Resource::Nofile).current?;
    too_many(number("LISTEN_FDS").filter(|_| is_ours)?, limit)
}

fn too_many(count: u64, limit: u64) -> Option<String> {
    (count > limit).then(|| {
        format!(
            "no socket is taken over: LISTEN_FDS={count} is more than the {limit} descriptors that \
             this process may have (LimitNOFILE=)"
        )
    })
}

/// What the kernel says of a socket.
struct Facts {
    family: AddressFamily,
    kind: SocketType,
    accepts: bool,
    /// An IPv6 socket that IPv4 connections come to as well, where its address lets them.
    takes_ipv4: bool,
    address: Option<SocketAddr>,
}

impl Facts {
    fn of(fd: &OwnedFd) -> io::Result<Self> {
        let family = sockopt::socket_domain(fd)?;
        let name = getsockname(fd)?;
        let address = SocketAddr::try_from(name).ok().map(|mut address| {
            if let SocketAddr::V6(address) = &mut address {
                address.set_flowinfo(0);
            }
            address
        });
        Ok(Self {
            family,
            kind: sockopt::socket_type(fd)?,
            accepts: sockopt::socket_acceptconn(fd)?,
            takes_ipv4: family == AddressFamily::INET6 && !sockopt::ipv6_v6only(fd)?,
            address,
        })
    }
}

fn is_mapped(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().to_ipv4_mapped().is_some())
}

fn both_families(address: SocketAddr) -> String {
    format!(
        "the inherited socket {address} takes IPv4 connections in IPv6 form: set \
         BindIPv6Only=ipv6-only in its socket unit, with a ListenStream= for each family"
    )
}

/// Whether the socket is the file that `path` leads to, by whatever name it was bound.
fn is_at(socket: &UnixListener, path: &Path) -> bool {
    let real = |path: &Path| {
        let parent = std::fs::canonicalize(path.parent()?).ok()?;
        Some(parent.join(path.file_name()?))
    };
    let own = path_of(socket);
    own.as_deref() == Some(path)
        || own.is_some_and(|own| real(&own).is_some_and(|own| Some(own) == real(path)))
}

fn path_of(socket: &UnixListener) -> Option<PathBuf> {
    socket.local_addr().ok()?.as_pathname().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests;
