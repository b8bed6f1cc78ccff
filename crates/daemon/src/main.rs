//! `vaned`, the edge proxy daemon: composes the compiler, the engine and management, and owns the
//! one loop that changes anything.
//!
//! ```text
//! boot -> control <- events <- signals, watch, management
//!            |
//!          reload -> configuration (files) -> core (graph) -> engine (prepare, commit, drain)
//! ```
//!
//! Modules are listed in flow order, and each uses only those below it.

mod boot;

mod announce;
mod heartbeat;
mod management;
mod signals;
mod watch;

mod control;

mod reload;
mod views;

mod world;

mod configuration;
mod logging;

mod activation;
mod supervisor;

mod environment;

mod args;
mod exit;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::activation::Activation;
use crate::args::Args;
use crate::boot::{Boot, Refused};
use crate::control::{Event, Events};
use crate::management::Management;
use crate::signals::Signals;
use crate::watch::Watch;
use crate::world::World;

/// A request makes a few dozen small allocations on the thread that frees them again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help on a closed pipe, or a usage error on a closed stderr: nobody is left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    ExitCode::from(run(args).unwrap_or_else(|Refused(status)| status))
}

fn run(args: Args) -> Result<u8, Refused> {
    let activation = Activation::take();
    let runtime = runtime()?;
    let signals = runtime.block_on(async { Signals::catch() }).map_err(boot::system)?;
    let status = runtime.block_on(start(args, activation, signals));
    // A file that never ends being read must not keep the process.
    runtime.shutdown_background();
    status
}

async fn start(args: Args, activation: Activation, mut signals: Signals) -> Result<u8, Refused> {
    let reading = spawn_blocking(move || Boot::read(&args, activation).map(|boot| (boot, args)));
    let (mut boot, args) = tokio::select! {
        read = reading => read.map_err(|panic| boot::system(panic.into()))??,
        _ = signals.end() => return Ok(exit::DONE),
    };
    if args.check {
        return Ok(boot.check(args.allow_unset));
    }
    let world = boot.world()?;
    live(&boot, &world, signals).await
}

/// From the first generation to the end.
async fn live(boot: &Boot, world: &Arc<World>, signals: Signals) -> Result<u8, Refused> {
    let (sender, mut events) = control::queue();
    let force = CancellationToken::new();
    tokio::spawn(signals.pass_on(sender.clone(), force.clone()));
    tokio::select! {
        () = force.cancelled() => Ok(cut_short()),
        status = serve(boot, world, sender, &mut events) => status,
    }
}

async fn serve(
    boot: &Boot,
    world: &Arc<World>,
    sender: mpsc::Sender<Event>,
    events: &mut Events,
) -> Result<u8, Refused> {
    // Armed before the first read, so that no change falls between that and the watching.
    let watch = Watch::arm(&boot.dir, boot.log_file(), world.named_files.subscribe());
    let socket = boot.install(world, events).await?;
    let management = socket.map(|socket| Management::start(socket, world, sender.clone()));
    announce::announce(world);
    world.supervisor.ready(&views::status(world));
    tokio::spawn(heartbeat::beat(Arc::clone(world)));
    let watching = tokio::spawn(watch.run(sender));
    control::run(world, events).await;
    watching.abort();
    if let Some(management) = management {
        management.close().await;
    }
    tracing::info!("vaned has ended");
    Ok(exit::DONE)
}

fn cut_short() -> u8 {
    tracing::warn!("a second signal: ending at once");
    exit::CUT_SHORT
}

fn runtime() -> Result<Runtime, Refused> {
    Builder::new_current_thread().enable_all().build().map_err(boot::system)
}
