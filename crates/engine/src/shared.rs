//! What outlives every generation and is met by all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::acme::registry::Registry;
use crate::floor::Floor;
use crate::program::{DaemonScope, Program};
use crate::registry::ConnectionKind;
use crate::settings::Settings;
use crate::sockets::Sockets;
use crate::tls::challenges::Challenges;
use crate::tls::client::ClientTls;
use crate::tls::store::CertStore;
use crate::tls::tickets::Tickets;
use crate::upstream::origin::Origins;

/// Daemon-scoped state.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What was decided at start.
    pub(crate) settings: Settings,
    /// Limits that hold before any rule.
    pub(crate) floor: Arc<Floor>,
    /// Every certificate in use.
    pub(crate) certificates: CertStore,
    /// Managed certificates.
    pub(crate) managed: Registry,
    /// The keys of session tickets.
    pub(crate) tickets: Arc<Tickets>,
    /// What proves names to authorities now.
    pub(crate) challenges: Arc<Challenges>,
    /// How TLS is spoken to servers.
    pub(crate) client_tls: ClientTls,
    /// Every server in use.
    pub(crate) origins: Origins,
    /// The installed generation.
    pub(crate) current: arc_swap::ArcSwap<Program>,
    /// Connections and requests that a drain cut off.
    pub(crate) cut: CutOff,
    /// Sockets that outlive listeners.
    pub(crate) sockets: Sockets,
    next_connection: AtomicU64,
}

impl Shared {
    /// With `first` installed.
    pub(crate) fn new(
        settings: Settings,
        tickets: Tickets,
        first: Program,
        sockets: Sockets,
    ) -> Self {
        let challenges = Arc::<Challenges>::default();
        let managed = Registry::new(settings.state_dir.clone(), Arc::clone(&challenges));
        Self {
            floor: Arc::new(Floor::new(settings.floor)),
            settings,
            certificates: CertStore::default(),
            managed,
            tickets: Arc::new(tickets),
            challenges,
            client_tls: ClientTls::default(),
            origins: Origins::default(),
            current: arc_swap::ArcSwap::from_pointee(first),
            cut: CutOff::default(),
            sockets,
            next_connection: AtomicU64::new(1),
        }
    }

    /// What programs refer to.
    pub(crate) fn scope(&self) -> DaemonScope<'_> {
        DaemonScope {
            certificates: &self.certificates,
            managed: &self.managed,
            tickets: &self.tickets,
            client_tls: &self.client_tls,
            origins: &self.origins,
        }
    }

    /// Connections accepted since start.
    pub(crate) fn accepted(&self) -> u64 {
        self.next_connection.load(Ordering::Relaxed) - 1
    }

    /// A number for a new connection.
    pub(crate) fn connection_id(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }
}

/// What connections are told when they have to end. Nothing while they need not.
pub(crate) type DrainWatch = watch::Receiver<Option<Drain>>;

/// How long connections may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    /// Until then an idle connection still serves a request that was on its way.
    pub(crate) idle_until: Instant,
    /// Then whatever is left is cut off.
    pub(crate) abort_at: Instant,
}

impl Drain {
    /// How long an idle connection is kept for a request that was on its way.
    const GRACE: Duration = Duration::from_millis(300);

    /// The end of the daemon: idle connections go soon.
    pub(crate) fn shutdown(budget: Duration) -> Self {
        let now = Instant::now();
        Self { idle_until: now + Self::GRACE.min(budget), abort_at: now + budget }
    }

    /// The end of one listener: idle connections may use up the budget.
    pub(crate) fn listener(budget: Duration) -> Self {
        let abort_at = Instant::now() + budget;
        Self { idle_until: abort_at - Self::GRACE.min(budget), abort_at }
    }

    /// Both ends, whichever comes first.
    pub(crate) fn sooner(self, other: Option<Self>) -> Self {
        match other {
            None => self,
            Some(other) => Self {
                idle_until: self.idle_until.min(other.idle_until),
                abort_at: self.abort_at.min(other.abort_at),
            },
        }
    }
}

/// Waits until a drain begins. Never returns while there is none, not even when its sender is
/// gone.
///
/// # Cancel safety
/// Nothing is lost by dropping the future.
pub(crate) async fn drain_begins(watch: &mut DrainWatch) -> Drain {
    let drain = watch.wait_for(Option::is_some).await.map(|drain| *drain);
    match drain {
        Ok(Some(drain)) => drain,
        _ => std::future::pending().await,
    }
}

/// Work that a drain did not let finish, by kind.
#[derive(Debug, Default)]
pub(crate) struct CutOff {
    http1: AtomicU64,
    http2: AtomicU64,
    upgrade: AtomicU64,
    tunnel: AtomicU64,
}

impl CutOff {
    /// Counts `amount` more of what `kind` carries.
    pub(crate) fn count(&self, kind: ConnectionKind, amount: u64) {
        self.of(kind).fetch_add(amount, Ordering::Relaxed);
    }

    /// How much of each kind has been cut off since start.
    pub(crate) fn counts(&self) -> Vec<(ConnectionKind, u64)> {
        use ConnectionKind::{Http1, Http2, Tunnel, Upgrade};
        let count = |kind| (kind, self.of(kind).load(Ordering::Relaxed));
        [Http1, Http2, Upgrade, Tunnel].map(count).into()
    }

    fn of(&self, kind: ConnectionKind) -> &AtomicU64 {
        match kind {
            ConnectionKind::Detecting | ConnectionKind::Http1 => &self.http1,
            ConnectionKind::Http2 => &self.http2,
            ConnectionKind::Upgrade => &self.upgrade,
            ConnectionKind::Tunnel => &self.tunnel,
        }
    }
}
