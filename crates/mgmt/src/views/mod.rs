//! What the daemon shows of itself: the `result` of each method.
//!
//! Readers ignore fields that they do not know, so a daemon may say more than its client
//! understands. What the compiler made (graphs, plans, diagnostics) travels in the compiler's own
//! JSON form.

mod certs;
mod compile;
mod daemon;
mod reload;
mod traffic;

pub use certs::{
    CertSource, CertState, CertView, CertsView, ManagedCert, RenewRefusal, RenewRefusedView,
    RenewView, RenewalWindow, ServedCert,
};
pub use compile::{CompileView, ConfigView, PlanView};
pub use daemon::{
    ByteCounts, ConnectionCounts, DaemonState, DrainView, GenerationView, PingView, RequestCounts,
    StatsView,
};
pub use reload::{ReloadOutcome, ReloadTrigger, ReloadView};
pub use traffic::{
    ConnectionProtocol, ConnectionView, ConnectionsView, ListenerSource, ListenerState,
    ListenerView, ListenersView, Transport,
};
