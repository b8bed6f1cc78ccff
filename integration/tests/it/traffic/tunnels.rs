//! Raw TCP: bytes both ways, and raw rules beside HTTP rules on one listener.

use std::time::Duration;

use integration::accept::Acceptor;
use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::raw_client::RawClient;
use integration::tcp_origin::{Behaviour, TcpOrigin, pattern};
use integration::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use super::rig::{LIMIT, Rig, Strict, get_with, on_loopback};
use super::upstreams::FullBacklog;

async fn tunnelled(behaviour: Behaviour) -> (TcpOrigin, Rig) {
    let target = TcpOrigin::start(behaviour).await;
    let rig = Rig::ruled(json!({ "tunnel": target.addr().to_string() })).await;
    (target, rig)
}

async fn ended(rig: &Rig) -> Value {
    let line = rig.vaned.wait_for_log(|line| line.contains("tunnel ended")).await;
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_counted() {
    let (target, rig) = tunnelled(Behaviour::Echo).await;
    let mut client = rig.client().await;
    for size in [1, 5000, 300_000] {
        let sent = pattern(size);
        let (mut reader, mut writer) = (Vec::new(), 0);
        while reader.len() < size {
            let piece = &sent[writer..(writer + 30_000).min(size)];
            client.send(piece).await.unwrap();
            writer += piece.len();
            reader.extend(client.read_exactly(piece.len()).await.unwrap());
        }
        assert!(reader == sent, "{size}");
    }
    client.half_close().await.unwrap();
    assert!(client.read_to_end().await.unwrap().is_empty());
    let fields = ended(&rig).await;
    assert_eq!(
        (305_001, 305_001),
        (fields["received"].as_u64().unwrap(), fields["sent"].as_u64().unwrap())
    );
    let stats = rig.stats().await;
    assert_eq!(Some(305_001), stats["bytes"]["received"].as_u64());
    assert_eq!(305_001, target.received());
}

#[tokio::test]
async fn a_tunnel_that_still_connects_when_the_budget_ends_is_counted_as_cut_off() {
    let full = FullBacklog::new().await;
    let tunnel = on_loopback(json!({ "tunnel": full.addr.to_string() }));
    let config = ConfigDir::new().rule("all", tunnel);
    let rig = Rig::with(config, &[("VANE_DRAIN_TIMEOUT_SECS", "1")]).await;
    let mut client = rig.client().await;
    until("the tunnel", LIMIT, async || {
        let view = rig.vaned.manage("get_connections", json!({})).await.unwrap();
        view["connections"][0]["protocol"] == "tunnel"
    })
    .await;
    rig.vaned.signal(Signal::TERM);
    let line = rig.vaned.wait_for_log(|line| line.contains("the budget is spent")).await;
    assert!(line.contains("1 tunnel"), "{line}");
    assert!(client.is_closed_by_peer(LIMIT).await);
}

#[tokio::test]
async fn the_target_may_answer_after_the_client_has_said_all() {
    let (_target, rig) = tunnelled(Behaviour::CountThenAnswer).await;
    let mut client = rig.client().await;
    client.send(vec![7; 100_000]).await.unwrap();
    client.half_close().await.unwrap();
    assert_eq!(b"100000".to_vec(), client.read_to_end().await.unwrap());
}

#[tokio::test]
async fn the_client_may_speak_after_the_target_has_said_all() {
    let (target, rig) = tunnelled(Behaviour::SendThenClose(1000)).await;
    let mut client = rig.client().await;
    assert_eq!(pattern(1000), client.read_to_end().await.unwrap());
    client.send("still here").await.unwrap();
    until("the bytes at the target", LIMIT, async || target.received() == 10).await;
}

#[tokio::test]
async fn a_target_that_speaks_first_needs_no_byte_from_the_client() {
    let (_target, rig) = tunnelled(Behaviour::SendThenClose(500_000)).await;
    let mut client = rig.client().await;
    assert_eq!(pattern(100), client.read_exactly(100).await.unwrap());
    assert_eq!(499_900, client.read_to_end().await.unwrap().len());
}

#[tokio::test]
async fn a_reset_of_the_target_is_not_an_orderly_end() {
    let (_target, rig) = tunnelled(Behaviour::SendThenReset(10)).await;
    // The reset may come before the client has learnt that it is connected.
    let read = match RawClient::connect(rig.addr).await {
        Ok(mut client) => client.read_to_end().await,
        Err(failure) => Err(failure),
    };
    assert_eq!(Err(Failure::Reset), read);
}

#[tokio::test]
async fn a_tunnel_without_a_byte_ends() {
    let target = TcpOrigin::start(Behaviour::Swallow).await;
    let tunnel = json!({ "to": target.addr().to_string(), "timeout": { "idle": "300ms" } });
    let rig = Rig::ruled(json!({ "tunnel": tunnel })).await;
    let mut client = rig.client().await;
    client.send("one byte or more").await.unwrap();
    assert!(client.is_closed_by_peer(LIMIT).await);
    let fields = ended(&rig).await;
    assert_eq!("idle for too long", fields["how"]);
    until("the target to be left", LIMIT, async || target.connections_open() == 0).await;
}

#[tokio::test]
async fn a_target_that_does_not_read_holds_the_client_back() {
    let (_target, rig) = tunnelled(Behaviour::NeverRead).await;
    let before = rig.resident();
    let mut client = rig.client().await.with_limit(Duration::from_millis(300));
    assert_eq!(Failure::TimedOut, client.send(vec![0; 64 << 20]).await.unwrap_err());
    assert!(rig.resident().saturating_sub(before) < 12 << 20);
}

#[tokio::test]
async fn a_target_is_reached_over_ipv6_and_over_a_unix_socket() {
    let target = TcpOrigin::start_v6(Behaviour::Echo).await;
    let rig = Rig::ruled(json!({ "tunnel": target.addr().to_string() })).await;
    let mut client = rig.client().await;
    client.send("six").await.unwrap();
    assert_eq!(b"six".to_vec(), client.read_exactly(3).await.unwrap());

    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("target.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let _acceptor = Acceptor::start(listener, |mut stream, _| async move {
        let _ = stream.write_all(b"unix").await;
    });
    let rig = Rig::ruled(json!({ "tunnel": format!("unix:{}", path.display()) })).await;
    let mut client = rig.client().await;
    assert_eq!(b"unix".to_vec(), client.read_to_end().await.unwrap());
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_ends_the_connection() {
    let target = TcpOrigin::start(Behaviour::Echo).await;
    let addr = target.addr();
    drop(target);
    let rig = Rig::ruled(json!({ "tunnel": addr.to_string() })).await;
    assert!(is_turned_away(&rig).await);
    rig.vaned.wait_for_log(|line| line.contains("tunnel failed") && line.contains("refused")).await;

    let full = FullBacklog::new().await;
    let tunnel = json!({ "to": full.addr.to_string(), "timeout": { "connect": "200ms" } });
    let rig = Rig::ruled(json!({ "tunnel": tunnel })).await;
    assert!(is_turned_away(&rig).await);
}

#[tokio::test]
async fn raw_and_http_rules_share_a_listener() {
    let origin = Strict::start().await;
    let target = TcpOrigin::start(Behaviour::Echo).await;
    let raw = json!({ "match": { "protocol": "other" }, "tunnel": target.addr().to_string() });
    let config = ConfigDir::new()
        .rule("raw", on_loopback(raw))
        .rule("web", on_loopback(json!({ "forward": origin.url() })));
    let rig = Rig::of(config).await;
    assert_eq!(5, rig.get("/bytes/5").await.body.len());
    assert_eq!(200, rig.h2().await.get("/bytes/6").await.unwrap().status);
    let mut client = rig.client().await;
    for said in ["SSH-2.0-OpenSSH_9.9\r\n", "\0\u{1}binary"] {
        client.send(said).await.unwrap();
        assert_eq!(said.as_bytes(), client.read_exactly(said.len()).await.unwrap());
    }
    assert_eq!((2, 1), (origin.count(), target.connections_accepted()));
}

#[tokio::test]
async fn addresses_decide_between_targets() {
    let near = TcpOrigin::start(Behaviour::SendThenClose(3)).await;
    let far = TcpOrigin::start(Behaviour::SendThenClose(5)).await;
    let of = |network: &str, target: &TcpOrigin| {
        let matched = json!({ "remote.ip": { "cidr": [network] } });
        on_loopback(json!({ "match": matched, "tunnel": target.addr().to_string() }))
    };
    let config = ConfigDir::new()
        .rule("far", of("192.0.2.0/24", &far))
        .rule("near", of("127.0.0.0/8", &near));
    let rig = Rig::of(config).await;
    assert_eq!(pattern(3), rig.client().await.read_to_end().await.unwrap());

    let rig = Rig::of(ConfigDir::new().rule("far", of("192.0.2.0/24", &far))).await;
    assert!(rig.client().await.is_closed_by_peer(LIMIT).await);
    assert_eq!(0, far.connections_accepted());
}

#[tokio::test]
async fn a_server_name_decides_between_targets_without_decryption() {
    let (one, two) =
        (TcpOrigin::start(Behaviour::Echo).await, TcpOrigin::start(Behaviour::Echo).await);
    let named = |name: &str, target: &TcpOrigin| {
        let matched = json!({ "tls.sni": name });
        on_loopback(json!({ "match": matched, "tunnel": target.addr().to_string() }))
    };
    let config = ConfigDir::new()
        .rule("one", named("one.example", &one))
        .rule("two", named("*.two.example", &two));
    let rig = Rig::of(config).await;
    for (name, target) in [("one.example", &one), ("WWW.two.example", &two)] {
        let hello = client_hello(name);
        let mut client = rig.client().await;
        client.send_slowly(&hello, 40, Duration::from_millis(1)).await.unwrap();
        assert_eq!(hello, client.read_exactly(hello.len()).await.unwrap(), "{name}");
        assert_eq!(1, target.connections_accepted(), "{name}");
    }
    let mut client = rig.client().await;
    client.send(client_hello("other.example")).await.unwrap();
    assert!(client.is_closed_by_peer(LIMIT).await);
    let mut plain = rig.client().await;
    plain.send(get_with("/", "")).await.unwrap();
    assert!(plain.is_closed_by_peer(LIMIT).await);
}

#[tokio::test]
async fn tls_on_a_listener_in_clear_is_closed() {
    let origin = Strict::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mut client = RawClient::connect(rig.addr).await.unwrap();
    client.send(client_hello("a.example")).await.unwrap();
    assert!(client.is_closed_by_peer(LIMIT).await);
    assert_eq!(0, origin.count());
}

#[tokio::test]
async fn tunnels_run_beside_each_other() {
    let (target, rig) = tunnelled(Behaviour::Echo).await;
    let streams: Vec<_> = (0..50_u8)
        .map(|number| {
            let addr = rig.addr;
            tokio::spawn(async move {
                let mut client = RawClient::connect(addr).await.unwrap();
                for _ in 0..10 {
                    client.send([number; 100]).await.unwrap();
                    assert_eq!(vec![number; 100], client.read_exactly(100).await.unwrap());
                }
            })
        })
        .collect();
    for stream in streams {
        stream.await.unwrap();
    }
    assert_eq!(50, target.connections_accepted());
    until("all tunnels to end", LIMIT, async || rig.open().await == 0).await;
}

/// Whether the connection ends without a byte, be it before the client has learnt of it.
async fn is_turned_away(rig: &Rig) -> bool {
    match RawClient::connect(rig.addr).await {
        Ok(mut client) => client.is_closed_by_peer(LIMIT).await,
        Err(failure) => failure == Failure::Reset,
    }
}

/// A TLS 1.2 ClientHello with that server name and nothing else of interest (RFC 8446 §4.1.2,
/// RFC 6066 §3).
fn client_hello(name: &str) -> Vec<u8> {
    let list = prefixed(2, &[&[0], prefixed(2, name.as_bytes()).as_slice()].concat());
    let extension = [&[0, 0], prefixed(2, &list).as_slice()].concat();
    let body = [
        [3, 3].as_slice(),
        &[9; 32],
        &prefixed(1, &[]),
        &prefixed(2, &[0x13, 0x01]),
        &prefixed(1, &[0]),
        &prefixed(2, &extension),
    ]
    .concat();
    let handshake = [&[1], prefixed(3, &body).as_slice()].concat();
    [&[22, 3, 1], prefixed(2, &handshake).as_slice()].concat()
}

fn prefixed(bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[4 - bytes..], content].concat()
}
