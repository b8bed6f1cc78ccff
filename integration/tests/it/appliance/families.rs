use std::net::SocketAddr;

use integration::failure::Failure;
use integration::http_origin::HttpOrigin;
use integration::load::{Mix, keep_alive_clients};
use integration::raw_client::RawClient;
use serde_json::{Value, json};

use super::containers::{Containers, Terms};
use super::rig::{Daemon, Door, LIMIT, Rig, Settings, loud, said};

scenarios!(
    a_port_alone_serves_both_families_by_their_own_addresses,
    a_suppressed_family_is_not_listened_on,
    an_explicit_address_of_a_suppressed_family_ends_the_boot,
    a_kernel_without_one_family_costs_one_warning,
    explicit_addresses_are_listened_on_alone,
);

/// S21. S17. Clients of both families at once lose nothing, and no address is in the mapped form.
async fn a_port_alone_serves_both_families_by_their_own_addresses<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    let port = rig.port_alone();
    rig.config().write_rule("web", json!({ "listen": port.written, "forward": origin.url() }));
    let who = json!({ "listen": port.written, "match": { "http.path": "/who" },
        "respond": { "body": "{remote.ip}" } });
    rig.config().write_rule("who", who);
    let daemon = rig.start(&Settings::default()).await;
    let (v4, v6) = (daemon.at(&port.v4).await, daemon.at(&port.v6).await);
    for addr in [v4, v6] {
        let mut client = RawClient::connect(addr).await.unwrap();
        let own = client.local_addr().ip().to_string();
        assert_eq!(own, client.get("/who", "a").await.unwrap().text());
    }
    let mix = Mix::new("a").get("/headers").post("/echo", 20_000);
    let loads = [keep_alive_clients(4, v4, &mix), keep_alive_clients(4, v6, &mix)];
    for load in &loads {
        load.more_answers(200).await;
    }
    let mut sent = 0;
    for load in loads {
        let tally = load.stop().await;
        tally.assert_nothing_lost();
        sent += tally.sent;
    }
    assert_eq!(sent, origin.count());
    let own = |addr: SocketAddr| addr.ip().to_canonical() == addr.ip();
    let from = daemon.listeners().await;
    let locals = from.iter().map(|each| each["local"].as_str().unwrap().parse().unwrap());
    assert!(locals.into_iter().all(own), "{from:?}");
}

/// S21. S18. Nothing is said about it, and nobody listens there; what is sent to the other arrives.
async fn a_suppressed_family_is_not_listened_on<R: Rig>(rig: R) {
    let (origin, port) = (rig.origin().await, rig.port_alone());
    rig.config().write_rule("web", json!({ "listen": port.written, "forward": origin.url() }));
    for (variable, kept) in [("VANE_BIND_IPV4", &port.v6), ("VANE_BIND_IPV6", &port.v4)] {
        let mut daemon = rig.start(&Settings::default().env(variable, "0")).await;
        let addr = daemon.at(kept).await;
        served(addr, &origin).await;
        let twin = daemon.twin(addr).await;
        assert_eq!(Some(Failure::Refused), RawClient::connect(twin).await.err(), "{twin}");
        assert_eq!(1, daemon.listeners().await.len());
        assert_eq!(Vec::<String>::new(), loud(&daemon).await);
        assert_eq!(0, daemon.stop(LIMIT).await);
    }
}

/// S21. S18.
async fn an_explicit_address_of_a_suppressed_family_ends_the_boot<R: Rig>(rig: R) {
    let port = rig.port_alone();
    for (variable, listen) in [("VANE_BIND_IPV4", port.v4), ("VANE_BIND_IPV6", port.v6)] {
        rig.config().write_rule("web", json!({ "listen": listen, "respond": {} }));
        let mut daemon = rig.launch(&Settings::default().env(variable, "0")).await;
        assert_eq!(1, daemon.exit_status(LIMIT).await);
        let text = daemon.log_lines().await.join("\n");
        assert!(text.contains("error[family-suppressed]") && text.contains(variable), "{text}");
    }
}

/// S21. S19. In a container there are no sockets of IPv6; as a process the port of IPv6 is taken.
async fn a_kernel_without_one_family_costs_one_warning<R: Rig>(mut rig: R) {
    rig.take_ipv6_away();
    let (origin, port) = (rig.origin().await, rig.port_alone());
    rig.config().write_rule("web", json!({ "listen": port.written, "forward": origin.url() }));
    let hasty = Settings::default().env("VANE_BIND_BACKOFF_INITIAL_MS", "2");
    let daemon = rig.start(&hasty.env("VANE_BIND_MAX_ATTEMPTS", "3")).await;
    let load = keep_alive_clients(4, daemon.at(&port.v4).await, &Mix::new("a").get("/headers"));
    load.more_answers(200).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, origin.count());
    daemon.until_logged(&["WARN", "one family"]).await;
    let loud = loud(&daemon).await;
    assert_eq!(1, loud.len(), "{loud:#?}");
    let listeners = daemon.listeners().await;
    let state = |address: &str| -> Option<&Value> {
        listeners.iter().find(|each| each["address"] == address).map(|each| &each["state"])
    };
    assert_eq!(Some(&json!("listening")), state(&port.v4));
    assert_eq!(Some(&json!("failed")), state(&port.v6));
}

/// S21. S17. S14. One rule for each family, then one for a single address, added by a reload and taken
/// away again.
async fn explicit_addresses_are_listened_on_alone<R: Rig>(rig: R) {
    let (four, six, own) = (rig.origin().await, rig.origin().await, rig.origin().await);
    let port = rig.port_alone();
    let alone =
        |listen: &str, origin: &HttpOrigin| json!({ "listen": listen, "forward": origin.url() });
    rig.config().write_rule("four", alone(&port.v4, &four));
    rig.config().write_rule("six", alone(&port.v6, &six));
    rig.says("clear", Door::Clear, "clear");
    let daemon = rig.start(&Settings::default()).await;
    served(daemon.at(&port.v4).await, &four).await;
    served(daemon.at(&port.v6).await, &six).await;
    let addr = SocketAddr::new(rig.v4(&daemon, Door::Clear).await.ip(), OWN_PORT);
    assert_eq!(Some(Failure::Refused), RawClient::connect(addr).await.err());
    rig.config().write_rule("own", alone(&addr.to_string(), &own));
    daemon.reload().await;
    served(addr, &own).await;
    let twin = daemon.twin(addr).await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(twin).await.err());
    rig.config().remove("rules/own.json");
    daemon.reload().await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(addr).await.err());
    assert_eq!((1, 1, 1), (four.count(), six.count(), own.count()));
}

/// S21. S19. A kernel that knows IPv6 and gives no address of it, as many hosts have it, is no reason
/// to say anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_without_an_address_of_ipv6_serves_ipv4_in_silence() {
    let Some(rig) = Containers::new().await else { return };
    let rig = rig.on(Terms::NoIpv6Addresses);
    rig.says("web", Door::Clear, "four");
    let daemon = rig.start(&Settings::default()).await;
    assert_eq!("four", said(rig.v4(&daemon, Door::Clear).await).await);
    assert_eq!(Vec::<String>::new(), loud(&daemon).await);
}

/// One request, which this very origin answers.
async fn served(addr: SocketAddr, origin: &HttpOrigin) {
    let before = origin.count();
    let mut client = RawClient::connect(addr).await.unwrap_or_else(|why| panic!("{addr}: {why}"));
    assert_eq!(200, client.get("/headers", "a").await.unwrap().status, "{addr}");
    assert_eq!(before + 1, origin.count(), "{addr}");
}

/// On an address that is the daemon's alone.
const OWN_PORT: u16 = 5005;
