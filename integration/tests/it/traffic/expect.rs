//! `Expect: 100-continue` (RFC 9110 §10.1.1).

use std::time::Duration;

use super::rig::{LIMIT, Rig, proxied};
use super::upstreams::Scripted;

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_is_held_until_the_origin_asks_for_it() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await.with_limit(Duration::from_millis(150));
    client.send(head("/expect/gate/ask", 4)).await.unwrap();
    origin.gate("ask").wait_for(1, LIMIT).await;
    assert!(client.read_informational().await.is_err(), "asked for before the origin did");
    let mut client = client.with_limit(LIMIT);
    origin.gate("ask").open();
    assert_eq!(100, client.read_informational().await.unwrap().status);
    client.send("body").await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!(("body".to_owned(), 0), (answer.text(), answer.informational.len()));
    assert_eq!(Some("100-continue"), origin.only_request().header("expect"));
}

#[tokio::test]
async fn a_refusal_comes_without_the_body_being_asked_for() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send(head("/expect/refuse", 1000)).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!((417, 0), (answer.status, answer.informational.len()));
    assert_eq!(None, origin.only_request().body_length);
    assert!(client.is_closed_by_peer(LIMIT).await);
}

#[tokio::test]
async fn a_body_goes_to_an_origin_that_never_asks_for_it() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";
    let origin = Scripted::start_after(b"the body".to_vec(), answer).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mut client = rig.client().await;
    client.send(head("/", 8)).await.unwrap();
    assert_eq!(100, client.read_informational().await.unwrap().status);
    client.send("the body").await.unwrap();
    assert_eq!("yes", client.read_response().await.unwrap().text());
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_word_is_served_as_well() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send(head("/expect", 4) + "body").await.unwrap();
    assert_eq!("body", client.read_response().await.unwrap().text());
    assert_eq!("next", client.post("/echo", "a", b"next").await.unwrap().text());
    assert_eq!(2, origin.count());
}

#[tokio::test]
async fn an_answer_from_the_proxy_itself_needs_no_body() {
    let rig = Rig::ruled(serde_json::json!({ "respond": { "status": 403 } })).await;
    let mut client = rig.client().await;
    client.send(head("/", 100)).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!((403, 0), (answer.status, answer.informational.len()));
    assert!(client.is_closed_by_peer(LIMIT).await);
}
