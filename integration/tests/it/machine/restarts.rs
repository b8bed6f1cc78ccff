//! Restarts and crashes of the service under a real systemd.

use std::net::SocketAddr;
use std::time::Duration;

use integration::http_origin::HttpOrigin;
use integration::load::{Mix, h2_clients, keep_alive_clients};
use integration::machine::Machine;
use integration::raw_client::RawClient;
use integration::wait::until;
use serde_json::json;

use super::{LIMIT, serving, until_ready, web};
use crate::lifecycle::{forwards, said, says};

/// S20. `systemctl restart` under load, twenty times: no connection is refused and no exchange is
/// lost, as both ends count them.
#[tokio::test]
async fn twenty_restarts_by_systemctl_under_load_refuse_nobody_and_lose_nothing() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    let origin = HttpOrigin::start().await;
    machine.rule("web", forwards(":80", &origin.url()));
    machine.done(&["systemctl", "reload", "vaned"]).await;
    machine.done(&["vane", "reload"]).await;
    let mix = Mix::new("a").get("/headers").post("/echo", 700).get("/slow/20");
    let mix = mix.pause(Duration::from_millis(5));
    let (http1, http2) = (keep_alive_clients(16, web(), &mix), h2_clients(4, 3, web(), &mix));
    for _ in 0..20 {
        http1.more_answers(40).await;
        machine.done(&["systemctl", "restart", "vaned"]).await;
    }
    let (http1, http2) = (http1.stop().await, http2.stop().await);
    http1.assert_nothing_lost();
    http2.assert_nothing_lost();
    assert_eq!(http1.sent + http2.sent, origin.count());
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());
    assert!(http1.reconnects > 20, "{http1}");
}

/// S20. A daemon that is killed is started again; who comes meanwhile waits in the sockets, those of
/// the unit and the one that the daemon bound itself, which the descriptor store has kept. A restart
/// keeps it as well.
#[tokio::test]
async fn a_killed_daemon_comes_back_with_the_sockets_of_the_unit_and_with_its_own() {
    let rules = [("web", says(":80", "web")), ("own", says(&own().to_string(), "own"))];
    let Some((_visit, machine)) = serving(&rules).await else { return };
    assert_eq!("bound", source(&machine).await);
    assert_eq!("1", machine.property("vaned.service", "NFileDescriptorStore").await);
    for command in ["kill --signal=KILL", "restart", "kill --signal=KILL"] {
        let before = machine.daemon().await;
        // Whoever is let in before the new daemon is there has to be served by it.
        let mut waiting = Vec::new();
        let command: Vec<_> = ["systemctl"].into_iter().chain(command.split(' ')).collect();
        machine.done(&[&command[..], &["vaned"]].concat()).await;
        for address in [web(), own()] {
            waiting.push(RawClient::connect(address).await.expect("nobody is refused"));
        }
        for (client, expected) in waiting.iter_mut().zip(["web", "own"]) {
            assert_eq!(expected, client.get("/", "a").await.unwrap().text());
        }
        until_ready(&machine).await;
        assert_ne!(before, machine.daemon().await);
        assert_eq!("inherited", source(&machine).await);
    }
}

/// S20. A reload may put an address in the place of a wider one, over and over, although systemd has a
/// copy of each socket: the first attempt to bind succeeds.
#[tokio::test]
async fn a_wildcard_and_an_address_under_it_take_turns_without_a_failed_bind() {
    let Some((_visit, machine)) = serving(&[("web", says(":80", "web"))]).await else { return };
    for round in 0..20 {
        let address = if round % 2 == 0 { "0.0.0.0:8080" } else { "127.0.0.1:8080" };
        machine.rule("own", says(address, &round.to_string()));
        machine.done(&["vane", "reload"]).await;
        assert_eq!(round.to_string(), said(own()).await.unwrap());
    }
    let journal = machine.done(&["journalctl", "--no-pager", "--unit=vaned"]).await;
    assert!(!journal.contains("bind failed"), "{journal}");
}

/// S20. A daemon that hangs is ended by the watchdog and started again, though no client asks for it.
#[tokio::test]
async fn a_daemon_that_hangs_is_replaced_by_the_watchdog() {
    let Some(machine) = Machine::boot().await else { return };
    let _visit = machine.visit();
    let drop_in = "/etc/systemd/system/vaned.service.d/watchdog.conf";
    machine.write(drop_in, "[Service]\nWatchdogSec=2s\n");
    machine.rule("web", says(":80", "web"));
    machine.install_by_hand().await;
    let hung = machine.daemon().await;
    machine.done(&["kill", "-STOP", &hung]).await;
    until("another daemon", LIMIT, async || {
        let now = machine.daemon().await;
        if now != "0" && now != hung { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!("web", said(web()).await.unwrap());
    let journal = machine.done(&["journalctl", "--no-pager", "--unit=vaned"]).await;
    assert!(journal.contains("Watchdog timeout"), "{journal}");
}

/// Where the socket that no unit holds comes from.
async fn source(machine: &Machine) -> String {
    until("an answer of management", LIMIT, async || {
        let view = machine.management().call("get_listeners", json!({})).await?;
        let listeners = view["listeners"].as_array().cloned().unwrap_or_default();
        let found = listeners.iter().find(|each| each["address"] == own().to_string().as_str());
        let source = found.and_then(|each| each["source"].as_str()).map(str::to_owned);
        source.ok_or(view)
    })
    .await
}

fn own() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}
