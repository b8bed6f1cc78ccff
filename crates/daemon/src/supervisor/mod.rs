//! The service manager, as far as it wants to be told: sd_notify(3) in both directions of its file
//! descriptor store. Without `NOTIFY_SOCKET` nothing is sent.

mod outbox;

use std::collections::BTreeMap;
use std::io::{self, PipeReader};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as LocalAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;
use vane_engine::sockets::{Forgotten, Keeper};

use self::outbox::{Message, Outbox, Topic};

/// Who started the daemon and watches it.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    outbox: Option<Outbox>,
    patience: Option<Duration>,
    has_store: bool,
}

impl Supervisor {
    /// The one that the variables name. One that cannot be reached is reported and left alone.
    pub(crate) fn of(variables: &BTreeMap<String, String>) -> Self {
        let named = variables.get("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let outbox = named.and_then(|name| {
            let failed = |error| tracing::warn!(name, %error, "NOTIFY_SOCKET cannot be reached");
            connect(name).map_err(failed).ok().map(Outbox::new)
        });
        let patience = patience(variables, std::process::id());
        Self { outbox, patience, has_store: has_store(variables) }
    }

    /// Whether somebody is told.
    pub(crate) fn is_there(&self) -> bool {
        self.outbox.is_some()
    }

    /// How long it waits for [`Self::alive`] before it takes the daemon for stuck.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience.filter(|_| self.is_there())
    }

    /// The daemon serves, in these words.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(Topic::Ready, format!("READY=1\nSTATUS={}\n", line(status)));
    }

    /// A reload begins; [`Self::ready`] is its end, however it went.
    pub(crate) fn reloading(&self) {
        // One message, and the clock that the manager compares with its own.
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        let text = format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading\n");
        self.tell(Topic::Reloading, text);
    }

    /// The daemon ends.
    pub(crate) fn stopping(&self) {
        self.tell(Topic::Stopping, "STOPPING=1\nSTATUS=ending: what is in flight finishes\n");
    }

    /// The end takes longer, and there will be another message within that time.
    pub(crate) fn extend(&self, time: Duration, status: &str) {
        let microseconds = time.as_micros();
        let text = format!("EXTEND_TIMEOUT_USEC={microseconds}\nSTATUS={}\n", line(status));
        self.tell(Topic::Time, text);
    }

    /// The daemon is not stuck.
    pub(crate) fn alive(&self) {
        self.tell(Topic::Alive, "WATCHDOG=1\n");
    }

    fn tell(&self, topic: Topic, text: impl Into<String>) {
        self.give(topic, text.into(), None);
    }

    fn give(&self, topic: Topic, text: String, beside: Option<OwnedFd>) {
        if let Some(outbox) = &self.outbox {
            outbox.post(Message { topic, text, beside });
        }
    }
}

impl Keeper for Supervisor {
    fn keep(&self, address: SocketAddr, socket: BorrowedFd<'_>) {
        let name = kept_name(address);
        match socket.try_clone_to_owned() {
            Ok(copy) => {
                let text = format!("FDSTORE=1\nFDNAME={name}\n");
                self.give(Topic::Keep(name), text, Some(copy));
            }
            Err(error) => tracing::warn!(%address, %error, "a restart will not keep this socket"),
        }
    }

    fn forget(&self, address: SocketAddr) -> Forgotten {
        let name = kept_name(address);
        let text = format!("FDSTOREREMOVE=1\nFDNAME={name}\n");
        self.tell(Topic::Forget(name), text);
        let Ok((reader, writer)) = io::pipe() else { return Box::pin(std::future::ready(())) };
        self.give(Topic::Barrier, "BARRIER=1".to_owned(), Some(writer.into()));
        Box::pin(async move {
            if timeout(LIMIT, closed(reader)).await.is_err() {
                tracing::warn!(%address, "the service manager does not say that it has closed this");
            }
        })
    }

    fn has_room(&self) -> bool {
        self.has_store
    }
}

/// Whether a socket of that name and address comes from the store. A unit may be called
/// `vaned-tcp-443.socket`, so the beginning of the name is not enough.
pub(crate) fn is_kept(name: &str, address: SocketAddr) -> bool {
    name == kept_name(address)
}

/// The name of a socket in the store, which must not have a colon.
fn kept_name(address: SocketAddr) -> String {
    format!("vaned-tcp-{}", address.to_string().replace(':', "."))
}

/// The manager closes its end when it has done what it was told before.
async fn closed(end: PipeReader) {
    if let Ok(mut end) = Receiver::from_owned_fd(end.into()) {
        let _ = end.read(&mut [0]).await;
    }
}

fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => LocalAddr::from_abstract_name(name)?,
        None => LocalAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

fn patience(variables: &BTreeMap<String, String>, own: u32) -> Option<Duration> {
    let number = |name| variables.get(name).and_then(|text| text.parse::<u64>().ok());
    let meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(own));
    let microseconds = number("WATCHDOG_USEC").filter(|time| *time > 0 && meant)?;
    Some(Duration::from_micros(microseconds))
}

/// Managers before systemd 254 never say that they have a store, and no manager has one unless the
/// unit asks for it.
fn has_store(variables: &BTreeMap<String, String>) -> bool {
    let size = variables.get("FDSTORE").and_then(|text| text.parse::<u64>().ok());
    size.is_some_and(|size| size > 0)
}

/// A line break would begin another assignment.
fn line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}

/// A manager that says nothing holds a reload up for no longer.
const LIMIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 1024];
        let length = socket.recv(&mut bytes).expect("a message has come");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn without_a_socket_nothing_is_said() {
        let supervisor = Supervisor::of(&variables(&[("WATCHDOG_USEC", "1000000")]));
        supervisor.ready("x");
        assert!(!supervisor.is_there() && supervisor.patience().is_none());
    }

    #[test]
    fn a_reload_begins_with_the_time_in_the_same_message() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a fresh path can be bound");
        manager.set_nonblocking(true).expect("a socket can be set");
        let supervisor = Supervisor::of(&variables(&[("NOTIFY_SOCKET", path.to_str().unwrap())]));
        supervisor.reloading();
        let message = received(&manager);
        let time = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(message.starts_with("RELOADING=1\n"), "{message}");
        assert!(time.and_then(|time| time.parse::<u64>().ok()) > Some(0), "{message}");
        supervisor.ready("one\ntwo");
        assert_eq!(received(&manager), "READY=1\nSTATUS=one two\n");
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("vaned-test-{}", std::process::id());
        let address = LocalAddr::from_abstract_name(&name).expect("a short name");
        let manager = UnixDatagram::bind_addr(&address).expect("a fresh name can be bound");
        manager.set_nonblocking(true).expect("a socket can be set");
        Supervisor::of(&variables(&[("NOTIFY_SOCKET", &format!("@{name}"))])).stopping();
        assert!(received(&manager).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let of = |pid: &str| variables(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", pid)]);
        assert_eq!(patience(&of("7"), 7), Some(Duration::from_secs(30)));
        assert_eq!(patience(&of("8"), 7), None);
        assert_eq!(patience(&variables(&[("WATCHDOG_USEC", "0")]), 7), None);
    }

    #[test]
    fn a_store_is_relied_on_only_where_the_manager_says_that_there_is_room() {
        assert!(Supervisor::of(&variables(&[("FDSTORE", "16")])).has_room());
        for without in [&[][..], &[("FDSTORE", "0")], &[("FDSTORE", "x")]] {
            assert!(!Supervisor::of(&variables(without)).has_room(), "{without:?}");
        }
    }

    #[test]
    fn a_name_in_the_store_has_no_colon_and_is_known_again() {
        for address in ["127.0.0.1:80", "[::]:443"] {
            let address = address.parse().expect("an address");
            let name = kept_name(address);
            assert!(!name.contains(':') && is_kept(&name, address), "{name}");
            assert!(!is_kept("vaned.socket", address));
        }
    }
}
