use integration::certs::{Authority, Spec};
use integration::failure::Failure;
use integration::http_origin::HttpOrigin;
use integration::tcp_origin::{Behaviour, TcpOrigin, pattern};
use integration::tls_client::{TlsClient, TlsFailure};
use integration::tls_server::TlsServer;
use integration::wait::until;
use rustls::AlertDescription;
use serde_json::json;

use super::{LIMIT, Site, on_loopback, pair, pair_with, says, site};

/// T7. On one listener a name is passed on untouched, by what the ClientHello says alone, while
/// others are terminated; so is whoever offers a protocol of their own.
#[tokio::test]
async fn a_name_is_passed_on_untouched_beside_others_that_are_terminated() {
    let root = Authority::root("behind");
    let behind = root.server(&["legacy.test"]);
    let server = TlsServer::new(&behind).alpn(&["http/1.1", "private"]).build();
    let origin = HttpOrigin::builder().tls(server).start().await;
    let target = origin.addr().to_string();
    let passed = json!({ "match": { "tls.sni": "legacy.test" }, "tunnel": target });
    let private = json!({ "match": { "tls.alpn": "private" }, "tunnel": target });
    let terminated = json!({ "match": { "http.host": ["a.test", "b.test"] },
        "tls": pair("site"), "respond": { "body": "terminated" } });
    let config =
        site(terminated).rule("passed", on_loopback(passed)).rule("private", on_loopback(private));
    let site = Site::of(config).await;
    let trusting = TlsClient::builder().roots(&[root.der()]).build();
    let mut legacy = site.connect(&trusting, "legacy.test").await.unwrap();
    assert_eq!(behind.certificate(), legacy.handshake.leaf);
    assert_eq!(200, legacy.http1().get("/", "legacy.test").await.unwrap().status);
    let odd = TlsClient::builder().alpn(&["private", "h2"]).build();
    legacy = site.connect(&odd, "a.test").await.unwrap();
    assert_eq!(behind.certificate(), legacy.handshake.leaf);
    assert_eq!(1, origin.count());
    assert_eq!("terminated", site.https().await.get("/", "a.test").await.unwrap().text());
    assert_eq!(200, site.h2().await.get("/").await.unwrap().status);
    let counts = site.stats().await["handshakes"].clone();
    assert_eq!(json!(2), counts["full"], "what is passed on is no handshake here: {counts}");
    assert!(site.shown("other.test").await.is_err());
}

/// T7. What is inside TLS goes to a server in clear, both ways, with both ends kept apart.
#[tokio::test]
async fn a_tunnel_behind_tls_passes_what_is_inside() {
    let target = TcpOrigin::start(Behaviour::Echo).await;
    let site = Site::ruled(json!({ "tunnel": target.addr().to_string() })).await;
    let offering = TlsClient::builder().alpn(&["postgresql"]).build();
    let connection = site.connect(&offering, "a.test").await.unwrap();
    assert_eq!(None, connection.handshake.alpn, "what is inside is none of our business");
    let mut client = connection.http1();
    let sent = pattern(300_000);
    for piece in sent.chunks(30_000) {
        client.send(piece).await.unwrap();
        assert!(client.read_exactly(piece.len()).await.unwrap() == piece);
    }
    client.half_close().await.unwrap();
    assert_eq!(Ok(Vec::new()), client.read_to_end().await);
    assert_eq!(300_000, target.received());
    site.vaned.wait_for_log(|line| line.contains("tunnel ended") && line.contains("300000")).await;
}

/// T7. Either side may say all that it has before the other does; the end of TLS is the end.
#[tokio::test]
async fn a_tunnel_behind_tls_ends_each_direction_alone() {
    let target = TcpOrigin::start(Behaviour::CountThenAnswer).await;
    let site = Site::ruled(json!({ "tunnel": target.addr().to_string() })).await;
    let mut client = site.https().await;
    client.send(vec![7; 100_000]).await.unwrap();
    client.half_close().await.unwrap();
    assert_eq!(Ok(b"100000".to_vec()), client.read_to_end().await);

    let target = TcpOrigin::start(Behaviour::SendThenClose(100_000)).await;
    let site = Site::ruled(json!({ "tunnel": target.addr().to_string() })).await;
    let mut client = site.https().await;
    assert_eq!(Ok(pattern(100_000)), client.read_to_end().await);
    client.send("still here").await.unwrap();
    until("the bytes at the target", LIMIT, async || target.received() == 10).await;

    // Broken off is not ended: a client must not take the one for the other.
    let target = TcpOrigin::start(Behaviour::SendThenReset(10)).await;
    let site = Site::ruled(json!({ "tunnel": target.addr().to_string() })).await;
    let ended = site.https().await.read_to_end().await;
    assert!(matches!(ended, Err(Failure::Reset | Failure::Truncated)), "{ended:?}");
}

/// T7. T6. Tunnels and closes by what the handshake has told.
#[tokio::test]
async fn connections_are_told_apart_by_their_handshake() {
    let target = TcpOrigin::start(Behaviour::Echo).await;
    let root = Authority::root("people");
    let auth = json!({ "client_auth": { "mode": "request", "ca_files": "ca.pem" } });
    let tls = pair_with("site", &auth);
    let rule = |matched: serde_json::Value, action: serde_json::Value| {
        let mut rule = on_loopback(action);
        rule["match"] = matched;
        rule["tls"] = tls.clone();
        rule
    };
    let tunnel = json!({ "tunnel": target.addr().to_string() });
    let config = site(json!({ "respond": { "body": "http" }, "tls": tls.clone() }))
        .rule("known", rule(json!({ "tls.peer_cert.subject_cn": "alice" }), tunnel))
        .rule(
            "bad",
            rule(json!({ "tls.peer_cert.subject_cn": "mallory" }), json!({ "close": true })),
        )
        .rule("old", rule(json!({ "tls.version": "1.2" }), json!({ "close": true })));
    root.write(&config.path(), "ca");
    let site = Site::of(config).await;
    let connect = async |name: Option<&str>, old: bool| {
        let builder = TlsClient::builder();
        let builder = if old { builder.tls12_only() } else { builder.tls13_only() };
        let builder = match name {
            Some(name) => builder.identity(&root.issue(&Spec::client(name))),
            None => builder,
        };
        site.connect(&builder.build(), "a.test").await.unwrap()
    };
    let mut alice = connect(Some("alice"), false).await.http1();
    alice.send("echo").await.unwrap();
    assert_eq!(Ok(b"echo".to_vec()), alice.read_exactly(4).await);
    let mut bob = connect(Some("bob"), false).await.http1();
    assert_eq!("http", bob.get("/", "a.test").await.unwrap().text());
    for mut closed in [connect(Some("mallory"), false).await, connect(None, true).await] {
        let ended = closed.ending().await;
        assert!(!matches!(ended, Err(TlsFailure::Transport(Failure::TimedOut))), "{ended:?}");
    }
    assert_eq!(1, target.connections_accepted());
}

/// T7. A rule that closes by name ends the connection before any handshake.
#[tokio::test]
async fn a_close_by_name_needs_no_handshake() {
    let close = json!({ "match": { "tls.sni": "b.test" }, "close": true });
    let site = Site::of(site(says("x")).rule("close", on_loopback(close))).await;
    let failed = site.shown("b.test").await.unwrap_err();
    assert!(matches!(failed, TlsFailure::Transport(_)), "{failed}");
    assert_ne!(TlsFailure::Alert(AlertDescription::UnrecognisedName), failed);
    assert_eq!(json!(0), site.stats().await["handshakes"]["full"]);
    assert!(site.shown("a.test").await.is_ok());
}
