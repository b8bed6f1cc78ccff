//! Answers the requests of tools. What changes the world goes through the control loop; what only
//! looks at it, or hastens what the engine would do by itself, is answered at once, also while a
//! reload or a drain is under way.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vane_core::compile::Compiled;
use vane_mgmt::error::BindError;
use vane_mgmt::reply::{Reply, done, internal, no};
use vane_mgmt::request::{DirParams, Request};
use vane_mgmt::server::{Handler, serve};
use vane_mgmt::socket::{MODE, ManagementSocket};
use vane_mgmt::views::{DrainView, ReloadOutcome, ReloadTrigger, RenewRefusal, RenewRefusedView};

use crate::control::Event;
use crate::environment::ManagementSettings;
use crate::views;
use crate::world::World;

/// Takes the management socket. Clients can connect from now on and wait to be served.
///
/// A default path that this user cannot create is no reason not to serve traffic: the answer is
/// none then, and the log says so.
///
/// # Errors
/// When another daemon is there, or the path that the operator named cannot be bound.
pub(crate) async fn bind(
    settings: &ManagementSettings,
) -> Result<Option<ManagementSocket>, BindError> {
    match ManagementSocket::bind(&settings.path, MODE).await {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if !settings.is_named && is_denied(&error) => {
            let help = "set VANE_MGMT_UNIX or XDG_RUNTIME_DIR to use `vane` with this daemon";
            tracing::warn!("management is off: {error}; {help}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Management being served.
#[derive(Debug)]
pub(crate) struct Management {
    cancel: CancellationToken,
    server: JoinHandle<()>,
}

impl Management {
    /// Serves clients from now on.
    pub(crate) fn start(
        socket: ManagementSocket,
        world: &Arc<World>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let path = socket.path().unwrap_or_default();
        tracing::info!(path = %path.display(), "management is listening");
        let cancel = CancellationToken::new();
        let answers = Answers { world: Arc::clone(world), events, compiling: Mutex::default() };
        let serving = serve(socket, Arc::new(answers), cancel.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "management has ended");
            }
        });
        Self { cancel, server }
    }

    /// Finishes the answers under way and closes the socket.
    pub(crate) async fn close(self) {
        self.cancel.cancel();
        if timeout(CLOSE_LIMIT, self.server).await.is_err() {
            tracing::warn!("a management client did not take its answer in time");
        }
    }
}

struct Answers {
    world: Arc<World>,
    events: mpsc::Sender<Event>,
    /// Held while a directory is compiled for somebody to look at: one at a time is enough.
    compiling: Mutex<()>,
}

impl Handler for Answers {
    async fn handle(&self, request: Request) -> Reply {
        let world = &*self.world;
        match request {
            Request::Ping => {
                // Who asks whether we are there wants to know whether clients are served.
                world.engine.pulse().await;
                done(&views::ping(world))
            }
            Request::Stats => done(&views::stats(world)),
            Request::GetConfig => done(&views::config(world)),
            Request::GetListeners => done(&views::listeners(world)),
            Request::GetConnections => done(&views::connections(world)),
            Request::GetCerts => done(&views::certs::certs(world)),
            Request::ForceRenew(params) => renew(world, params.name),
            Request::CompileDryRun(of) => {
                self.look_at(of, |_, it| done(&views::compiled(it))).await
            }
            Request::Plan(of) => self.look_at(of, |w, it| done(&views::planned(w, it))).await,
            Request::Reload => self.reload().await,
            Request::Shutdown(params) => self.shut_down(params.budget_secs).await,
        }
    }
}

impl Answers {
    async fn reload(&self) -> Reply {
        let (answer, answered) = oneshot::channel();
        let event = Event::Reload { trigger: ReloadTrigger::Manage, answer };
        if self.events.send(event).await.is_err() {
            return internal(ENDED);
        }
        match answered.await {
            Ok(view) if view.outcome != ReloadOutcome::Refused => done(&view),
            Ok(view) if self.world.is_draining() => {
                no("the reload was refused: the daemon is ending", &view)
            }
            Ok(view) => no("the reload was refused: the configuration is invalid", &view),
            Err(_) => internal(ENDED),
        }
    }

    async fn shut_down(&self, budget_secs: Option<u64>) -> Reply {
        let (answer, answered) = oneshot::channel();
        let budget = budget_secs.map(|seconds| Duration::from_secs(seconds.min(LONGEST_BUDGET)));
        let event = Event::Shutdown { by: "management", budget, answer: Some(answer) };
        if self.events.send(event).await.is_err() || answered.await.is_err() {
            return internal(ENDED);
        }
        done(&DrainView { draining: true })
    }

    /// Compiles a directory on the side and answers what `look` makes of it.
    async fn look_at(&self, of: DirParams, look: fn(&World, &Compiled) -> Reply) -> Reply {
        let _turn = self.compiling.lock().await;
        let world = Arc::clone(&self.world);
        let compiling = spawn_blocking(move || {
            let dir = of.dir.map_or_else(|| world.settings.dir.clone(), PathBuf::from);
            look(&world, &world.settings.compile(&dir))
        });
        match compiling.await {
            Ok(reply) => reply,
            Err(panic) => {
                tracing::error!(%panic, "the compiler failed, which is a fault of vaned");
                internal("the compiler failed, which is a fault of vaned: its log has more")
            }
        }
    }
}

fn renew(world: &World, name: String) -> Reply {
    if world.is_draining() {
        let data = RenewRefusedView { name, reason: RenewRefusal::Ending, near: None };
        return no("there will be no order: the daemon is ending", &data);
    }
    let asked = world.engine.renew(&name);
    let certificates = world.engine.certificates();
    match asked {
        Ok(()) => {
            tracing::info!(certificate = name, "management asks for a new certificate");
            done(&views::certs::renewed(name, &certificates))
        }
        Err(refusal) => {
            let (words, data) = views::certs::refused(name, refusal, &certificates);
            no(words, &data)
        }
    }
}

fn is_denied(error: &BindError) -> bool {
    let BindError::Os { source, .. } = error else { return false };
    matches!(
        source.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

const ENDED: &str = "the daemon has ended";
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// A day, as for `VANE_DRAIN_TIMEOUT_SECS`.
const LONGEST_BUDGET: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_default_path_that_cannot_be_created_is_no_reason_not_to_serve() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("missing/vaned.sock");
        let settings = ManagementSettings { path, is_named: false };
        assert!(matches!(bind(&settings).await, Ok(None)));
        let settings = ManagementSettings { is_named: true, ..settings };
        assert!(bind(&settings).await.is_err());
    }

    #[tokio::test]
    async fn a_socket_that_is_in_use_is_never_passed_over() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("vaned.sock");
        let _first = ManagementSocket::bind(&path, MODE).await.expect("a fresh path can be bound");
        let settings = ManagementSettings { path, is_named: false };
        assert!(matches!(bind(&settings).await, Err(BindError::InUse { .. })));
    }
}
