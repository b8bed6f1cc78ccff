//! The life of a daemon: boot, listeners, reload, drain, management and the command line.

mod activation;
mod bind;
mod boot;
mod certs;
mod check;
mod cli;
mod config;
mod drain;
mod families;
mod generations;
mod listeners;
mod loss;
mod management;
mod reload;
mod sockets;
mod stuck;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use integration::failure::Failure;
use integration::raw_client::RawClient;
use integration::vaned::Vaned;
use integration::wait::until;
use serde_json::{Value, json};

/// A rule that answers everything on `listen` with that text.
pub(crate) fn says(listen: &str, text: &str) -> Value {
    json!({ "listen": listen, "respond": { "status": 200, "body": text } })
}

/// A rule that passes everything on `listen` to that server.
pub(crate) fn forwards(listen: &str, url: &str) -> Value {
    json!({ "listen": listen, "forward": url })
}

/// What is answered to a GET on a connection of its own.
pub(crate) async fn said(addr: SocketAddr) -> Result<String, Failure> {
    let mut client = RawClient::connect(addr).await?;
    Ok(client.get("/", "a").await?.text())
}

/// Waits until a new connection is answered with that text.
pub(crate) async fn until_said(addr: SocketAddr, text: &str) {
    until(&format!("the answer {text:?}"), LIMIT, async || match said(addr).await {
        Ok(now) if now == text => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// How the daemon is.
async fn stats(vaned: &Vaned) -> Value {
    vaned.manage("stats", json!({})).await.expect("the daemon answers")
}

/// The listener configured as `address`, as the daemon reports it.
async fn listener(vaned: &Vaned, address: &str) -> Value {
    let listeners = vaned.listeners().await;
    let found = listeners.iter().find(|each| each["address"] == address);
    found.cloned().unwrap_or_else(|| panic!("no listener on {address}: {listeners:?}"))
}

/// Waits until the listener configured as `address` is in that state.
async fn until_state(vaned: &Vaned, address: &str, state: &str) -> Value {
    until(&format!("{address} to be {state}"), LIMIT, async || {
        let now = listener(vaned, address).await;
        if now["state"] == state { Ok(now) } else { Err(now) }
    })
    .await
}

/// Whether a line of the log in JSON form has that level and holds that text somewhere.
fn is_logged(line: &str, level: &str, text: &str) -> bool {
    let parsed: Value = serde_json::from_str(line).unwrap_or_default();
    parsed["level"] == level && line.contains(text)
}

/// Long enough for anything on loopback.
const LIMIT: Duration = Duration::from_secs(15);
