//! Interim answers (RFC 9110 §15.2) over every pair of versions.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use integration::gate::Gate;
use integration::h2c_origin::H2cOrigin;

use super::rig::{LIMIT, Rig, proxied};

const LINK: &str = "</style.css>; rel=preload";

/// Over both versions: the interim answer is there while the final one is still held back.
async fn is_told_before(rig: &Rig, gate: &Gate) {
    over_http1(rig, gate).await;
    over_http2(rig, gate).await;
}

async fn over_http1(rig: &Rig, gate: &Gate) {
    let mut client = rig.client().await;
    client.send("GET /early-hints/one HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let hints = client.read_informational().await.unwrap();
    let names: Vec<_> =
        hints.fields.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    assert_eq!((103, vec![("link".to_owned(), LINK)]), (hints.status, names));
    gate.open();
    assert_eq!("hinted", client.read_response().await.unwrap().text());
}

async fn over_http2(rig: &Rig, gate: &Gate) {
    gate.close();
    let client = rig.h2().await;
    let mut stream = client.open(client.request(Method::GET, "/early-hints/one")).await.unwrap();
    stream.end().unwrap();
    let hints = stream.interim().await.unwrap();
    let mut expected = HeaderMap::new();
    expected.insert("link", LINK.parse().unwrap());
    assert_eq!((103, expected), (hints.status, hints.headers));
    gate.open();
    assert_eq!(b"hinted".to_vec(), stream.answer().await.unwrap().body);
}

#[tokio::test]
async fn hints_of_an_http1_server_come_before_its_answer_without_what_concerns_its_connection() {
    let (origin, rig) = proxied().await;
    is_told_before(&rig, &origin.gate("one")).await;
}

#[tokio::test]
async fn hints_of_an_http2_server_come_before_its_answer() {
    let origin = H2cOrigin::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    is_told_before(&rig, &origin.gate("one")).await;
}

#[tokio::test]
async fn streams_get_their_own_hints_and_no_others() {
    let origin = H2cOrigin::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    origin.gate("one").open();
    let client = rig.h2().await;
    let asked: Vec<_> = (0..40)
        .map(|number| {
            let client = client.clone();
            let path = if number % 2 == 0 { "/early-hints/one" } else { "/bytes/10" };
            tokio::spawn(async move { client.get(path).await })
        })
        .collect();
    for (number, answer) in asked.into_iter().enumerate() {
        let answer = answer.await.unwrap().unwrap();
        let interim: Vec<_> = answer.informational.iter().map(|interim| interim.status).collect();
        assert_eq!(if number % 2 == 0 { vec![103] } else { vec![] }, interim, "{number}");
    }
}

#[tokio::test]
async fn a_client_of_http2_is_asked_for_its_body_when_the_server_asks() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await.with_limit(Duration::from_millis(150));
    let mut request = client.request(Method::POST, "/expect/gate/ask");
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    request.headers_mut().insert("content-length", "4".parse().unwrap());
    let mut stream = client.open(request).await.unwrap();
    origin.gate("ask").wait_for(1, LIMIT).await;
    assert!(stream.interim().await.is_err(), "asked for before the origin did");
    origin.gate("ask").open();
    let mut stream = stream.with_limit(LIMIT);
    assert_eq!(100, stream.interim().await.unwrap().status);
    stream.send(Bytes::from_static(b"body")).await.unwrap();
    stream.end().unwrap();
    let answer = stream.answer().await.unwrap();
    assert_eq!((b"body".to_vec(), 0), (answer.body, answer.informational.len()));
}
