//! Says once how the binds of one written address turned out.

use crate::listener::Observer;
use crate::snapshot::ListenerState;

/// Waits for the listeners of one `listen` entry and reports what the operator has to know:
/// nothing when all are bound, one warning when one family of two is, an error for each that
/// nobody makes up for.
pub(crate) async fn report(mut family: Vec<Observer>) {
    let mut failed = Vec::new();
    let mut bound = Vec::new();
    for observer in &mut family {
        match observer.outcome().await {
            ListenerState::Listening => bound.push(observer.address()),
            ListenerState::Failed => failed.push((observer.address(), observer.error())),
            ListenerState::Binding | ListenerState::Draining | ListenerState::Unclaimed => {}
        }
    }
    match (bound.first(), failed.as_slice()) {
        (Some(bound), [(address, error)]) => {
            tracing::warn!(%bound, missing = %address, error, "listening on one family only");
        }
        _ => {
            for (address, error) in failed {
                tracing::error!(%address, error, "listener gave up; the others go on");
            }
        }
    }
}
