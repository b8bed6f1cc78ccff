use std::time::{Duration, Instant};

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::h2_client::{Ending, H2Client};
use integration::h2_raw::{DATA, H2Raw, widened};
use integration::http_origin::HttpOrigin;
use integration::raw_client::RawClient;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::vaned::Vaned;
use integration::wait::{pass, until};
use integration::websocket::WebSocket;
use rustix::process::Signal;
use serde_json::json;

use super::{LIMIT, forwards, says, stats};

/// S10. With nothing in flight there is nothing to wait for.
#[tokio::test]
async fn an_idle_daemon_ends_at_once() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    for signal in [Signal::TERM, Signal::INT] {
        let mut vaned = Vaned::start(&config).await;
        let begun = Instant::now();
        vaned.signal(signal);
        assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
        assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    }
}

/// S10. Idle connections get a fraction of a second, and nobody waits for what their clients do
/// afterwards.
#[tokio::test]
async fn idle_connections_hold_the_end_up_no_longer_than_the_grace() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut client = RawClient::connect(addr).await.unwrap();
        assert!(client.get("/", "a").await.unwrap().keeps_alive());
        kept.push(client);
    }
    let h2 = H2Client::connect(addr).await.unwrap();
    h2.get("/").await.unwrap();
    let silent = RawClient::connect(addr).await.unwrap();
    until("all to be open", LIMIT, async || stats(&vaned).await["connections"]["open"] == 10).await;
    let begun = Instant::now();
    vaned.signal(Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(Some(Ending::Graceful), h2.ending());
    drop((kept, silent));
}

/// S10. Whatever is in flight finishes within the budget.
#[tokio::test]
async fn what_is_in_flight_finishes() {
    let rig = Rig::start("30").await;
    let (mut h1, h2) = (rig.client().await, rig.h2_client().await);
    h1.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let stream = tokio::spawn(async move { h2.get("/gate/held").await });
    rig.origin.gate("held").wait_for(2, LIMIT).await;
    let mut socket = WebSocket::connect(rig.web, "/ws", "a").await.unwrap();
    let mut tunnel = RawClient::connect(rig.tunnel).await.unwrap();
    assert_eq!(b"before".to_vec(), echoed(&mut tunnel, b"before").await);
    rig.vaned.signal(Signal::TERM);
    until("the listeners to close", LIMIT, async || {
        RawClient::connect(rig.web).await.err() == Some(Failure::Refused)
    })
    .await;
    assert_eq!("draining", stats(&rig.vaned).await["state"]);
    assert_eq!("still here", socket.echo("still here").await.unwrap());
    assert_eq!(b"after".to_vec(), echoed(&mut tunnel, b"after").await);
    rig.origin.gate("held").open();
    let answer = h1.read_response().await.unwrap();
    assert_eq!((200, false), (answer.status, answer.keeps_alive()));
    assert_eq!(200, stream.await.unwrap().unwrap().status);
    socket.close(1000).await.unwrap();
    tunnel.half_close().await.unwrap();
    assert_eq!(Vec::<u8>::new(), tunnel.read_to_end().await.unwrap());
    let mut vaned = rig.vaned;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(!vaned.log_lines().iter().any(|line| line.contains("the budget is spent")));
}

/// S10. The budget ends the rest, which is counted by kind.
#[tokio::test]
async fn what_does_not_finish_is_cut_off_and_counted_by_kind() {
    let rig = Rig::start("1").await;
    let (mut h1, h2) = (rig.client().await, rig.h2_client().await);
    h1.send("GET /gate/never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let streams = [1, 2].map(|_| {
        let h2 = h2.clone();
        tokio::spawn(async move { h2.get("/gate/never").await })
    });
    rig.origin.gate("never").wait_for(3, LIMIT).await;
    let mut socket = WebSocket::connect(rig.web, "/ws", "a").await.unwrap();
    let mut tunnel = RawClient::connect(rig.tunnel).await.unwrap();
    echoed(&mut tunnel, b"hello").await;
    let begun = Instant::now();
    rig.vaned.signal(Signal::TERM);
    let mut vaned = rig.vaned;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
    let lines = vaned.log_lines();
    let line = lines.iter().find(|line| super::is_logged(line, "WARN", "the budget is spent"));
    let line = line.unwrap_or_else(|| panic!("{lines:#?}"));
    for count in ["1 http1", "2 http2", "1 upgrade", "1 tunnel"] {
        assert!(line.contains(count), "{count}: {line}");
    }
    assert!(h1.read_response().await.is_err());
    for stream in streams {
        assert!(stream.await.unwrap().is_err());
    }
    assert!(socket.receive().await.is_err());
    assert!(tunnel.is_closed_by_peer(LIMIT).await);
}

/// S10. A budget of nothing is a budget.
#[tokio::test]
async fn with_no_budget_everything_is_cut_off_at_once() {
    let rig = Rig::start("0").await;
    let mut client = rig.client().await;
    client.send("GET /gate/never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    rig.origin.gate("never").wait_for(1, LIMIT).await;
    let begun = Instant::now();
    rig.vaned.signal(Signal::TERM);
    let mut vaned = rig.vaned;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(vaned.log_lines().iter().any(|line| line.contains("1 http1")));
}

/// S10. A request that is on its way on an idle connection is answered, and told that it was the
/// last one.
#[tokio::test]
async fn a_request_on_its_way_to_an_idle_connection_is_answered_and_told_to_close() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let mut client = RawClient::connect(addr).await.unwrap();
        client.get("/", "a").await.unwrap();
        clients.spawn(async move {
            // Nearly always idle when the signal comes.
            while client.get("/", "a").await?.keeps_alive() {
                pass(Duration::from_millis(15)).await;
            }
            Ok::<_, Failure>(client.is_closed_by_peer(LIMIT).await)
        });
    }
    vaned.signal(Signal::TERM);
    while let Some(client) = clients.join_next().await {
        assert_eq!(Ok(true), client.unwrap());
    }
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// S10. HTTP/2 connections are told to go; streams under way finish, and no new ones come.
#[tokio::test]
async fn an_http2_connection_gets_goaway_and_finishes_its_streams() {
    let rig = Rig::start("30").await;
    let h2 = rig.h2_client().await;
    let streams = [1, 2, 3].map(|_| {
        let h2 = h2.clone();
        tokio::spawn(async move { h2.get("/gate/held").await })
    });
    rig.origin.gate("held").wait_for(3, LIMIT).await;
    rig.vaned.signal(Signal::TERM);
    until("GOAWAY", LIMIT, async || h2.ending() == Some(Ending::Graceful)).await;
    assert_eq!(Err(Failure::NotProcessed), h2.get("/").await.map(|answer| answer.status));
    rig.origin.gate("held").open();
    for stream in streams {
        assert_eq!(200, stream.await.unwrap().unwrap().status);
    }
    let mut vaned = rig.vaned;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// S10. A client that never answers the question behind GOAWAY holds nobody up.
#[tokio::test]
async fn a_mute_http2_client_does_not_hold_the_end_up() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::start(&config).await;
    let mut mute = RawClient::connect(vaned.only_addr().await).await.unwrap();
    mute.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    until("an HTTP/2 connection", LIMIT, async || {
        let view = vaned.manage("get_connections", json!({})).await.unwrap();
        view["connections"][0]["protocol"] == "http2"
    })
    .await;
    let begun = Instant::now();
    vaned.signal(Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
}

/// S10. A client that takes its time for an answer is not mute.
#[tokio::test]
async fn a_slow_http2_client_gets_its_answer_whole() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", &"a".repeat(5000)));
    let mut vaned = Vaned::start(&config).await;
    let mut slow = H2Raw::connect(vaned.only_addr().await).await.unwrap();
    slow.set_initial_window(10).await.unwrap();
    let (request, stream) = slow.get("/", "a");
    slow.send(&request).await.unwrap();
    while slow.next_frame().await.unwrap().kind != DATA {}
    vaned.signal(Signal::TERM);
    until("the drain", LIMIT, async || stats(&vaned).await["state"] == "draining").await;
    // Longer than the grace of idle connections, and the time that a mute client has.
    pass(Duration::from_secs(2)).await;
    slow.send(&widened(stream, 5000)).await.unwrap();
    assert_eq!(Ok(4990), slow.body(stream).await);
    drop(slow);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// S10. What is left of an answer when the budget ends is counted, also where the rest of it is
/// only waiting for the client.
#[tokio::test]
async fn an_answer_that_waits_for_its_http2_client_is_cut_off_with_the_budget() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", &"a".repeat(5000)));
    let starting = Vaned::builder(&config).env("VANE_DRAIN_TIMEOUT_SECS", "1");
    let mut vaned = starting.start().await;
    let mut slow = H2Raw::connect(vaned.only_addr().await).await.unwrap();
    slow.set_initial_window(10).await.unwrap();
    let (request, _) = slow.get("/", "a");
    slow.send(&request).await.unwrap();
    while slow.next_frame().await.unwrap().kind != DATA {}
    vaned.signal(Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(vaned.log_lines().iter().any(|line| line.contains("1 http2")));
}

/// S10. A request whose head has begun to come is in flight: it is answered when it is complete.
#[tokio::test]
async fn a_request_half_read_at_the_signal_is_answered() {
    let rig = Rig::start("30").await;
    let (mut first, mut later) = (rig.client().await, rig.client().await);
    later.get("/", "a").await.unwrap();
    for client in [&mut first, &mut later] {
        client.send("GET /late HTTP/1.1\r\nHo").await.unwrap();
    }
    until("bytes of both to be read", LIMIT, async || {
        stats(&rig.vaned).await["bytes"]["received"].as_u64() >= Some(60)
    })
    .await;
    rig.vaned.signal(Signal::TERM);
    until("the drain", LIMIT, async || stats(&rig.vaned).await["state"] == "draining").await;
    // Longer than the grace of idle connections.
    pass(Duration::from_millis(600)).await;
    for client in [&mut first, &mut later] {
        client.send("st: a\r\n\r\n").await.unwrap();
        let answer = client.read_response().await.unwrap();
        assert_eq!((200, false), (answer.status, answer.keeps_alive()));
    }
    let mut vaned = rig.vaned;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// S10. What a client has begun to say and does not finish ends with the budget as well.
#[tokio::test]
async fn a_head_that_never_ends_is_cut_off_with_the_budget() {
    let rig = Rig::start("1").await;
    let mut stuck = rig.client().await;
    stuck.send("GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut unknown = rig.client().await;
    unknown.send("PRI * H").await.unwrap();
    until("both to be open", LIMIT, async || stats(&rig.vaned).await["connections"]["open"] == 2)
        .await;
    let begun = Instant::now();
    rig.vaned.signal(Signal::TERM);
    let mut vaned = rig.vaned;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
}

/// S10. A second signal is a person who does not want to wait.
#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    let rig = Rig::start("60").await;
    let mut client = rig.client().await;
    client.send("GET /gate/never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    rig.origin.gate("never").wait_for(1, LIMIT).await;
    rig.vaned.signal(Signal::INT);
    until("the drain", LIMIT, async || stats(&rig.vaned).await["state"] == "draining").await;
    rig.vaned.signal(Signal::INT);
    let mut vaned = rig.vaned;
    assert_eq!(Some(3), vaned.exit_status(Duration::from_secs(5)).await.code());
}

/// A daemon in front of an origin and of a target of a tunnel.
struct Rig {
    origin: HttpOrigin,
    _target: TcpOrigin,
    vaned: Vaned,
    web: std::net::SocketAddr,
    tunnel: std::net::SocketAddr,
    _config: ConfigDir,
}

impl Rig {
    async fn start(budget_secs: &str) -> Self {
        let (origin, target) = (HttpOrigin::start().await, TcpOrigin::start(Behaviour::Echo).await);
        let tunnel = json!({ "listen": "127.0.0.2:0", "tunnel": target.addr().to_string() });
        let config = ConfigDir::new()
            .rule("web", forwards("127.0.0.1:0", &origin.url()))
            .rule("tunnel", tunnel);
        let starting = Vaned::builder(&config).env("VANE_DRAIN_TIMEOUT_SECS", budget_secs);
        let vaned = starting.start().await;
        let (web, tunnel) = (vaned.addr("127.0.0.1:0").await, vaned.addr("127.0.0.2:0").await);
        Self { origin, _target: target, vaned, web, tunnel, _config: config }
    }

    async fn client(&self) -> RawClient {
        RawClient::connect(self.web).await.unwrap()
    }

    async fn h2_client(&self) -> H2Client {
        H2Client::connect(self.web).await.unwrap()
    }
}

async fn echoed(client: &mut RawClient, bytes: &[u8]) -> Vec<u8> {
    client.send(bytes).await.unwrap();
    client.read_exactly(bytes.len()).await.unwrap()
}
