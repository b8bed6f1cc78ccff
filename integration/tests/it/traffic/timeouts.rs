//! How long a server and a client may take.

use std::time::{Duration, Instant};

use integration::failure::Failure;
use integration::h2c_origin::H2cOrigin;
use serde_json::json;

use super::rig::{LIMIT, Rig, Strict, get_with};

async fn with_timeouts(timeouts: serde_json::Value) -> (Strict, Rig) {
    let origin = Strict::start().await;
    let forward = json!({ "forward": { "to": origin.url(), "timeout": timeouts } });
    (origin, Rig::ruled(forward).await)
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_a_gateway_timeout() {
    let (origin, rig) = with_timeouts(json!({ "response": "200ms" })).await;
    let mut client = rig.client().await;
    let answer = client.get("/gate/never", "a").await.unwrap();
    assert_eq!(504, answer.status);
    assert_eq!(Some("vane; error=http_response_timeout"), answer.header("proxy-status"));
    assert!(answer.keeps_alive());
    assert_eq!(3, client.get("/bytes/3", "a").await.unwrap().body.len());
    assert_eq!(2, origin.connections_accepted());
}

#[tokio::test]
async fn a_server_of_http2_that_does_not_answer_gets_the_next_request_on_a_new_connection() {
    let origin = H2cOrigin::start().await;
    let forward = json!({ "to": origin.url(), "timeout": { "response": "300ms" } });
    let rig = Rig::ruled(json!({ "forward": forward })).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    assert_eq!(504, rig.get("/gate/never").await.status);
    assert_eq!(200, rig.get("/bytes/1").await.status);
    assert_eq!(200, rig.get("/bytes/1").await.status);
    assert_eq!(2, origin.connections_accepted());
}

#[tokio::test]
async fn the_time_for_an_answer_counts_from_the_last_byte_of_the_request() {
    let (origin, rig) = with_timeouts(json!({ "response": "250ms" })).await;
    let mut client = rig.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n").await.unwrap();
    client.send_slowly("slow and yes", 1, Duration::from_millis(50)).await.unwrap();
    assert_eq!("slow and yes", client.read_response().await.unwrap().text());

    let head = "POST /gate/never HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n";
    client.send(head).await.unwrap();
    client.send_slowly("received", 1, Duration::from_millis(50)).await.unwrap();
    let sent = Instant::now();
    assert_eq!(504, client.read_response().await.unwrap().status);
    assert!(sent.elapsed() < Duration::from_secs(3), "{:?}", sent.elapsed());
    assert_eq!(Some(8), origin.requests()[1].body_length);
}

#[tokio::test]
async fn the_time_for_an_answer_does_not_run_while_the_client_takes_its_time() {
    let (_origin, rig) = with_timeouts(json!({ "response": "200ms" })).await;
    let mut client = rig.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await.unwrap();
    client.send_slowly("slow", 2, Duration::from_millis(600)).await.unwrap();
    assert_eq!("slow", client.read_response().await.unwrap().text());
}

#[tokio::test]
async fn an_answer_that_stops_is_cut_off() {
    let (origin, rig) = with_timeouts(json!({ "idle": "200ms" })).await;
    let mut client = rig.client().await;
    let failure = client.get("/drip/3/2000", "a").await.unwrap_err();
    assert!(matches!(failure, Failure::Truncated | Failure::Reset), "{failure}");
    assert_eq!(1, origin.count());
}

#[tokio::test]
async fn an_answer_that_drips_is_not_cut_off() {
    let (_origin, rig) = with_timeouts(json!({ "idle": "400ms", "response": "300ms" })).await;
    let answer = rig.get("/drip/8/100").await;
    assert_eq!(8 * 5, answer.body.len());
}

#[tokio::test]
async fn a_slow_reader_is_not_an_idle_server() {
    let (_origin, rig) = with_timeouts(json!({ "idle": "200ms" })).await;
    let mut client = rig.client().await.with_limit(LIMIT);
    client.send(get_with("/stream/30000000", "")).await.unwrap();
    integration::wait::pass(Duration::from_millis(600)).await;
    let answer = client.read_response().await.unwrap();
    assert_eq!(30_000_000, answer.body.len());
}

#[tokio::test]
async fn a_body_that_stops_is_the_clients_timeout() {
    let origin = Strict::start().await;
    let rig = Rig::limited(&origin.url(), &[("VANE_SEC_BODY_IDLE_MS", "250")]).await;
    let mut client = rig.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!(408, answer.status);
    assert!(client.is_closed_by_peer(LIMIT).await);
    assert_eq!(1, rig.refused("body_idle").await);
}
