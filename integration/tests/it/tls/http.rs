use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use integration::failure::Failure;
use integration::h2_raw::H2Raw;
use integration::h2c_origin::H2cOrigin;
use integration::http_origin::HttpOrigin;
use integration::raw_client::RawClient;
use integration::tcp_origin::pattern;
use integration::tls_client::{TlsClient, TlsFailure};
use integration::wait::until;
use integration::websocket::WebSocket;
use serde_json::json;

use super::{LIMIT, Site, says, site};

async fn proxied() -> (HttpOrigin, Site) {
    let origin = HttpOrigin::start().await;
    let site = Site::forwarding(&origin.url()).await;
    (origin, site)
}

/// T11. Rules and servers learn that the client came over TLS.
#[tokio::test]
async fn requests_over_tls_are_https_to_rules_and_servers() {
    let (origin, site) = proxied().await;
    let mut client = site.https().await;
    assert_eq!(200, client.get("/headers", "a.test").await.unwrap().status);
    assert_eq!(200, site.h2().await.get("/headers").await.unwrap().status);
    for request in origin.requests() {
        assert_eq!(Some("https"), request.header("x-forwarded-proto"));
        let forwarded = request.header("forwarded").unwrap();
        assert!(forwarded.contains("proto=https"), "{forwarded}");
    }
    let site = Site::ruled(json!({
        "match": { "http.scheme": "https" },
        "respond": { "body": "{http.scheme} {http.host} {tls.sni} {tls.version}" },
    }))
    .await;
    let said = "https a.test a.test 1.3";
    assert_eq!(said, site.https().await.get("/", "a.test").await.unwrap().text());
    assert_eq!(said.as_bytes(), site.h2().await.get("/").await.unwrap().body);
}

/// T11. Large bodies, both ways at once, byte for byte.
#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let (_origin, site) = proxied().await;
    let body = pattern(8 << 20);
    let mut client = site.https().await.with_limit(Duration::from_secs(60));
    assert!(client.post("/echo", "a.test", &body).await.unwrap().body == body);
    let client = site.h2().await.with_limit(Duration::from_secs(60));
    assert!(client.post("/echo", body.clone()).await.unwrap().body == body);
}

/// T11. A body is passed on while it comes, in both directions.
#[tokio::test]
async fn bodies_stream_both_ways() {
    let (origin, site) = proxied().await;
    let mut client = site.https().await;
    let head = "POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc";
    client.send(head).await.unwrap();
    until("the head at the origin", LIMIT, async || origin.count() == 1).await;
    client.send("def").await.unwrap();
    assert_eq!("abcdef", client.read_response().await.unwrap().text());

    client.send("GET /drip/3/300 HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut first = Vec::new();
    while !String::from_utf8_lossy(&first).contains("drip") {
        first.extend(client.read_some(1 << 20).await.unwrap());
    }
    let text = String::from_utf8_lossy(&first).into_owned();
    assert_eq!(1, text.matches("drip").count(), "more than the first piece: {text}");
}

/// T11. Trailers of requests and answers, over HTTP/1.1 and HTTP/2.
#[tokio::test]
async fn trailers_pass_both_ways() {
    let (origin, site) = proxied().await;
    let mut client = site.https().await;
    let request = "POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\
                   Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    client.send(request).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!(("abc", true), (&*answer.text(), answer.keeps_alive()), "{answer:?}");
    let request = "GET /trailers HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n\r\n";
    client.send(request).await.unwrap();
    assert!(!client.read_response().await.unwrap().trailers.is_empty());
    let sent: Vec<_> = origin.requests().iter().flat_map(|each| each.trailers.clone()).collect();
    assert_eq!(vec![("x-sum", "7")], lower(&sent));

    let origin = H2cOrigin::start().await;
    let site = Site::forwarding(&origin.url()).await;
    let client = site.h2().await;
    let (name, value) = (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
    let trailers = HeaderMap::from_iter([(name, value)]);
    let mut request = client.request(Method::POST, "/trailers");
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    let answer = client.exchange(request, Bytes::from("abc"), Some(trailers)).await.unwrap();
    assert!(answer.trailers.is_some(), "{answer:?}");
}

fn lower(fields: &[(String, String)]) -> Vec<(&'static str, &str)> {
    fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-sum"))
        .map(|(_, value)| ("x-sum", &**value))
        .collect()
}

/// T11. Interim answers come at once, and a body waits for its `100 Continue`.
#[tokio::test]
async fn interim_answers_pass() {
    let (origin, site) = proxied().await;
    let mut client = site.https().await;
    let answer = client.get("/early-hints", "a.test").await.unwrap();
    assert_eq!((200, 103), (answer.status, answer.informational[0].status));
    let head = "POST /expect/gate/g HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n\
                Content-Length: 3\r\n\r\n";
    client.send(head).await.unwrap();
    origin.gate("g").wait_for(1, LIMIT).await;
    origin.gate("g").open();
    assert_eq!(100, client.read_informational().await.unwrap().status);
    client.send("abc").await.unwrap();
    assert_eq!(200, client.read_response().await.unwrap().status);
}

/// T11. WebSockets, large and small messages, and their closing handshake.
#[tokio::test]
async fn a_websocket_passes() {
    let (_origin, site) = proxied().await;
    let client = TlsClient::builder().alpn(&["http/1.1"]).build();
    let client = site.connect(&client, "a.test").await.unwrap().http1();
    let mut socket = WebSocket::over(client, "/ws", "a.test").await.unwrap();
    for text in ["", "over TLS", &"x".repeat(300_000)] {
        assert_eq!(text, socket.echo(text).await.unwrap());
    }
    assert_eq!(1000, socket.close(1000).await.unwrap());
}

/// T11. A client that takes nothing holds its server back, and is not waited for for ever.
#[tokio::test]
async fn a_client_that_takes_nothing_is_ended() {
    let origin = HttpOrigin::start().await;
    let config = site(json!({ "forward": origin.url() }));
    let site = Site::with(config, &[("VANE_SEC_BODY_IDLE_MS", "500")]).await;
    let length: u64 = 64 << 20;
    let mut client = site.https().await;
    let request = format!("GET /stream/{length} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.send(request).await.unwrap();
    let mut h2 = H2Raw::over(h2_wire(&site).await).await.unwrap();
    let (request, _stream) = h2.get(&format!("/stream/{length}"), "a.test");
    h2.send(&request).await.unwrap();
    site.until_refused("body_idle", 2).await;
    assert!(origin.streamed() < 2 * length, "nothing held the origin back");
    until("the server to be left in peace", LIMIT, async || origin.connections_open() == 0).await;
    until("only HTTP/2 to be open still", LIMIT, async || {
        let open = site.stats().await["connections"]["open"].clone();
        if open == 1 { Ok(()) } else { Err(open) }
    })
    .await;
    assert!(matches!(client.read_to_end().await, Err(Failure::Reset | Failure::Truncated)));
}

async fn h2_wire(site: &Site) -> super::Https {
    let client = TlsClient::builder().alpn(&["h2"]).build();
    site.connect(&client, "a.test").await.unwrap().http1()
}

/// T11. Whoever speaks HTTP in clear to a port with TLS is told, and anything else ends.
#[tokio::test]
async fn clear_text_on_a_port_with_tls_is_answered_or_ended() {
    let site = Site::ruled(says("secret")).await;
    let mut client = RawClient::connect(site.addr).await.unwrap();
    let answer = client.get("/", "a.test").await.unwrap();
    assert_eq!((400, "this port is for HTTPS\r\n"), (answer.status, &*answer.text()));
    assert_eq!(Ok(Vec::new()), client.read_to_end().await);
    for bytes in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-x\r\n", "\x16\x03\x01\0\x05\x02\0\0\x01\0"]
    {
        let mut client = RawClient::connect(site.addr).await.unwrap();
        client.send(bytes).await.unwrap();
        let ended = client.read_to_end().await;
        let said = ended.as_deref().unwrap_or_default();
        assert!(matches!(ended, Ok(_) | Err(Failure::Reset)), "{bytes:?}: {ended:?}");
        assert!(said.is_empty() || said[0] == 0x15, "{bytes:?}: {said:?}");
    }
    site.until_counted("in_clear", 3).await;
    site.until_counted("protocol", 1).await;
}

/// T11. TLS on a port in clear ends at once, and not with an answer.
#[tokio::test]
async fn tls_on_a_port_in_clear_ends() {
    let config = integration::config_dir::ConfigDir::new();
    let site = Site::of(config.rule("a", super::on_loopback(says("x")))).await;
    let failed = site.shown("a.test").await.unwrap_err();
    let TlsFailure::Transport(failure) = failed else { panic!("{failed}") };
    assert_ne!(Failure::TimedOut, failure);
}

/// T11. A connection that has idled for long enough is closed in good order.
#[tokio::test]
async fn an_idle_connection_is_closed_with_a_notice() {
    let config = site(says("x"));
    let site = Site::with(config, &[("VANE_SEC_KEEP_ALIVE_MS", "300")]).await;
    let mut connection = site.connect(&TlsClient::builder().build(), "a.test").await.unwrap();
    connection.ending().await.unwrap();
    let mut client = site.https().await;
    assert_eq!(200, client.get("/", "a.test").await.unwrap().status);
    // A stream of TLS that ends without a notice is an error, and no end.
    assert_eq!(Ok(Vec::new()), client.read_to_end().await);
}
