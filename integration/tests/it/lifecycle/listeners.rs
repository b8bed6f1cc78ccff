use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::http_origin::HttpOrigin;
use integration::load::{Mix, keep_alive_clients};
use integration::raw_client::RawClient;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LIMIT, forwards, listener, said, says, stats, until_said};

/// S11. Each address has its own socket and its own counts, and only a reload changes the set.
#[tokio::test]
async fn each_address_is_a_listener_of_its_own() {
    let config = ConfigDir::new()
        .rule("two", says("127.0.0.2:0", "two"))
        .rule("both", json!({ "listen": ["127.0.0.1:0", "127.0.0.3:0"], "respond": { "status": 200, "body": "both" } }));
    let vaned = Vaned::start(&config).await;
    for (address, text) in
        [("127.0.0.1:0", "both"), ("127.0.0.2:0", "two"), ("127.0.0.3:0", "both")]
    {
        assert_eq!(text, said(vaned.addr(address).await).await.unwrap());
    }
    said(vaned.addr("127.0.0.2:0").await).await.unwrap();
    let counts = vaned.listeners().await;
    let counts: Vec<_> = counts.iter().map(|each| each["accepted"].as_u64().unwrap()).collect();
    assert_eq!(vec![1, 2, 1], counts);
}

/// S11. S14. Removing one leaves socket and connections of the others alone.
#[tokio::test]
async fn a_removed_listener_leaves_its_siblings_alone() {
    let config = ConfigDir::new()
        .rule("kept", says("127.0.0.1:0", "kept"))
        .rule("gone", says("127.0.0.2:0", "gone"));
    let vaned = Vaned::start(&config).await;
    let (kept, gone) = (vaned.addr("127.0.0.1:0").await, vaned.addr("127.0.0.2:0").await);
    said(kept).await.unwrap();
    config.remove("rules/gone.json");
    vaned.reload().await;
    assert_eq!(Some(Failure::Refused), RawClient::connect(gone).await.err());
    assert_eq!(kept, vaned.only_addr().await);
    assert_eq!(json!(1), listener(&vaned, "127.0.0.1:0").await["accepted"]);
}

/// S12. A second socket cannot share the address, even when it asks to.
#[tokio::test]
async fn the_address_is_not_shared() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let second = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&second, true).unwrap();
    sockopt::set_socket_reuseport(&second, true).unwrap();
    let shared = bind(&second, &addr).and_then(|()| listen(&second, 1));
    assert_eq!(Err(rustix::io::Errno::ADDRINUSE), shared);
}

/// S12. Connections of the daemon before, which linger in the kernel, do not keep the address.
#[tokio::test]
async fn an_address_can_be_bound_right_after_its_last_user() {
    let config = ConfigDir::new().rule("a", says("127.12.0.1:0", "a"));
    let mut vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let mut client = RawClient::connect(addr).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.exchange(request).await.unwrap();
    // The daemon closes first, so its side is the one that lingers.
    assert!(client.is_closed_by_peer(LIMIT).await);
    drop(client);
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    config.write_rule("a", says(&addr.to_string(), "again"));
    let vaned = Vaned::start(&config).await;
    assert_eq!("again", said(addr).await.unwrap());
    assert_eq!(json!(1), listener(&vaned, &addr.to_string()).await["attempts"]);
}

/// S14. An unchanged listener keeps its socket: the kernel's port for port 0 stays.
#[tokio::test]
async fn an_unchanged_listener_keeps_its_socket_over_reloads() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "0"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    for text in 1..=5 {
        config.write_rule("a", says("127.0.0.1:0", &text.to_string()));
        vaned.reload().await;
        assert_eq!(addr, vaned.only_addr().await);
        // The next accept sees the new graph.
        assert_eq!(text.to_string(), said(addr).await.unwrap());
    }
    let now = listener(&vaned, "127.0.0.1:0").await;
    assert_eq!((&json!(5), &json!(1)), (&now["accepted"], &now["attempts"]));
    assert_eq!(stats(&vaned).await["generation"], now["generation"]);
}

/// S14. Who waits in the kernel's queue while a reload happens is served.
#[tokio::test]
async fn a_connection_in_the_queue_is_served_after_a_reload() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "old"));
    let vaned = Vaned::start(&config).await;
    let mut waiting = queued(&vaned, vaned.only_addr().await).await;
    config.write_rule("a", says("127.0.0.1:0", "new"));
    vaned.signal(Signal::HUP);
    vaned.signal(Signal::CONT);
    for client in &mut waiting {
        let text = client.read_response().await.unwrap().text();
        assert!(["old", "new"].contains(&&*text), "{text}");
    }
    until_said(vaned.only_addr().await, "new").await;
}

/// S14. Who waits in the queue of a listener that is removed has been let in by the kernel, and
/// is served by the last graph that had the listener.
#[tokio::test]
async fn a_connection_in_the_queue_of_a_removed_listener_is_served() {
    let config = ConfigDir::new()
        .rule("gone", says("127.0.0.1:0", "gone"))
        .rule("kept", says("127.0.0.2:0", "kept"));
    let vaned = Vaned::start(&config).await;
    let mut waiting = queued(&vaned, vaned.addr("127.0.0.1:0").await).await;
    config.remove("rules/gone.json");
    vaned.signal(Signal::HUP);
    vaned.signal(Signal::CONT);
    for client in &mut waiting {
        assert_eq!("gone", client.read_response().await.unwrap().text());
    }
}

/// S14. In-flight connections of a removed listener finish on the graph that they captured.
#[tokio::test]
async fn connections_of_a_removed_listener_finish() {
    let (origin, target) = (HttpOrigin::start().await, TcpOrigin::start(Behaviour::Echo).await);
    let config = removable(&origin, &target);
    let vaned = Vaned::start(&config).await;
    let (web, raw) = (vaned.addr("127.0.0.1:0").await, vaned.addr("127.0.0.2:0").await);
    let mut client = RawClient::connect(web).await.unwrap();
    let mut idle = RawClient::connect(web).await.unwrap();
    idle.get("/", "a").await.unwrap();
    client.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    origin.gate("held").wait_for(1, LIMIT).await;
    let mut tunnel = RawClient::connect(raw).await.unwrap();
    assert_eq!(b"one".to_vec(), echoed(&mut tunnel, b"one").await);
    remove_all(&config, &vaned).await;
    for addr in [web, raw] {
        assert_eq!(Some(Failure::Refused), RawClient::connect(addr).await.err());
    }
    let leaving = listener(&vaned, "127.0.0.1:0").await;
    assert_eq!((&json!("draining"), &json!(2)), (&leaving["state"], &leaving["connections"]));
    assert_eq!(b"two".to_vec(), echoed(&mut tunnel, b"two").await);
    let last = idle.get("/", "a").await.unwrap();
    assert_eq!((200, false), (last.status, last.keeps_alive()));
    origin.gate("held").open();
    assert_eq!("held", client.read_response().await.unwrap().text());
    tunnel.half_close().await.unwrap();
    tunnel.read_to_end().await.unwrap();
    drop((client, idle, tunnel));
    until("nothing but the kept listener", LIMIT, async || vaned.listeners().await.len() == 1)
        .await;
}

/// S14. They get the drain's budget, and no more.
#[tokio::test]
async fn connections_of_a_removed_listener_end_with_the_budget() {
    let (origin, target) = (HttpOrigin::start().await, TcpOrigin::start(Behaviour::Echo).await);
    let config = removable(&origin, &target);
    let vaned = Vaned::builder(&config).env("VANE_DRAIN_TIMEOUT_SECS", "1").start().await;
    let mut client = RawClient::connect(vaned.addr("127.0.0.1:0").await).await.unwrap();
    client.send("GET /gate/never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    origin.gate("never").wait_for(1, LIMIT).await;
    let mut tunnel = RawClient::connect(vaned.addr("127.0.0.2:0").await).await.unwrap();
    echoed(&mut tunnel, b"one").await;
    remove_all(&config, &vaned).await;
    assert!(!tunnel.is_closed_by_peer(Duration::from_millis(500)).await);
    assert!(tunnel.is_closed_by_peer(Duration::from_secs(3)).await);
    assert!(client.is_closed_by_peer(Duration::from_secs(3)).await);
    until("nothing but the kept listener", LIMIT, async || vaned.listeners().await.len() == 1)
        .await;
    assert_eq!("kept", said(vaned.only_addr().await).await.unwrap());
}

/// S14. A listener that comes back while its old connections drain is a new one on the old
/// address.
#[tokio::test]
async fn a_listener_can_come_back_while_its_old_connections_drain() {
    let origin = HttpOrigin::start().await;
    let config = ConfigDir::new().rule("a", forwards("127.0.0.1:0", &origin.url()));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let fixed = addr.to_string();
    config.write_rule("a", forwards(&fixed, &origin.url()));
    vaned.reload().await;
    let mut client = RawClient::connect(addr).await.unwrap();
    client.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    origin.gate("held").wait_for(1, LIMIT).await;
    config.write_rule("a", says("127.0.0.2:0", "elsewhere"));
    vaned.reload().await;
    config.write_rule("a", says(&fixed, "back"));
    vaned.reload().await;
    assert_eq!("back", said(addr).await.unwrap());
    origin.gate("held").open();
    assert_eq!("held", client.read_response().await.unwrap().text());
}

/// S14. Replacing an address by the wildcard over it is one reload: the old socket goes first.
#[tokio::test]
async fn an_address_can_be_replaced_by_the_wildcard_over_it() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "narrow"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let wide = format!("0.0.0.0:{}", addr.port());
    config.write_rule("a", says(&wide, "wide"));
    vaned.reload().await;
    assert_eq!("wide", said(addr).await.unwrap());
    assert_eq!(json!(1), listener(&vaned, &wide).await["attempts"]);
}

/// S14. Listeners appear, change and disappear while others carry load; nothing is lost.
#[tokio::test]
async fn listeners_come_and_go_under_load() {
    let origin = HttpOrigin::start().await;
    let config = ConfigDir::new().rule("kept", forwards("127.0.0.1:0", &origin.url()));
    let vaned = Vaned::start(&config).await;
    let mix = Mix::new("a").get("/headers").post("/echo", 5000).pause(Duration::from_millis(4));
    let load = keep_alive_clients(8, vaned.only_addr().await, &mix);
    for round in 0..8 {
        config.write_rule("side", says("127.0.0.2:0", &round.to_string()));
        vaned.reload().await;
        let side = vaned.addr("127.0.0.2:0").await;
        assert_eq!(round.to_string(), said(side).await.unwrap());
        config.write_rule("side", says("127.0.0.2:0", "changed"));
        vaned.reload().await;
        assert_eq!(side, vaned.addr("127.0.0.2:0").await);
        assert_eq!("changed", said(side).await.unwrap());
        config.remove("rules/side.json");
        vaned.reload().await;
        assert_eq!(Some(Failure::Refused), RawClient::connect(side).await.err());
        load.more_answers(20).await;
    }
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, origin.count());
}

/// S14. Whoever connects while a listener goes is refused or answered, and nothing in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_while_its_listener_goes_is_refused_or_answered() {
    const ADDRESSES: u8 = 12;
    let config = ConfigDir::new().rule("kept", says("127.0.0.1:0", "kept"));
    let vaned = Vaned::start(&config).await;
    for _ in 0..6 {
        let listen: Vec<_> = (1..=ADDRESSES).map(|host| format!("127.15.0.{host}:0")).collect();
        config.write_rule("side", json!({ "listen": listen, "respond": { "body": "side" } }));
        vaned.reload().await;
        let mut clients = tokio::task::JoinSet::new();
        for listen in &listen {
            let addr = vaned.addr(listen).await;
            clients.spawn(async move {
                loop {
                    match said(addr).await {
                        Ok(_) => {}
                        Err(failure) => return failure,
                    }
                }
            });
        }
        config.remove("rules/side.json");
        vaned.reload().await;
        while let Some(failure) = clients.join_next().await {
            assert_eq!(Failure::Refused, failure.unwrap());
        }
    }
}

/// S14. S13. An added listener starts with bind retry, and the reload does not wait for it.
#[tokio::test]
async fn an_added_listener_that_cannot_be_bound_yet_holds_up_no_reload() {
    let held = TcpListener::bind("127.14.0.1:0").unwrap();
    let taken: SocketAddr = held.local_addr().unwrap();
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "old"));
    let starting = Vaned::builder(&config)
        .env("VANE_BIND_BACKOFF_INITIAL_MS", "20")
        .env("VANE_BIND_BACKOFF_MAX_MS", "50")
        .env("VANE_BIND_MAX_ATTEMPTS", "100000");
    let vaned = starting.start().await;
    config.write_rule("a", says("127.0.0.1:0", "new"));
    config.write_rule("b", says(&taken.to_string(), "late"));
    vaned.reload().await;
    assert_eq!("new", said(vaned.addr("127.0.0.1:0").await).await.unwrap());
    assert_eq!("binding", listener(&vaned, &taken.to_string()).await["state"]);
    drop(held);
    until_said(taken, "late").await;
}

/// Clients that the kernel has let in while the daemon stands still, with a request sent.
async fn queued(vaned: &Vaned, addr: SocketAddr) -> Vec<RawClient> {
    vaned.signal(Signal::STOP);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = RawClient::connect(addr).await.unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    clients
}

fn removable(origin: &HttpOrigin, target: &TcpOrigin) -> ConfigDir {
    ConfigDir::new()
        .rule("web", forwards("127.0.0.1:0", &origin.url()))
        .rule("raw", tunnel("127.0.0.2:0", target))
        .rule("kept", says("127.0.0.3:0", "kept"))
}

fn tunnel(listen: &str, target: &TcpOrigin) -> Value {
    json!({ "listen": listen, "tunnel": target.addr().to_string() })
}

async fn remove_all(config: &ConfigDir, vaned: &Vaned) {
    config.remove("rules/web.json");
    config.remove("rules/raw.json");
    vaned.reload().await;
}

async fn echoed(client: &mut RawClient, bytes: &[u8]) -> Vec<u8> {
    client.send(bytes).await.unwrap();
    client.read_exactly(bytes.len()).await.unwrap()
}
