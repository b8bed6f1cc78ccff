use std::net::SocketAddr;
use std::time::{Duration, Instant};

use integration::failure::Failure;
use integration::h2_client::H2Client;
use integration::http_origin::HttpOrigin;
use integration::raw_client::RawClient;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::wait::{pass, until};
use integration::websocket::WebSocket;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::rig::{Daemon, Door, LIMIT, Rig, Settings};

scenarios!(
    what_is_in_flight_at_the_end_finishes,
    what_does_not_finish_is_cut_off_and_counted_by_kind,
    an_end_under_load_within_the_grace_of_the_keeper_loses_nothing,
);

/// S21. S10. An answer over HTTP/1.1, one over HTTP/2, a WebSocket and a tunnel: both ends of each see
/// it through.
async fn what_is_in_flight_at_the_end_finishes<R: Rig>(rig: R) {
    let mut stage = Stage::set(&rig, 60).await;
    let mut open = Open::start(&stage, "held").await;
    stage.daemon.signal(Signal::TERM).await;
    until("the listeners to close", LIMIT, async || {
        RawClient::connect(stage.web).await.err() == Some(Failure::Refused)
    })
    .await;
    assert!(stage.daemon.is_running().await, "something is in flight");
    assert_eq!("still here", open.socket.echo("still here").await.unwrap());
    assert_eq!(b"after".to_vec(), echoed(&mut open.tunnel, b"after").await);
    stage.origin.gate("held").open();
    let answer = open.http1.read_response().await.unwrap();
    assert_eq!((200, false), (answer.status, answer.keeps_alive()));
    assert_eq!(Ok(200), open.stream.await.unwrap());
    open.socket.close(1000).await.unwrap();
    open.tunnel.half_close().await.unwrap();
    assert_eq!(Vec::<u8>::new(), open.tunnel.read_to_end().await.unwrap());
    assert_eq!(0, stage.daemon.exit_status(LIMIT).await);
    assert_eq!((3, 0), (stage.origin.count(), stage.origin.abandoned()));
    assert_eq!((11, 11), (stage.target.received(), stage.target.sent()));
    stage.daemon.until_logged(&["everything in flight has finished"]).await;
}

/// S21. S10. The budget ends the rest, and the log counts what that was.
async fn what_does_not_finish_is_cut_off_and_counted_by_kind<R: Rig>(rig: R) {
    let mut stage = Stage::set(&rig, 1).await;
    let mut open = Open::start(&stage, "never").await;
    let begun = Instant::now();
    assert_eq!(0, stage.daemon.stop(LIMIT).await, "the daemon ends by itself");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < LIMIT, "{took:?}");
    let line = stage.daemon.until_logged(&["the budget is spent"]).await;
    for count in ["1 http1", "1 http2", "1 upgrade", "1 tunnel"] {
        assert!(line.contains(count), "{count}: {line}");
    }
    assert!(open.http1.read_response().await.is_err());
    assert!(open.stream.await.unwrap().is_err());
    assert!(open.socket.receive().await.is_err());
    assert!(open.tunnel.is_closed_by_peer(LIMIT).await);
    until("both requests to be given up", LIMIT, async || stage.origin.abandoned() == 2).await;
}

/// S21. S10. Its keeper asks it to end, and kills it later than the drain needs: each request that was
/// sent is answered, and whoever is told to come back finds the door closed in good order.
async fn an_end_under_load_within_the_grace_of_the_keeper_loses_nothing<R: Rig>(rig: R) {
    let mut stage = Stage::set(&rig, 60).await;
    let mut clients = JoinSet::new();
    for number in 0..24 {
        clients.spawn(slow_client(stage.web, number));
    }
    until("requests in flight", LIMIT, async || stage.origin.count() >= 24).await;
    assert_eq!(0, stage.daemon.stop(2 * LIMIT).await);
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client.unwrap().expect("no request is lost");
    }
    assert_eq!((answered, 0), (stage.origin.count(), stage.origin.abandoned()));
    stage.daemon.until_logged(&["everything in flight has finished"]).await;
}

struct Stage<D> {
    origin: HttpOrigin,
    target: TcpOrigin,
    daemon: D,
    web: SocketAddr,
    tunnel: SocketAddr,
}

impl<D: Daemon> Stage<D> {
    async fn set<R: Rig<Daemon = D>>(rig: &R, budget_secs: u32) -> Self {
        let (origin, target) = (rig.origin().await, rig.tcp_origin(Behaviour::Echo).await);
        rig.forwards("web", Door::Clear, &origin.url());
        let tunnel = json!({ "listen": rig.door(Door::Tunnel).written, "tunnel": target.addr() });
        rig.config().write_rule("tunnel", tunnel);
        let daemon = rig.start(&Settings::drains_for(budget_secs)).await;
        let web = rig.v4(&daemon, Door::Clear).await;
        let tunnel = rig.v4(&daemon, Door::Tunnel).await;
        Self { origin, target, daemon, web, tunnel }
    }
}

/// One of each kind under way.
struct Open {
    http1: RawClient,
    stream: tokio::task::JoinHandle<Result<u16, Failure>>,
    socket: WebSocket,
    tunnel: RawClient,
}

impl Open {
    async fn start<D>(stage: &Stage<D>, gate: &str) -> Self {
        let path = format!("/gate/{gate}");
        let mut http1 = RawClient::connect(stage.web).await.unwrap().with_limit(LIMIT);
        http1.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await.unwrap();
        let h2 = H2Client::connect(stage.web).await.unwrap().with_limit(LIMIT);
        let stream = tokio::spawn(async move { h2.get(&path).await.map(|answer| answer.status) });
        stage.origin.gate(gate).wait_for(2, LIMIT).await;
        let socket = WebSocket::connect(stage.web, "/ws", "a").await.unwrap();
        let mut tunnel = RawClient::connect(stage.tunnel).await.unwrap();
        assert_eq!(b"before".to_vec(), echoed(&mut tunnel, b"before").await);
        Self { http1, stream, socket, tunnel }
    }
}

async fn echoed(client: &mut RawClient, bytes: &[u8]) -> Vec<u8> {
    client.send(bytes).await.unwrap();
    client.read_exactly(bytes.len()).await.unwrap()
}

/// Sends slow requests until it is told to leave and finds nobody; yields how many were answered.
async fn slow_client(addr: SocketAddr, number: u64) -> Result<u64, Failure> {
    let mut answered = 0;
    let mut client = RawClient::connect(addr).await?.with_limit(LIMIT);
    loop {
        let answer = client.get(&format!("/slow/{}", 200 + number * 20), "a").await?;
        assert_eq!(200, answer.status);
        answered += 1;
        if answer.keeps_alive() {
            pass(Duration::from_millis(number)).await;
            continue;
        }
        // In a container the address goes with it.
        let found = tokio::time::timeout(Duration::from_secs(1), RawClient::connect(addr)).await;
        return match found {
            Ok(Ok(_)) => panic!("somebody listens after a goodbye"),
            _ => Ok(answered),
        };
    }
}
