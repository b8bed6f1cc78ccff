//! The client against the server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use vane_mgmt::client::Client;
use vane_mgmt::error::{ClientError, ProtocolError, Unreachable};
use vane_mgmt::request::{RenewParams, ShutdownParams};
use vane_mgmt::views::{CertState, PingView, RenewRefusal, RenewRefusedView};

use crate::rig::Rig;

#[tokio::test]
async fn a_typed_call_answers_its_view() {
    let rig = Rig::start().await;
    let expected = PingView { version: "0.1.0".to_owned(), pid: 4711, uptime_ms: 5 };
    assert_eq!(expected, rig.client().await.ping().await.unwrap());
}

#[tokio::test]
async fn a_plain_call_answers_the_result_as_it_was_written() {
    let rig = Rig::start().await;
    let result = rig.client().await.call("plan", json!({ "dir": "/etc/ä" })).await.unwrap();
    assert_eq!(json!({ "asked": "/etc/ä" }), result);
}

#[tokio::test]
async fn one_client_makes_many_calls() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    for _ in 0..100 {
        assert_eq!(4711, client.ping().await.unwrap().pid);
    }
}

#[tokio::test]
async fn an_answer_of_megabytes_arrives_whole() {
    let rig = Rig::start().await;
    let result = rig.client().await.call("get_config", Value::Null).await.unwrap();
    assert_eq!(3_000_000, result["text"].as_str().unwrap().len());
}

#[tokio::test]
async fn a_no_is_told_apart_and_carries_its_data() {
    let rig = Rig::start().await;
    match rig.client().await.reload().await.unwrap_err() {
        ClientError::No { message, data } => {
            assert_eq!("the configuration is invalid", message);
            assert_eq!(json!({ "outcome": "refused" }), data);
        }
        other => panic!("a refused reload is a no: {other:?}"),
    }
}

#[tokio::test]
async fn certificates_are_asked_for_by_typed_calls() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    assert!(client.get_certs().await.unwrap().certs.is_empty());
    let asked = client.force_renew(RenewParams { name: "a".to_owned() }).await.unwrap();
    assert_eq!(("a", true, CertState::Serving), (&*asked.name, asked.asked, asked.state));
}

#[tokio::test]
async fn a_renewal_that_is_refused_says_which_certificate_is_near() {
    let rig = Rig::start().await;
    let asked = rig.client().await.force_renew(RenewParams { name: "b".to_owned() }).await;
    match asked.unwrap_err() {
        ClientError::No { data, .. } => {
            let data: RenewRefusedView = serde_json::from_value(data).unwrap();
            assert_eq!((RenewRefusal::Unknown, Some("a")), (data.reason, data.near.as_deref()));
        }
        other => panic!("a refused renewal is a no: {other:?}"),
    }
}

#[tokio::test]
async fn a_fault_leaves_the_connection_usable() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let error = client.call("fly", Value::Null).await.unwrap_err();
    assert!(matches!(error, ClientError::Fault { code: -32601, .. }), "{error:?}");
    assert!(error.help().unwrap().contains("version"));
    assert_eq!(4711, client.ping().await.unwrap().pid);
}

#[tokio::test]
async fn a_result_of_another_shape_is_a_broken_protocol() {
    let rig = Rig::start().await;
    let error = rig.client().await.get_config().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Protocol(ProtocolError::UnexpectedResult { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_spoils_the_connection() {
    let rig = Rig::start().await;
    let mut client = rig.client().await.with_limit(Duration::from_millis(20));
    let error = client.shutdown(ShutdownParams::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    let error = client.ping().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(ProtocolError::Spoiled)), "{error:?}");
    rig.canned.release_shutdown.notify_one();
    rig.stop().await;
}

#[tokio::test]
async fn a_panic_of_the_handler_costs_one_connection() {
    let rig = Rig::start().await;
    let error = rig.client().await.get_connections().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(ProtocolError::Closed)), "{error:?}");
    assert_eq!(4711, rig.client().await.ping().await.unwrap().pid);
    rig.stop().await;
}

#[tokio::test]
async fn a_missing_socket_says_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let error = Client::connect(directory.path().join("m.sock")).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { why: Unreachable::Missing, .. }), "{error:?}");
    assert!(error.to_string().ends_with("m.sock: the socket does not exist"), "{error}");
    assert!(error.help().unwrap().contains("start vaned"));
}

#[tokio::test]
async fn a_socket_nobody_listens_on_is_told_apart_from_a_missing_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.sock");
    drop(UnixListener::bind(&path).unwrap());
    let error = Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { why: Unreachable::Refused, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_never_accepts_is_given_up_after_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        match Client::connect(&path).await {
            Ok(client) => waiting.push(client),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::NoDaemon { why: Unreachable::Busy, .. }), "{error:?}");
}

#[tokio::test]
async fn a_peer_of_another_protocol_is_found_out() {
    for (words, is_expected) in [
        ("SSH-2.0-x\r\n", (|e| matches!(e, ProtocolError::NotAnAnswer(_))) as fn(&_) -> bool),
        ("{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1}\n", |e| {
            matches!(e, ProtocolError::NotAnAnswer(_))
        }),
        ("{\"jsonrpc\"", |e| matches!(e, ProtocolError::Closed)),
        ("", |e| matches!(e, ProtocolError::Closed)),
    ] {
        match ping_a_peer_that_says(words).await {
            ClientError::Protocol(error) => assert!(is_expected(&error), "{words:?}: {error:?}"),
            other => panic!("{words:?} breaks the protocol: {other:?}"),
        }
    }
}

async fn ping_a_peer_that_says(words: &'static str) -> ClientError {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("m.sock");
    let listener = UnixListener::bind(&path).expect("a fresh path can be bound");
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        let mut request = [0; 512];
        let _ = stream.read(&mut request).await;
        stream.write_all(words.as_bytes()).await.expect("the client reads");
    });
    let mut client = Client::connect(&path).await.expect("the peer listens");
    let error = client.ping().await.expect_err("the peer is no daemon");
    peer.await.expect("the peer ends well");
    error
}
