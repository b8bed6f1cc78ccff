//! Where one side is done before the other: answers before the end of a request, upgrades while a
//! connection is leaving, clients that take their time.

use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::raw_client::RawClient;
use integration::tcp_origin::pattern;
use integration::vaned::Vaned;
use integration::wait::until;
use serde_json::json;

use super::rig::{LIMIT, Rig, Strict, get_with, on_loopback, post, proxied};

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// More than the sockets on the way can hold.
const UPLOAD: usize = 64 << 20;

#[tokio::test]
async fn a_websocket_asked_for_on_a_connection_that_is_leaving_is_still_a_websocket() {
    let origin = Strict::start().await;
    let rule =
        |priority: i64| on_loopback(json!({ "forward": origin.url(), "priority": priority }));
    let config = ConfigDir::new().rule("all", rule(0));
    let vaned = Vaned::start(&config).await;
    let mut client = RawClient::connect(vaned.only_addr().await).await.unwrap();
    assert_eq!(200, client.get("/headers", "example.com").await.unwrap().status);
    config.write_rule("all", rule(1));
    vaned.reload().await;
    client.send(get_with("/ws", UPGRADE)).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!(101, answer.status);
    assert!(answer.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_reaches_the_origin_with_it() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let request = get_with("/echo", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n";
    client.send(request).await.unwrap();
    assert_eq!("hello", client.read_response().await.unwrap().text());
    assert_eq!(Some("chunked"), origin.only_request().header("transfer-encoding"));
}

#[tokio::test]
async fn an_answer_that_leaves_a_body_unread_says_that_the_connection_ends() {
    let rig = Rig::ruled(json!({ "respond": { "status": 403 } })).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await.unwrap();
    client.send(vec![0; 1 << 16]).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!((403, Some("close")), (answer.status, answer.header("connection")));
}

#[tokio::test]
async fn a_large_answer_to_an_unread_body_comes_whole_to_a_client_that_takes_its_time() {
    let config = ConfigDir::new();
    let page = config.path().join("page.bin");
    let length = 32 << 20;
    std::fs::write(&page, pattern(length)).unwrap();
    let respond = json!({ "respond": { "body_file": page.to_str().unwrap() } });
    let rig = Rig::of(config.rule("all", on_loopback(respond))).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await.unwrap();
    client.send(vec![0; 1 << 16]).await.unwrap();
    let head = client.read_some(1 << 10).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"));
    integration::wait::pass(Duration::from_millis(300)).await;
    let rest = client.read_to_end().await.unwrap();
    assert!(head.len() + rest.len() > length, "only {} bytes of the answer", rest.len());
}

#[tokio::test]
async fn an_upload_goes_on_after_the_answer_has_come() {
    let early = EarlyOrigin::start().await;
    let rig = Rig::forwarding(&early.url).await;
    let mut client = rig.client().await;
    let body = pattern(UPLOAD);
    assert_eq!(202, client.exchange(post("/", &body)).await.unwrap().status);
    assert_eq!(body.len(), early.received().await);
}

#[tokio::test]
async fn an_upload_ends_when_the_server_takes_no_more_of_it_after_its_answer() {
    let early = EarlyOrigin::of(0).await;
    let forward = json!({ "to": early.url, "timeout": { "response": "300ms" } });
    let rig = Rig::ruled(json!({ "forward": forward })).await;
    let mut client = rig.client().await;
    client.send(upload_head()).await.unwrap();
    assert_eq!(202, client.read_response().await.unwrap().status);
    let failure = client.send(pattern(UPLOAD)).await.unwrap_err();
    assert_ne!(Failure::TimedOut, failure);
    until("the connection to end", LIMIT, async || rig.open().await == 0).await;
}

#[tokio::test]
async fn an_upload_goes_on_after_the_answer_while_the_client_takes_its_time() {
    let early = EarlyOrigin::start().await;
    let forward = json!({ "to": early.url, "timeout": { "response": "200ms" } });
    let rig = Rig::ruled(json!({ "forward": forward })).await;
    let mut client = rig.client().await;
    client.send(upload_head()).await.unwrap();
    assert_eq!(202, client.read_response().await.unwrap().status);
    let body = pattern(UPLOAD);
    let (first, rest) = body.split_at(1 << 10);
    client.send(first).await.unwrap();
    integration::wait::pass(Duration::from_millis(700)).await;
    client.send(rest).await.unwrap();
    assert_eq!(UPLOAD, early.received().await);
}

fn upload_head() -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n")
}

/// A server that answers as soon as it has a head, and then reads so much of the body.
struct EarlyOrigin {
    url: String,
    received: tokio::sync::oneshot::Receiver<usize>,
}

impl EarlyOrigin {
    async fn start() -> Self {
        Self::of(UPLOAD).await
    }

    async fn of(length: usize) -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, received) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                stream.read_buf(&mut read).await.unwrap();
            }
            let head = read.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            while read.len() - head < length {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = sender.send(read.len() - head);
            std::future::pending::<()>().await;
        });
        Self { url, received }
    }

    async fn received(self) -> usize {
        self.received.await.unwrap()
    }
}

#[tokio::test]
async fn the_time_for_a_head_does_not_run_while_an_answer_is_under_way() {
    let origin = Strict::start().await;
    let rig = Rig::limited(&origin.url(), &[("VANE_SEC_HEADER_TIME_MS", "1000")]).await;
    let mut client = rig.client().await;
    let (first, rest) =
        ("GET /slow/2500 HTTP/1.1\r\nHost: a\r\n\r\nGET /he", "aders HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(first).await.unwrap();
    assert_eq!(200, client.read_response().await.unwrap().status);
    client.send(rest).await.unwrap();
    assert_eq!(200, client.read_response().await.unwrap().status);
    assert_eq!(0, rig.refused("head_time").await);
}
