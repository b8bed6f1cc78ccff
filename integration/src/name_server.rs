//! A real Knot DNS that takes dynamic updates.
//!
//! Knot refuses to listen on port 0, so its port cannot come from the kernel. In place of a free
//! port it gets an address that is its own: all of 127.0.0.0/8 is loopback, and the process id of
//! the test, which no other living process has, chooses one of it. Ports there begin at
//! [`FIRST_PORT`], below those that the kernel gives to whoever asks for any.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::wait;

/// A name server on an address of its own, ended when dropped.
#[derive(Debug)]
pub struct NameServer {
    child: Child,
    addr: SocketAddr,
    _place: TempDir,
}

/// A key that the name server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its algorithm.
    pub algorithm: &'static str,
    /// Base64.
    pub secret: &'static str,
    /// Whether it may change zones.
    pub may_update: bool,
}

/// The keys that the name server knows.
pub const KEYS: [Key; 4] = [
    Key {
        name: "vane-256.test",
        algorithm: "hmac-sha256",
        secret: "Zmlyc3Qga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM=",
        may_update: true,
    },
    Key {
        name: "vane-384.test",
        algorithm: "hmac-sha384",
        secret: "c2Vjb25kIGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGU=",
        may_update: true,
    },
    Key {
        name: "vane-512.test",
        algorithm: "hmac-sha512",
        secret: "dGhpcmQga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM=",
        may_update: true,
    },
    Key {
        name: "reader.test",
        algorithm: "hmac-sha256",
        secret: "Zm91cnRoIGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGU=",
        may_update: false,
    },
];

impl NameServer {
    /// Serves zones, each a name and further records in the form of a zone file. `None`, and a
    /// word on stderr, where Knot is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start, with what it said; when it is not installed and
    /// `VANE_TEST_REQUIRE_KNOT` is set.
    pub fn start(zones: &[(&str, &str)]) -> Option<Self> {
        Self::start_on(own_address(), zones)
    }

    /// As [`NameServer::start`], on that address of this machine.
    ///
    /// # Panics
    /// As [`NameServer::start`].
    pub fn start_on(ip: IpAddr, zones: &[(&str, &str)]) -> Option<Self> {
        if !Path::new(KNOTD).exists() {
            missing();
            return None;
        }
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let addr = SocketAddr::new(ip, PORT.fetch_add(1, Ordering::SeqCst));
        for (zone, records) in zones {
            let text = format!(
                "$ORIGIN {zone}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n\
                 ns A 127.0.0.1\n{records}\n"
            );
            write(&place.path().join(format!("{zone}.zone")), &text);
        }
        let path = place.path().join("knot.conf");
        write(&path, &configuration(addr, place.path(), zones));
        let log = place.path().join("log");
        let child = listening(spawn(&path, &log), addr, &log);
        Some(Self { child, addr, _place: place })
    }

    /// Where it is asked and updated, over UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The values of the TXT records of a name, as it answers over UDP.
    ///
    /// # Panics
    /// When it does not answer, or not with a message.
    pub async fn texts(&self, name: &str) -> BTreeSet<String> {
        let socket = UdpSocket::bind((self.addr.ip(), 0)).await.expect("a port can be bound");
        socket.connect(self.addr).await.expect("loopback has a way");
        socket.send(&question(name)).await.expect("a datagram can be sent");
        let mut answer = vec![0; 4096];
        let received = timeout(LIMIT, socket.recv(&mut answer)).await.expect("an answer in time");
        let length = received.expect("the name server listens");
        texts(&answer[..length]).expect("the answer is a message")
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn missing() {
    let words = "knotd is not installed (`apt-get install knot`)";
    let required = std::env::var_os("VANE_TEST_REQUIRE_KNOT").is_some();
    assert!(!required, "{words}");
    eprintln!("skipped: {words}");
}

fn own_address() -> IpAddr {
    let [_, high, middle, low] = id().to_be_bytes();
    // Process ids have 22 bits, so this stays clear of 127.0.0.1 and its neighbours.
    Ipv4Addr::new(127, 64 + high, middle, low).into()
}

fn configuration(addr: SocketAddr, place: &Path, zones: &[(&str, &str)]) -> String {
    let (ip, port, place) = (addr.ip(), addr.port(), place.display());
    let mut text = format!(
        "server:\n  rundir: {place}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n\
         database:\n  storage: {place}/db\nlog:\n  - target: stderr\n    any: info\nkey:\n"
    );
    let mut add = |words: String| text.write_str(&words).expect("a String takes every write");
    for key in KEYS {
        let Key { name, algorithm, secret, .. } = key;
        add(format!("  - id: {name}\n    algorithm: {algorithm}\n    secret: {secret}\n"));
    }
    let may_update = KEYS.iter().filter(|key| key.may_update).map(|key| key.name);
    let may_update = may_update.collect::<Vec<_>>().join(", ");
    add(format!("acl:\n  - id: update\n    key: [{may_update}]\n    action: update\nzone:\n"));
    for (zone, _) in zones {
        add(format!(
            "  - domain: {zone}\n    file: {place}/{zone}.zone\n    acl: update\n    \
             zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: none\n"
        ));
    }
    text
}

fn spawn(configuration: &Path, log: &Path) -> Child {
    let log = fs::File::create(log).expect("a file can be made");
    let mut command = Command::new(KNOTD);
    command.arg("-c").arg(configuration);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("an installed program can be started")
}

fn listening(mut child: Child, addr: SocketAddr, log: &Path) -> Child {
    let lives = wait::until_blocking("knotd to listen", LIMIT, || {
        let connected = TcpStream::connect(addr).is_ok();
        let ended = child.try_wait().expect("a child can be waited for").is_some();
        (connected || ended).then_some(!ended)
    });
    let said = fs::read_to_string(log).unwrap_or_default();
    assert!(lives, "knotd did not start; it said: {said}");
    child
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a temporary file can be written");
}

/// A question for the TXT records of a name.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a label is short"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, TXT, 0, 1]);
    message
}

/// The TXT records among the answers; none when the message leads nowhere.
fn texts(message: &[u8]) -> Option<BTreeSet<String>> {
    let count = u16::from_be_bytes([*message.get(6)?, *message.get(7)?]);
    let mut rest = behind_name(message.get(12..)?)?.get(4..)?;
    let mut found = BTreeSet::new();
    for _ in 0..count {
        let fixed = behind_name(rest)?;
        let length = usize::from(u16::from_be_bytes([*fixed.get(8)?, *fixed.get(9)?]));
        let data = fixed.get(10..10 + length)?;
        if fixed[1] == TXT {
            found.insert(strings(data));
        }
        rest = fixed.get(10 + length..)?;
    }
    Some(found)
}

fn behind_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match *bytes.first()? {
            0 => return bytes.get(1..),
            0xc0.. => return bytes.get(2..),
            length => bytes = bytes.get(1 + usize::from(length)..)?,
        }
    }
}

fn strings(mut data: &[u8]) -> String {
    let mut text = String::new();
    while let Some((&length, rest)) = data.split_first() {
        let (string, rest) = rest.split_at(usize::from(length).min(rest.len()));
        text.push_str(&String::from_utf8_lossy(string));
        data = rest;
    }
    text
}

const KNOTD: &str = "/usr/sbin/knotd";
const LIMIT: Duration = Duration::from_secs(20);
const TXT: u8 = 16;

/// Below the ports that the kernel gives out, and above those that need a privilege.
pub const FIRST_PORT: u16 = 5300;
static PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);
