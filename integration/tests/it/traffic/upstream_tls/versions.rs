//! Which version of HTTP is spoken, and what passes over each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use integration::certs::Authority;
use integration::load::{Mix, h2_clients, keep_alive_clients, websocket_clients};
use integration::tcp_origin::pattern;
use integration::tls_front::TlsFront;
use integration::websocket::WebSocket;
use serde_json::json;

use super::super::rig::{get_with, post};
use super::super::upgrades::Switching;
use super::{LIMIT, Rig, Site, both, failure, http1_alone, on_loopback, server, until_failed_with};

/// T14.
#[tokio::test]
async fn requests_at_once_share_the_connection_that_the_first_of_them_makes() {
    let (site, rig) = both().await;
    let client = rig.h2().await;
    let gate = site.http2.gate("all");
    let held: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/gate/all").await })
        })
        .collect();
    gate.wait_for(100, LIMIT).await;
    gate.open();
    for answer in held {
        assert_eq!(200, answer.await.unwrap().unwrap().status);
    }
    assert_eq!(
        (vec!["h2".to_owned()], 1),
        (site.front.agreed(), site.front.connections_accepted())
    );
    let head = &site.http2.requests()[0].head;
    assert_eq!("https://example.com/gate/all", head.uri.to_string());
}

/// T14.
#[tokio::test]
async fn a_server_that_knows_http1_alone_gets_it_on_a_connection_that_is_kept() {
    for alpn in [&["http/1.1"] as &[&str], &[]] {
        let site = Site::start(alpn).await;
        let rig = site.rig().await;
        let (mut client, h2) = (rig.client().await, rig.h2().await);
        for _ in 0..5 {
            assert_eq!("x", client.post("/echo", "a", b"x").await.unwrap().text());
            assert_eq!(200, h2.get("/bytes/1").await.unwrap().status);
        }
        let expected = alpn.first().copied().unwrap_or("none");
        assert_eq!(vec![expected.to_owned()], site.front.agreed());
        assert_eq!((10, 0), (site.http1.count(), site.http2.count()));
    }
}

/// T14.
#[tokio::test]
async fn http2_is_not_spoken_to_a_server_that_does_not_offer_it() {
    for (alpn, status, why) in [
        (&["http/1.1"] as &[&str], "tls_alert_received", "NoApplicationProtocol"),
        (&[], "tls_protocol_error", "the server does not offer HTTP/2"),
    ] {
        let site = Site::start(alpn).await;
        let mut forward = site.forward();
        forward["version"] = json!("2");
        let rig = site.rig_with(forward).await;
        assert_eq!((502, format!("vane; error={status}")), failure(&rig).await);
        until_failed_with(&rig.vaned, why).await;
        assert_eq!(0, site.http1.count() + site.http2.count());
    }
}

/// A connection of HTTP/1.1 that one rule wants is none for a rule that leaves the choice.
#[tokio::test]
async fn each_rule_speaks_the_version_that_it_says_to_the_same_server() {
    let site = Site::start(&["h2", "http/1.1"]).await;
    let config = site.config(&site.forward());
    for version in ["1.1", "2"] {
        let mut rule = on_loopback(json!({ "forward": site.forward() }));
        rule["match"] = json!({ "http.path": { "prefix": format!("/{version}") } });
        rule["forward"]["version"] = json!(version);
        config.write_rule(version, rule);
    }
    let rig = Rig::of(config).await;
    let mut client = rig.client().await;
    for path in ["/1.1", "/any", "/1.1", "/2", "/any"] {
        assert_eq!(200, client.get(path, "a").await.unwrap().status, "{path}");
    }
    assert_eq!(["http/1.1", "h2"].map(str::to_owned).to_vec(), site.front.agreed());
    assert_eq!((2, 3), (site.http1.count(), site.http2.count()));
}

/// T14.
#[tokio::test]
async fn a_websocket_goes_over_http1_and_its_neighbours_over_http2() {
    let (site, rig) = both().await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    let mut socket = WebSocket::connect(rig.addr, "/ws", "example.com").await.unwrap();
    for text in ["one", &"long".repeat(50_000)] {
        assert_eq!(text, socket.echo(text).await.unwrap());
    }
    assert_eq!(1000, socket.close(1000).await.unwrap());
    // An upgrade that is not made leaves an idle connection of HTTP/1.1.
    let fields = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(200, rig.exchange(get_with("/headers", fields)).await.unwrap().status);
    assert_eq!(200, rig.get("/bytes/1").await.status);
    let expected = ["h2", "http/1.1", "http/1.1"].map(str::to_owned).to_vec();
    assert_eq!(expected, site.front.agreed());
    assert_eq!((2, 2), (site.http1.count(), site.http2.count()));
}

#[tokio::test]
async fn many_websockets_run_at_once_over_tls() {
    let (_site, rig) = both().await;
    let load = websocket_clients(16, rig.addr, "/ws", &Mix::new("example.com"));
    load.more_answers(400).await;
    load.stop().await.assert_nothing_lost();
}

#[tokio::test]
async fn a_switch_of_protocols_over_tls_loses_no_byte_in_either_direction() {
    let origin = Switching::start(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
        Upgrade: chatter/2\r\n\r\nserver first,",
    )
    .await;
    let root = Arc::new(Authority::root("root"));
    let config = server(&root, &["h2", "http/1.1"]);
    let front = TlsFront::start(config, origin.addr, origin.addr).await;
    let site = Site { front, ..Site::start(&[]).await };
    let config = site.config(&site.forward());
    config.write("ca.pem", &root.pem());
    let rig = Rig::of(config).await;
    let mut client = rig.client().await;
    let fields = "Connection: upgrade\r\nUpgrade: chatter/2\r\n";
    client.send(get_with("/chat", fields) + "eager").await.unwrap();
    assert_eq!(101, client.read_response().await.unwrap().status);
    assert_eq!(b"server first,eager".to_vec(), client.read_exactly(18).await.unwrap());
    let much = pattern(1_000_000);
    client.send(&much[..200_000]).await.unwrap();
    assert!(much[..200_000] == client.read_exactly(200_000).await.unwrap());
    client.half_close().await.unwrap();
    assert_eq!(b"end".to_vec(), client.read_to_end().await.unwrap());
}

#[tokio::test]
async fn grpc_passes_from_either_version_to_http2_over_tls() {
    let (site, rig) = both().await;
    let client = rig.h2().await;
    let mut request = client.request(Method::POST, "/trailers");
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    let answer = client.exchange(request, Bytes::from_static(b"call"), None).await.unwrap();
    assert_eq!((200, b"message".to_vec()), (answer.status, answer.body));
    assert_eq!("0", answer.trailers.unwrap()["grpc-status"]);

    let answer = rig.exchange(get_with("/trailers", "TE: trailers\r\nConnection: te\r\n")).await;
    assert_eq!("message", answer.unwrap().text());
    for seen in site.http2.requests() {
        assert_eq!("trailers", seen.head.headers["te"]);
        assert!(!seen.head.headers.contains_key("connection"));
    }

    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let request = client.request(Method::POST, "/echo");
    let answer = client.exchange(request, Bytes::from_static(b"abc"), Some(trailers)).await;
    assert_eq!("7", answer.unwrap().trailers.unwrap()["x-sum"]);
    assert_eq!(1, site.front.connections_accepted());
}

#[tokio::test]
async fn trailers_pass_to_and_from_http1_over_tls() {
    let (site, rig) = http1_alone().await;
    let fields = "TE: trailers\r\nConnection: te\r\n";
    let answer = rig.exchange(get_with("/trailers", fields)).await.unwrap();
    assert_eq!(vec![("x-checksum".to_owned(), "42".to_owned())], lowered(&answer.trailers));
    assert_eq!(Some("trailers"), site.http1.only_request().header("te"));
}

#[tokio::test]
async fn a_stream_goes_both_ways_at_once_over_http2() {
    let (_site, rig) = both().await;
    let client = rig.h2().await;
    let mut stream = client.open(client.request(Method::POST, "/echo")).await.unwrap();
    stream.send("first").await.unwrap();
    let (head, mut body, mut out) = stream.head().await.unwrap();
    assert_eq!(200, head.status);
    assert_eq!("first", body.data().await.unwrap().unwrap());
    out.send_data(Bytes::from_static(b"second"), true).unwrap();
    assert_eq!("second", body.data().await.unwrap().unwrap());
}

#[tokio::test]
async fn large_bodies_pass_over_tls_both_ways() {
    for (site, rig) in [both().await, http1_alone().await] {
        let much = pattern(5_000_000);
        let mut client = rig.client().await;
        let answer = client.exchange(post("/echo", &much)).await.unwrap();
        assert!((200, &much) == (answer.status, &answer.body));
        assert!(much == rig.get("/bytes/5000000").await.body);
        let answer = rig.h2().await.post("/echo", much.clone()).await.unwrap();
        assert!((200, &much) == (answer.status, &answer.body));
        assert_eq!(1, site.front.connections_accepted());
    }
}

#[tokio::test]
async fn load_over_tls_is_not_mixed_up() {
    for (site, rig) in [both().await, http1_alone().await] {
        let mix = Mix::new("example.com").get("/bytes/100").post("/echo", 20_000);
        let http1 = keep_alive_clients(4, rig.addr, &mix);
        let http2 = h2_clients(2, 8, rig.addr, &mix);
        http1.more_answers(200).await;
        http2.more_answers(200).await;
        let (http1, http2) = (http1.stop().await, http2.stop().await);
        http1.assert_nothing_lost();
        http2.assert_nothing_lost();
        let agreed = site.front.agreed();
        let sent = http1.sent + http2.sent;
        assert_eq!(sent, site.http1.count() + site.http2.count(), "{agreed:?}");
        assert!(agreed.iter().all(|version| *version == agreed[0]), "{agreed:?}");
        assert!(agreed[0] != "h2" || agreed.len() == 1, "{agreed:?}");
    }
}

#[tokio::test]
async fn a_body_is_held_until_an_http1_server_asks_for_it_over_tls() {
    let (site, rig) = http1_alone().await;
    let mut client = rig.client().await;
    client.send(expecting("/expect/gate/ask")).await.unwrap();
    site.http1.gate("ask").wait_for(1, LIMIT).await;
    site.http1.gate("ask").open();
    assert_eq!(100, client.read_informational().await.unwrap().status);
    client.send("body").await.unwrap();
    assert_eq!("body", client.read_response().await.unwrap().text());
    let refused = rig.exchange(expecting("/expect/refuse")).await.unwrap();
    assert_eq!((417, 0), (refused.status, refused.informational.len()));
}

/// Few servers of HTTP/2 ask for a body, and each can refuse a stream at any time.
#[tokio::test]
async fn a_body_that_waits_for_the_word_goes_to_an_http2_server_without_delay() {
    let (_site, rig) = both().await;
    let mut client = rig.client().await;
    let begun = Instant::now();
    client.send(expecting("/echo")).await.unwrap();
    assert_eq!(100, client.read_informational().await.unwrap().status);
    client.send("body").await.unwrap();
    assert_eq!("body", client.read_response().await.unwrap().text());
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn interim_answers_of_an_http1_server_pass_over_tls() {
    let (_site, rig) = http1_alone().await;
    let answer = rig.get("/early-hints").await;
    let interim: Vec<_> = answer.informational.iter().map(|interim| interim.status).collect();
    assert_eq!((200, vec![103]), (answer.status, interim));
}

fn expecting(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
}

fn lowered(fields: &[(String, String)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}
