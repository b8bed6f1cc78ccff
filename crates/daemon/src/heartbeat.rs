//! Tells the service manager that the daemon is not stuck.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use crate::world::World;

/// Says so twice in the time that the manager waits, as long as every serving thread runs what it
/// is given. Never returns where a manager waits.
///
/// # Cancel safety
/// Nothing is lost by dropping the future.
pub(crate) async fn beat(world: Arc<World>) {
    let Some(patience) = world.supervisor.patience() else { return };
    let mut ticks = interval(patience / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        world.engine.pulse().await;
        world.supervisor.alive();
    }
}
