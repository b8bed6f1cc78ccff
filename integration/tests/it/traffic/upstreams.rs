//! Servers that fail, close, or come in many forms; and the connections kept to them.

use std::sync::Arc;
use std::time::Duration;

use integration::accept::Acceptor;
use integration::config_dir::ConfigDir;
use integration::http_origin::HttpOrigin;
use integration::load::{Mix, keep_alive_clients, posts};
use integration::wait::{pass, until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::rig::{LIMIT, Rig, Strict, get_with, on_loopback, post, proxied};

/// An origin that says what the test gave it: for each request on a connection the next answer,
/// then the end of the connection.
pub(super) struct Scripted {
    addr: std::net::SocketAddr,
    _acceptor: Acceptor,
}

impl Scripted {
    /// One list of answers for each connection, in the order in which they come.
    pub(super) async fn start(connections: Vec<Vec<&'static str>>) -> Self {
        let connections = Arc::new(connections);
        Self::serve(move |stream, number| {
            let connections = connections.clone();
            async move {
                let answers = connections.get(number as usize - 1).cloned().unwrap_or_default();
                let _ = say(stream, &answers).await;
            }
        })
        .await
    }

    /// Answers once `awaited` has come in somewhere, and keeps the connection.
    pub(super) async fn start_after(awaited: Vec<u8>, answer: &'static str) -> Self {
        let awaited = Arc::new(awaited);
        Self::serve(move |mut stream, _| {
            let awaited = awaited.clone();
            async move {
                let _ = read_until(&mut stream, &awaited).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        })
        .await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    async fn serve<F>(serve: impl Fn(TcpStream, u64) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        Self { addr, _acceptor: Acceptor::start(listener, serve) }
    }
}

async fn say(mut stream: TcpStream, answers: &[&str]) -> std::io::Result<()> {
    for answer in answers {
        read_until(&mut stream, b"\r\n\r\n").await?;
        stream.write_all(answer.as_bytes()).await?;
    }
    // Until the peer has closed as well, so that it gets no reset.
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn read_until(stream: &mut TcpStream, awaited: &[u8]) -> std::io::Result<()> {
    let mut seen = Vec::new();
    while !seen.windows(awaited.len()).any(|window| window == awaited) {
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// What a client is told when the server could not be spoken to.
async fn failure_of(to: serde_json::Value) -> (u16, String) {
    let rig = Rig::ruled(json!({ "forward": to })).await;
    let answer = rig.get("/").await;
    (answer.status, answer.header("proxy-status").unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_server_that_refuses_is_a_bad_gateway() {
    let origin = HttpOrigin::start().await;
    let url = origin.url();
    drop(origin);
    let (status, why) = failure_of(json!(url)).await;
    assert_eq!((502, "vane; error=connection_refused"), (status, &*why));
    let (status, why) = failure_of(json!("unix:/nonexistent/socket")).await;
    assert_eq!((502, "vane; error=connection_refused"), (status, &*why));
}

#[tokio::test]
async fn a_name_without_address_is_a_bad_gateway() {
    let (status, why) = failure_of(json!("http://nowhere.invalid")).await;
    assert_eq!((502, "vane; error=dns_error"), (status, &*why));
}

#[tokio::test]
async fn a_server_that_does_not_accept_is_a_gateway_timeout() {
    let full = FullBacklog::new().await;
    let to = json!({ "to": format!("http://{}", full.addr), "timeout": { "connect": "200ms" } });
    let (status, why) = failure_of(to).await;
    assert_eq!((504, "vane; error=connection_timeout"), (status, &*why));
}

#[tokio::test]
async fn what_is_no_http_is_a_bad_gateway() {
    for answer in [
        "220 smtp.example.com ESMTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let origin = Scripted::start(vec![vec![answer]]).await;
        let rig = Rig::forwarding(&origin.url()).await;
        let got = rig.get("/").await;
        assert_eq!(502, got.status, "{answer:?}");
        let why = got.header("proxy-status").unwrap();
        assert_eq!("vane; error=http_protocol_error", why, "{answer:?}");
    }
}

#[tokio::test]
async fn connections_that_the_server_closes_while_idle_cost_no_client_an_error() {
    let (origin, rig) = proxied().await;
    let mix = Mix::new("a").get("/bytes/10").get("/chunked/5000").pause(Duration::from_millis(2));
    let load = keep_alive_clients(12, rig.addr, &mix);
    for _ in 0..40 {
        load.more_answers(10).await;
        origin.close_idle_now().await;
    }
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, origin.count());
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());
}

/// HTTP/1.1 has no way to learn whether a request was processed whose connection ended under it
/// (RFC 9110 §9.2.2), so one that must not be repeated is answered 502 then.
#[tokio::test]
async fn a_post_is_never_sent_twice_wherever_its_connection_ends() {
    let (origin, rig) = proxied().await;
    let load = posts(8, rig.addr, "a", &[0, 10, 5000, 100_000]);
    for _ in 0..30 {
        load.more_answers(8).await;
        origin.close_idle_now().await;
    }
    let tally = load.stop().await;
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());
    assert_eq!(tally.wrong, tally.failures(), "{tally}");
    assert_eq!(tally.sent, tally.answered + tally.wrong, "{tally}");
    assert!(tally.problems.iter().all(|problem| problem.contains("status 502")), "{tally}");
    assert!(tally.answered > tally.wrong, "{tally}");
}

#[tokio::test]
async fn a_post_does_not_meet_the_idle_timeout_of_its_server() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        assert_eq!("x", client.post("/echo", "a", b"x").await.unwrap().text());
    }
    assert_eq!(1, origin.connections_accepted());
    pass(Duration::from_millis(1100)).await;
    assert_eq!("x", client.post("/echo", "a", b"x").await.unwrap().text());
    assert_eq!(2, origin.connections_accepted());
    assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
    assert_eq!(2, origin.connections_accepted());
}

#[tokio::test]
async fn connections_that_the_server_closes_after_some_requests_cost_no_client_an_error() {
    let origin = Strict::of(HttpOrigin::builder().max_requests_per_connection(3)).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mix = Mix::new("a").get("/bytes/10").post("/echo", 3000).get("/close-unannounced");
    let load = keep_alive_clients(8, rig.addr, &mix);
    load.more_answers(600).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, origin.count());
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());
}

#[tokio::test]
async fn servers_take_turns() {
    let (one, two) = (named("one").await, named("two").await);
    let rig = Rig::ruled(json!({ "forward": { "to": [one.url(), two.url()] } })).await;
    let mut client = rig.client().await;
    for _ in 0..10 {
        assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
    }
    assert_eq!((5, 5), (one.count(), two.count()));
}

#[tokio::test]
async fn servers_get_requests_by_their_weight() {
    let (one, two) = (named("one").await, named("two").await);
    let servers = json!([one.url(), { "url": two.url(), "weight": 3 }]);
    let config = ConfigDir::new()
        .config(json!({ "upstreams": { "app": { "servers": servers } } }))
        .rule("all", on_loopback(json!({ "forward": "app" })));
    let rig = Rig::of(config).await;
    let mut client = rig.client().await;
    let mut answered = Vec::new();
    for _ in 0..12 {
        let answer = client.get("/bytes/1", "a").await.unwrap();
        answered.push(answer.header("x-origin").unwrap().to_owned());
    }
    assert_eq!((3, 9), (one.count(), two.count()), "{answered:?}");
}

#[tokio::test]
async fn a_server_is_reached_over_ipv6_and_over_a_unix_socket() {
    let origin = Strict::of(HttpOrigin::builder().ipv6()).await;
    let rig = Rig::forwarding(&origin.url()).await;
    assert_eq!(7, rig.get("/bytes/7").await.body.len());

    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("origin.sock");
    let origin = Strict::of(HttpOrigin::builder().unix(&path)).await;
    let rig = Rig::ruled(json!({ "forward": { "to": origin.url(), "host": "upstream" } })).await;
    assert_eq!(8, rig.get("/bytes/8").await.body.len());
    assert_eq!(Some("localhost"), origin.only_request().header("host"));
    assert_eq!(200, rig.exchange(post("/echo", b"x")).await.unwrap().status);
    assert_eq!(1, origin.connections_accepted());
}

#[tokio::test]
async fn a_post_survives_a_server_that_has_just_closed() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for round in 1..=100 {
        assert_eq!(200, client.exchange(post("/echo", b"x")).await.unwrap().status, "{round}");
        until("the connection to be idle", LIMIT, async || origin.connections_idle() == 1).await;
        assert_eq!(1, origin.close_idle_now().await);
    }
    assert_eq!((100, 100), (origin.count(), origin.connections_accepted()));
}

#[tokio::test]
async fn a_server_that_is_back_is_used_at_once() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
    origin.refuse();
    until("the connection to be idle", LIMIT, async || origin.connections_idle() == 1).await;
    origin.close_idle_now().await;
    until("the origin to refuse", LIMIT, async || TcpStream::connect(origin.addr()).await.is_err())
        .await;
    assert_eq!(502, client.get("/bytes/1", "a").await.unwrap().status);
    let listener = TcpListener::bind(origin.addr()).await.unwrap();
    let request = get_with("/", "");
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback").await.unwrap();
        stream
    };
    let (_stream, answer) = tokio::join!(serving, client.exchange(request));
    assert_eq!("back", answer.unwrap().text());
}

async fn named(name: &str) -> Strict {
    Strict::of(HttpOrigin::builder().name(name)).await
}

/// A listening socket whose queue is full, so that the kernel lets new connections wait.
pub(super) struct FullBacklog {
    pub(super) addr: std::net::SocketAddr,
    _listener: std::net::TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullBacklog {
    pub(super) async fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap().into_std().unwrap();
        let addr = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(addr)).await {
            waiting.push(stream.unwrap());
        }
        Self { addr, _listener: listener, _waiting: waiting }
    }
}
