use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::h2_client::{Ending, H2Client};
use integration::http_origin::HttpOrigin;
use integration::raw_client::RawClient;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::vaned::Vaned;
use integration::wait::until;
use integration::websocket::WebSocket;
use serde_json::{Value, json};

use super::{LIMIT, said, says, stats};

/// S15. A request in flight finishes with the graph that it began with.
#[tokio::test]
async fn a_request_in_flight_finishes_on_the_old_graph() {
    let rig = Rig::start("old").await;
    let mut client = rig.client().await;
    client.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    rig.origin.gate("held").wait_for(1, LIMIT).await;
    rig.reload_to("new").await;
    assert_eq!("new", rig.mark().await);
    rig.origin.gate("held").open();
    let answer = client.read_response().await.unwrap();
    assert_eq!(Some("old"), answer.header("x-graph"));
    assert!(!answer.keeps_alive());
}

/// S15. Not even when everything that it stands on is gone from the configuration.
#[tokio::test]
async fn a_request_in_flight_outlives_its_rule_its_upstream_and_its_listener() {
    let rig = Rig::start("old").await;
    let (mut client, h2) = (rig.client().await, rig.h2_client().await);
    client.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let stream = tokio::spawn(async move { h2.get("/gate/held").await });
    rig.origin.gate("held").wait_for(2, LIMIT).await;
    rig.config.write_rule("a", says("127.0.0.2:0", "else"));
    for _ in 0..3 {
        rig.vaned.reload().await;
    }
    assert_eq!(Some(Failure::Refused), RawClient::connect(rig.addr).await.err());
    rig.origin.gate("held").open();
    assert_eq!(Some("old"), client.read_response().await.unwrap().header("x-graph"));
    assert_eq!(Some("old"), stream.await.unwrap().unwrap().header("x-graph"));
}

/// S15. S16. The next request of a kept-alive connection is answered and told to come back, so
/// that a change reaches every client within one request.
#[tokio::test]
async fn an_idle_connection_is_told_to_come_back_with_its_next_answer() {
    let rig = Rig::start("old").await;
    let mut client = rig.client().await;
    assert!(client.get("/", "a").await.unwrap().keeps_alive());
    rig.reload_to("new").await;
    // Nobody slams it shut meanwhile.
    assert!(!client.is_closed_by_peer(std::time::Duration::from_millis(500)).await);
    let answer = client.get("/", "a").await.unwrap();
    assert_eq!((200, false), (answer.status, answer.keeps_alive()));
    assert!(client.is_closed_by_peer(LIMIT).await);
    let mut again = rig.client().await;
    let answer = again.get("/", "a").await.unwrap();
    assert_eq!((Some("new"), true), (answer.header("x-graph"), answer.keeps_alive()));
}

/// S15. An HTTP/2 connection gets GOAWAY, and not a stream of it is lost.
#[tokio::test]
async fn an_http2_connection_is_told_to_come_back_and_finishes_its_streams() {
    let rig = Rig::start("old").await;
    let h2 = rig.h2_client().await;
    let streams: Vec<_> = (0..8)
        .map(|_| {
            let h2 = h2.clone();
            tokio::spawn(async move { h2.get("/gate/held").await })
        })
        .collect();
    rig.origin.gate("held").wait_for(8, LIMIT).await;
    rig.reload_to("new").await;
    until("GOAWAY", LIMIT, async || h2.ending() == Some(Ending::Graceful)).await;
    rig.origin.gate("held").open();
    for stream in streams {
        assert_eq!(Some("old"), stream.await.unwrap().unwrap().header("x-graph"));
    }
    h2.ended(LIMIT).await.unwrap();
    let again = rig.h2_client().await;
    assert_eq!(Some("new"), again.get("/").await.unwrap().header("x-graph"));
}

/// S15. WebSockets and tunnels run on over any number of reloads.
#[tokio::test]
async fn websockets_and_tunnels_run_on() {
    let target = TcpOrigin::start(Behaviour::Echo).await;
    let rig = Rig::start("old").await;
    let tunnel = json!({ "listen": "127.0.0.2:0", "tunnel": target.addr().to_string() });
    rig.config.write_rule("tunnel", tunnel);
    rig.vaned.reload().await;
    let mut socket = WebSocket::connect(rig.addr, "/ws", "a").await.unwrap();
    let mut tunnel = RawClient::connect(rig.vaned.addr("127.0.0.2:0").await).await.unwrap();
    for round in 0..4 {
        rig.reload_to(&round.to_string()).await;
        assert_eq!("hello", socket.echo("hello").await.unwrap());
        tunnel.send("hello").await.unwrap();
        assert_eq!(b"hello".to_vec(), tunnel.read_exactly(5).await.unwrap());
    }
    let view = rig.vaned.manage("get_connections", json!({})).await.unwrap();
    let shown = |protocol: &str| {
        let connections = view["connections"].as_array().unwrap();
        connections.iter().find(|each| each["protocol"] == protocol).cloned().unwrap()
    };
    let (upgrade, tunnelled) = (shown("upgrade"), shown("tunnel"));
    assert_eq!((&json!(2), &json!(2)), (&upgrade["generation"], &tunnelled["generation"]));
}

/// S15. S16. An old generation is there as long as a connection is on it, and no longer.
#[tokio::test]
async fn an_old_generation_is_freed_with_its_last_connection() {
    let rig = Rig::start("1").await;
    let mut sockets = Vec::new();
    for round in 2..=4 {
        sockets.push(WebSocket::connect(rig.addr, "/ws", "a").await.unwrap());
        rig.reload_to(&round.to_string()).await;
    }
    let lives = [[1, 1], [2, 1], [3, 1], [4, 0]];
    assert_eq!(json!(lives), generations(&rig.vaned).await);
    for gone in 1..=3 {
        sockets.remove(0).close(1000).await.unwrap();
        until("a generation to be freed", LIMIT, async || {
            let now = generations(&rig.vaned).await;
            if now == json!(lives[gone..]) { Ok(()) } else { Err(now) }
        })
        .await;
    }
}

/// S15. A listener without traffic does not keep a generation either.
#[tokio::test]
async fn a_quiet_listener_keeps_no_old_generation() {
    let config = ConfigDir::new()
        .rule("quiet", says("127.0.0.1:0", "quiet"))
        .rule("other", says("127.0.0.2:0", "0"));
    let vaned = Vaned::start(&config).await;
    assert_eq!("quiet", said(vaned.addr("127.0.0.1:0").await).await.unwrap());
    for text in ["1", "2", "3"] {
        config.write_rule("other", says("127.0.0.2:0", text));
        vaned.reload().await;
    }
    until("only the newest generation", LIMIT, async || {
        let now = generations(&vaned).await;
        let newest = stats(&vaned).await["generation"].clone();
        if now == json!([[newest, 0]]) { Ok(()) } else { Err(now) }
    })
    .await;
}

/// S16. What a rule counts begins anew with a new graph.
#[tokio::test]
async fn rate_limits_begin_anew_after_a_reload() {
    let limited = |body: &str| {
        json!({ "listen": "127.0.0.1:0",
            "use": [{ "rate_limit": { "per": "remote.ip", "rate": "1/h", "burst": 2 } }],
            "respond": { "status": 200, "body": body } })
    };
    let config = ConfigDir::new().rule("a", limited("0"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    for body in ["1", "2"] {
        let mut statuses = Vec::new();
        for _ in 0..4 {
            let mut client = RawClient::connect(addr).await.unwrap();
            statuses.push(client.get("/", "a").await.unwrap().status);
        }
        assert_eq!(vec![200, 200, 429, 429], statuses);
        config.write_rule("a", limited(body));
        vaned.reload().await;
    }
}

/// S16. A reload to the same graph is none: limits go on where they are.
#[tokio::test]
async fn rate_limits_survive_a_reload_that_changes_nothing() {
    let limited = json!({ "listen": "127.0.0.1:0",
        "use": [{ "rate_limit": { "per": "remote.ip", "rate": "1/h", "burst": 1 } }],
        "respond": { "status": 200, "body": "a" } });
    let config = ConfigDir::new().rule("a", limited);
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    for expected in [200, 429] {
        let mut client = RawClient::connect(addr).await.unwrap();
        assert_eq!(expected, client.get("/", "a").await.unwrap().status);
        assert_eq!("unchanged", vaned.reload().await["outcome"]);
    }
}

/// S16. Pools of upstream connections belong to the daemon: no reload opens them anew.
#[tokio::test]
async fn upstream_connections_survive_a_reload() {
    let rig = Rig::start("0").await;
    for round in 1..=5 {
        assert_eq!((round - 1).to_string(), rig.mark().await);
        until("the origin's connection to be idle", LIMIT, async || {
            rig.origin.connections_idle() == 1
        })
        .await;
        rig.reload_to(&round.to_string()).await;
    }
    assert_eq!(1, rig.origin.connections_accepted());
}

/// S16. The floor counts over all generations: what is open, and what was refused.
#[tokio::test]
async fn the_counters_of_the_floor_survive_a_reload() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "0"));
    let starting = Vaned::builder(&config).env("VANE_SEC_MAX_CONNECTIONS_PER_ADDRESS", "4");
    let vaned = starting.start().await;
    let addr = vaned.only_addr().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut client = RawClient::connect(addr).await.unwrap();
        client.get("/", "a").await.unwrap();
        open.push(client);
    }
    for round in 1..=2 {
        let mut fifth = RawClient::connect(addr).await.unwrap();
        assert!(fifth.is_closed_by_peer(LIMIT).await);
        let refused = &stats(&vaned).await["connections"]["refused_by_limit"];
        assert_eq!(json!(round), refused["connections_per_address"], "{refused}");
        config.write_rule("a", says("127.0.0.1:0", &round.to_string()));
        vaned.reload().await;
    }
    drop(open);
}

/// A daemon that marks each answer with the graph that it came through.
struct Rig {
    origin: HttpOrigin,
    config: ConfigDir,
    vaned: Vaned,
    addr: std::net::SocketAddr,
}

impl Rig {
    async fn start(mark: &str) -> Self {
        let origin = HttpOrigin::start().await;
        let config = ConfigDir::new().rule("a", marked(&origin, mark));
        // One worker has one pool.
        let vaned = Vaned::builder(&config).env("VANE_WORKERS", "1").start().await;
        let addr = vaned.only_addr().await;
        Self { origin, config, vaned, addr }
    }

    async fn client(&self) -> RawClient {
        RawClient::connect(self.addr).await.unwrap()
    }

    async fn h2_client(&self) -> H2Client {
        H2Client::connect(self.addr).await.unwrap()
    }

    /// The mark of an answer on a connection of its own.
    async fn mark(&self) -> String {
        let answer = self.client().await.get("/", "a").await.unwrap();
        answer.header("x-graph").unwrap_or_default().to_owned()
    }

    async fn reload_to(&self, mark: &str) {
        self.config.write_rule("a", marked(&self.origin, mark));
        self.vaned.reload().await;
    }
}

fn marked(origin: &HttpOrigin, mark: &str) -> Value {
    json!({ "listen": "127.0.0.1:0",
        "use": [{ "response_headers": { "set": { "X-Graph": mark } } }],
        "forward": origin.url() })
}

/// Each generation that is alive, with its connections.
async fn generations(vaned: &Vaned) -> Value {
    let stats = stats(vaned).await;
    let list = stats["generations"].as_array().cloned().unwrap_or_default();
    list.iter().map(|each| json!([each["generation"], each["connections"]])).collect()
}
