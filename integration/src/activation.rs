//! A service manager for one daemon: it holds listening sockets, hands them over at each start, is
//! told how the daemon is, and keeps what the daemon gives it.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, bind, getsockname, listen, recvmsg,
    sendmsg, socket_with, socketpair, sockopt,
};
use tempfile::TempDir;

use crate::{binary, wait};

/// Sockets with their names, and the socket that a daemon notifies.
#[derive(Debug)]
pub struct Activation {
    sockets: Vec<(String, OwnedFd)>,
    stored: Vec<(String, OwnedFd)>,
    place: TempDir,
    manager: UnixDatagram,
}

/// What a start of the daemon needs of it.
#[derive(Debug)]
pub(crate) struct Handover {
    names: String,
    count: usize,
    notify: PathBuf,
    stdin: OwnedFd,
}

impl Default for Activation {
    fn default() -> Self {
        Self::new()
    }
}

impl Activation {
    /// With no socket yet.
    pub fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let manager = UnixDatagram::bind(place.path().join(NOTIFY)).expect("a fresh path");
        manager.set_nonblocking(true).expect("a socket can be set");
        Self { sockets: Vec::new(), stored: Vec::new(), place, manager }
    }

    /// Listens on a TCP address; on IPv6 alone where it is of that family. Yields the address with
    /// its port.
    pub fn tcp(&mut self, name: &str, address: &str) -> SocketAddr {
        self.listen(name, address, true)
    }

    /// Listens on an IPv6 address as a unit does that says nothing of `BindIPv6Only=`.
    pub fn dual(&mut self, name: &str, address: &str) -> SocketAddr {
        self.listen(name, address, false)
    }

    /// Binds a UDP address.
    pub fn udp(&mut self, name: &str, address: &str) -> SocketAddr {
        let socket = UdpSocket::bind(address).expect("the address is free");
        let address = socket.local_addr().expect("a bound socket");
        self.sockets.push((name.to_owned(), socket.into()));
        address
    }

    /// Listens on a path.
    pub fn local(&mut self, name: &str, path: &Path) {
        let socket = UnixListener::bind(path).expect("the path is free");
        self.sockets.push((name.to_owned(), socket.into()));
    }

    /// Hands the sockets over in the reverse order from now on.
    pub fn reverse(&mut self) {
        self.sockets.reverse();
    }

    /// Has somebody else say so much that nobody can say more before [`Self::message`] is called.
    ///
    /// # Panics
    /// When the socket for messages takes more than any kernel's does.
    pub fn clog(&self) {
        let other = UnixDatagram::unbound().expect("a socket can be made");
        other.connect(self.place.path().join(NOTIFY)).expect("the manager listens");
        other.set_nonblocking(true).expect("a socket can be set");
        let said = (0..1_000_000).take_while(|_| other.send(b"STATUS=x\n").is_ok()).count();
        assert!(said < 1_000_000);
    }

    /// The names of the sockets that a daemon gave to be kept.
    pub fn stored(&mut self) -> Vec<String> {
        self.stored.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The next message of a daemon; nothing when none has come.
    ///
    /// What is to be kept, and what no longer, is done as it says.
    pub fn message(&mut self) -> Option<String> {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&self.manager, &mut slices, &mut beside, flags).ok()?;
        let fds: Vec<_> = beside.drain().filter_map(descriptors).flatten().collect();
        let text = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
        self.keep(&text, fds);
        Some(text)
    }

    /// Waits for the next message that has this line, and yields it.
    ///
    /// # Panics
    /// When none comes within 10 seconds, or another comes before.
    pub async fn told(&mut self, line: &str) -> String {
        let what = format!("{line} from the daemon");
        let text = wait::until(&what, LIMIT, async || self.message()).await;
        assert!(text.lines().any(|each| each == line), "{line} expected, told {text:?}");
        text
    }

    /// Waits for the next message that has this line, whatever is told before.
    ///
    /// # Panics
    /// When none comes within 10 seconds.
    pub async fn told_in_the_end(&mut self, line: &str) -> String {
        wait::until(&format!("{line} from the daemon"), LIMIT, async || {
            self.message().filter(|text| text.lines().any(|each| each == line))
        })
        .await
    }

    /// What is to be given to a process that is about to start.
    pub(crate) fn handover(&self) -> Handover {
        let flags = SocketFlags::CLOEXEC;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (own, stdin) = pair.expect("a pair of sockets");
        let all = || self.sockets.iter().chain(&self.stored);
        let descriptors: Vec<BorrowedFd<'_>> = all().map(|(_, fd)| fd.as_fd()).collect();
        send(&own, &descriptors);
        let names: Vec<_> = all().map(|(name, _)| name.as_str()).collect();
        let (names, count) = (names.join(":"), names.len());
        Handover { names, count, notify: self.place.path().join(NOTIFY), stdin }
    }

    fn listen(&mut self, name: &str, address: &str, only: bool) -> SocketAddr {
        let address: SocketAddr = address.parse().expect("an address");
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let fd = fd.expect("a socket can be made");
        sockopt::set_socket_reuseaddr(&fd, true).expect("a socket can be set");
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, only).expect("a socket can be set");
        }
        bind(&fd, &address).expect("the address is free");
        listen(&fd, BACKLOG).expect("a bound socket can listen");
        let bound = getsockname(&fd).expect("a bound socket");
        self.sockets.push((name.to_owned(), fd));
        bound.try_into().expect("an address of the family")
    }

    fn keep(&mut self, text: &str, fds: Vec<OwnedFd>) {
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or_default();
        match text.lines().next() {
            Some("FDSTORE=1") => {
                self.stored.extend(fds.into_iter().map(|fd| (name.to_owned(), fd)));
            }
            Some("FDSTOREREMOVE=1") => self.stored.retain(|(stored, _)| stored != name),
            _ => {}
        }
    }
}

impl Handover {
    /// The program that is to be put in front of the daemon's.
    pub(crate) fn program() -> PathBuf {
        binary::path("activate")
    }

    /// Tells the process what it gets.
    pub(crate) fn describe(self, command: &mut Command) -> Stdio {
        command.env("LISTEN_FDS", self.count.to_string());
        command.env("LISTEN_FDNAMES", self.names);
        command.env("NOTIFY_SOCKET", self.notify);
        command.env("FDSTORE", "64");
        self.stdin.into()
    }
}

/// Descriptors stay in a socket pair until they are taken.
fn send(to: &OwnedFd, descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    assert!(beside.push(SendAncillaryMessage::ScmRights(descriptors)), "at most 64 descriptors");
    let sent = sendmsg(to, &[IoSlice::new(&[0])], &mut beside, SendFlags::empty());
    sent.expect("an empty socket takes a message");
}

fn descriptors(
    message: RecvAncillaryMessage<'_>,
) -> Option<impl Iterator<Item = OwnedFd> + use<'_>> {
    match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    }
}

/// So many wait while no daemon runs.
const BACKLOG: i32 = 4096;
const NOTIFY: &str = "notify";
const LIMIT: Duration = Duration::from_secs(10);
