//! Bodies on their way: back-pressure, clients and origins that leave.

use std::time::Duration;

use integration::failure::Failure;
use integration::raw_client::RawClient;
use integration::tcp_origin::pattern;
use integration::wait::until;

use super::rig::{LIMIT, get_with, proxied};

/// What one exchange of 64 MiB that stands still may occupy, sockets not counted.
const BOUND: u64 = 12 << 20;

#[tokio::test]
async fn an_origin_that_does_not_read_holds_the_client_back() {
    let (origin, rig) = proxied().await;
    let before = rig.resident();
    let length = 64 << 20;
    let mut client = rig.client().await.with_limit(Duration::from_millis(300));
    let head = format!("POST /unread/g HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    client.send(head).await.unwrap();
    assert_eq!(Failure::TimedOut, client.send(vec![0; length]).await.unwrap_err());
    origin.gate("g").wait_for(1, LIMIT).await;
    let grown = rig.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} bytes for a body that nobody reads");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_origin_back() {
    let (origin, rig) = proxied().await;
    let before = rig.resident();
    let length: u64 = 64 << 20;
    let mut client = rig.client().await;
    client.send(get_with(&format!("/stream/{length}"), "")).await.unwrap();
    stands_still(&origin).await;
    assert!(origin.streamed() < length);
    let grown = rig.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} bytes for an answer that nobody reads");
    let answer = client.read_response().await.unwrap();
    assert_eq!(length, answer.body.len() as u64);
}

#[tokio::test]
async fn a_body_is_passed_on_while_it_comes() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").await.unwrap();
    until("the head at the origin", LIMIT, async || origin.count() == 1).await;
    client.send("def").await.unwrap();
    assert_eq!("abcdef", client.read_response().await.unwrap().text());
}

#[tokio::test]
async fn an_answer_is_passed_on_while_it_comes() {
    let (_origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send(get_with("/drip/3/150", "")).await.unwrap();
    let first = client.read_some(1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&first).into_owned();
    assert!(text.matches("drip").count() < 3, "all at once: {text}");
}

#[tokio::test]
async fn a_client_that_leaves_in_its_body_ends_the_upstream_request() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc").await.unwrap();
    until("the head at the origin", LIMIT, async || origin.count() == 1).await;
    drop(client);
    until("the upstream connection to end", LIMIT, async || origin.connections_open() == 0).await;
    assert_eq!(None, origin.only_request().body_length);
}

#[tokio::test]
async fn a_client_that_leaves_in_an_answer_ends_the_upstream_request() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send(get_with("/stream/100000000", "")).await.unwrap();
    client.read_exactly(10_000).await.unwrap();
    drop(client);
    until("the upstream connection to end", LIMIT, async || origin.connections_open() == 0).await;
    until("the client's connection to end", LIMIT, async || rig.open().await == 0).await;
}

#[tokio::test]
async fn a_client_that_resets_while_it_waits_ends_the_upstream_request() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send(get_with("/gate/g", "")).await.unwrap();
    origin.gate("g").wait_for(1, LIMIT).await;
    client.reset();
    until("the origin to notice", LIMIT, async || origin.abandoned() == 1).await;
}

#[tokio::test]
async fn a_large_echo_streams_both_ways_at_once() {
    let (_origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let body = pattern(8 << 20);
    let answer = client.post("/echo", "a", &body).await.unwrap();
    assert!(answer.body == body);
}

#[tokio::test]
async fn an_answer_before_the_body_has_come_is_passed_on() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    assert_eq!("early", client.read_response().await.unwrap().text());
    assert_eq!(None, origin.only_request().body_length);

    let client = rig.client().await.with_limit(LIMIT);
    assert_eq!("early", in_the_middle_of_a_body(client).await);
}

async fn in_the_middle_of_a_body(mut client: RawClient) -> String {
    let head = "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n";
    let request = [head.as_bytes(), &vec![0; 20_000_000]].concat();
    client.exchange(request).await.unwrap().text()
}

/// Returns once the origin has sent something and can send no more.
async fn stands_still(origin: &integration::http_origin::HttpOrigin) {
    let mut last = 0;
    until("the origin to stand still", LIMIT, async || {
        integration::wait::pass(Duration::from_millis(100)).await;
        let now = origin.streamed();
        let still = now > 0 && now == last;
        last = now;
        still
    })
    .await;
}
