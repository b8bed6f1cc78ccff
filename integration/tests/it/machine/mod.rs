//! The shipped units under a real systemd as process 1, in a machine of its own.

mod package;
mod restarts;
mod units;

use std::net::SocketAddr;
use std::time::Duration;

use integration::machine::Machine;
use integration::wait::until;

pub(crate) use crate::lifecycle::until_said;

/// A machine on which the daemon was installed by hand and serves `rules`, with the calling thread in
/// its network.
async fn serving(
    rules: &[(&str, serde_json::Value)],
) -> Option<(integration::machine::Visit, Machine)> {
    let machine = Machine::boot().await?;
    let visit = machine.visit();
    for (name, rule) in rules {
        machine.rule(name, rule.clone());
    }
    machine.install_by_hand().await;
    until_ready(&machine).await;
    Some((visit, machine))
}

/// Waits until the daemon has said that it is ready.
async fn until_ready(machine: &Machine) {
    until("the daemon to be ready", LIMIT, async || {
        let state = machine.property("vaned.service", "ActiveState").await;
        if state == "active" { Ok(()) } else { Err(state) }
    })
    .await;
}

fn web() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 80))
}

const UNITS: [&str; 3] = ["vaned.service", "vaned.socket", "vaned-mgmt.socket"];
/// Long enough for anything that systemd does.
const LIMIT: Duration = Duration::from_secs(60);
