//! WebSockets and other protocols that a request changes to.

use integration::accept::Acceptor;
use integration::load::{Mix, websocket_clients};
use integration::wait::until;
use integration::websocket::WebSocket;
use integration::ws_frame::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::rig::{LIMIT, Rig, get_with, proxied};

#[tokio::test]
async fn a_websocket_echoes_through() {
    let (origin, rig) = proxied().await;
    let mut socket = WebSocket::connect(rig.addr, "/ws", "example.com").await.unwrap();
    for text in ["one", "two", &"long".repeat(50_000)] {
        assert_eq!(text, socket.echo(text).await.unwrap());
    }
    socket.send(&Frame::Ping(b"p".to_vec())).await.unwrap();
    assert_eq!(Frame::Pong(b"p".to_vec()), socket.receive().await.unwrap());
    assert_eq!(1000, socket.close(1000).await.unwrap());
    let seen = origin.only_request();
    assert_eq!(Some("websocket"), seen.header("upgrade"));
    assert!(seen.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    until("the upstream connection to end", LIMIT, async || origin.connections_open() == 0).await;
    until("the client's connection to end", LIMIT, async || rig.open().await == 0).await;
}

#[tokio::test]
async fn many_websockets_run_at_once() {
    let (_origin, rig) = proxied().await;
    let load = websocket_clients(16, rig.addr, "/ws", &Mix::new("example.com"));
    load.more_answers(400).await;
    load.stop().await.assert_nothing_lost();
}

#[tokio::test]
async fn bytes_right_behind_the_switch_are_not_lost() {
    let origin = Switching::start(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
        Upgrade: chatter/2\r\n\r\nserver first,",
    )
    .await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mut client = rig.client().await;
    let fields = "Connection: upgrade\r\nUpgrade: chatter/2\r\n";
    client.send(get_with("/chat", fields)).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!((101, Some("chatter/2")), (answer.status, answer.header("upgrade")));
    assert_eq!(b"server first,".to_vec(), client.read_exactly(13).await.unwrap());
    client.send("GET \0\r\n no HTTP at all").await.unwrap();
    assert_eq!(b"GET \0\r\n no HTTP at all".to_vec(), client.read_exactly(22).await.unwrap());
    client.half_close().await.unwrap();
    assert_eq!(b"end".to_vec(), client.read_to_end().await.unwrap());
}

#[tokio::test]
async fn bytes_in_one_packet_with_the_asking_are_not_lost() {
    let origin = Switching::start(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
        Upgrade: chatter\r\n\r\n",
    )
    .await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mut client = rig.client().await;
    let request = get_with("/chat", "Connection: upgrade\r\nUpgrade: chatter\r\n") + "\u{1}eager\n";
    client.send(request).await.unwrap();
    assert_eq!(101, client.read_response().await.unwrap().status);
    assert_eq!(b"\x01eager\n".to_vec(), client.read_exactly(7).await.unwrap());
}

#[tokio::test]
async fn a_refused_upgrade_leaves_the_connection_usable() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for path in ["/bytes/3", "/status/400"] {
        let answer = client.exchange(get_with(path, fields)).await.unwrap();
        assert!(answer.status != 101 && answer.header("upgrade").is_none());
        assert!(answer.keeps_alive());
    }
    assert_eq!(4, client.get("/bytes/4", "a").await.unwrap().body.len());
    assert_eq!((3, 1), (origin.count(), origin.connections_accepted()));
}

#[tokio::test]
async fn an_upgrade_to_more_http_is_not_asked_for() {
    let (origin, rig) = proxied().await;
    for protocol in ["h2c", "TLS/1.2", "HTTP/2.0"] {
        let fields = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n");
        let answer = rig.exchange(get_with("/bytes/3", &fields)).await.unwrap();
        assert_eq!(200, answer.status);
    }
    for seen in origin.requests() {
        assert_eq!((None, None), (seen.header("upgrade"), seen.header("connection")));
    }
}

#[tokio::test]
async fn an_http10_client_cannot_upgrade() {
    let (origin, rig) = proxied().await;
    let request = "GET /ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    assert_eq!(200, rig.exchange(request).await.unwrap().status);
    assert_eq!(None, origin.only_request().header("upgrade"));
}

#[tokio::test]
async fn connect_is_refused_and_the_connection_closed() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let request = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
    let answer = client.exchange(request).await.unwrap();
    assert!(matches!(answer.status, 400 | 405 | 501), "{}", answer.status);
    assert!(client.is_closed_by_peer(LIMIT).await);
    assert_eq!(0, origin.count());
}

/// An origin that switches protocols, then echoes, and says `end` after the client's last byte.
pub(super) struct Switching {
    pub(super) addr: std::net::SocketAddr,
    _acceptor: Acceptor,
}

impl Switching {
    pub(super) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serve = move |stream, _| async move { drop(switch(stream, answer).await) };
        Self { addr, _acceptor: Acceptor::start(listener, serve) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

async fn switch(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(answer.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.write_all(b"end").await?;
    writer.shutdown().await
}
