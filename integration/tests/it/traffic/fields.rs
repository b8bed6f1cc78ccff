//! Which header fields an origin and a client get to see.

use std::collections::BTreeSet;

use integration::config_dir::ConfigDir;
use integration::h2c_origin::H2cOrigin;
use integration::http_origin::Recorded;
use serde_json::json;

use super::rig::{Rig, Strict, get_with, on_loopback, proxied};
use super::upstreams::Scripted;

fn names(seen: &Recorded) -> BTreeSet<String> {
    seen.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
}

#[tokio::test]
async fn fields_for_one_connection_do_not_reach_the_origin() {
    let (origin, rig) = proxied().await;
    let fields = "Connection: keep-alive, X-Hop\r\nConnection: X-Other\r\nX-Hop: 1\r\nX-Other: 2\r\n\
                  Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-End: 3\r\n\
                  Proxy-Authorization: Basic eA==\r\nTE: gzip\r\nUpgrade: websocket\r\n";
    assert_eq!(200, rig.exchange(get_with("/headers", fields)).await.unwrap().status);
    let seen = names(&origin.only_request());
    let expected =
        ["host", "x-end", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];
    assert_eq!(expected.map(str::to_owned).into_iter().collect::<BTreeSet<_>>(), seen);
}

#[tokio::test]
async fn transfer_encoding_is_made_anew_for_each_connection() {
    let (origin, rig) = proxied().await;
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\n\
                   Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!("abc", rig.exchange(request).await.unwrap().text());
    assert_eq!(Some("chunked"), origin.only_request().header("transfer-encoding"));
    assert_eq!(Some(3), origin.only_request().body_length);
}

#[tokio::test]
async fn a_client_cannot_have_the_host_or_the_length_taken_away() {
    let (origin, rig) = proxied().await;
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, cookie\r\n\
                   Cookie: a=b\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!("abc", rig.exchange(request).await.unwrap().text());
    let seen = origin.only_request();
    assert_eq!(
        (Some("a"), Some("3"), Some("a=b")),
        (seen.header("host"), seen.header("content-length"), seen.header("cookie"))
    );
}

#[tokio::test]
async fn te_trailers_is_kept_and_other_codings_are_not() {
    let (origin, rig) = proxied().await;
    let fields = "TE: gzip, trailers\r\nConnection: te\r\n";
    rig.exchange(get_with("/headers", fields)).await.unwrap();
    assert_eq!(Some("trailers"), origin.only_request().header("te"));

    let origin = H2cOrigin::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    rig.exchange(get_with("/headers", fields)).await.unwrap();
    assert_eq!("trailers", origin.requests()[0].head.headers["te"]);
}

#[tokio::test]
async fn fields_for_one_connection_do_not_reach_the_client() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-End: 1\r\nSet-Cookie: a=1\r\n\
                  Set-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok";
    let origin = Scripted::start(vec![vec![answer]]).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let answer = rig.get("/").await;
    for name in ["connection", "x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(None, answer.header(name), "{name}");
    }
    assert_eq!(Some("1"), answer.header("x-end"));
    let cookies = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    assert_eq!(2, cookies.count());
}

#[tokio::test]
async fn what_a_stranger_says_of_its_client_is_replaced() {
    let (origin, rig) = proxied().await;
    let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: evil.example\r\nForwarded: for=192.0.2.1\r\n";
    rig.exchange(get_with("/headers", fields)).await.unwrap();
    let seen = origin.only_request();
    assert_eq!(Some("127.0.0.1"), seen.header("x-forwarded-for"));
    assert_eq!(Some("http"), seen.header("x-forwarded-proto"));
    assert_eq!(Some("example.com"), seen.header("x-forwarded-host"));
    assert_eq!(Some("for=127.0.0.1;host=example.com;proto=http"), seen.header("forwarded"));
    assert_eq!(4, seen.fields.iter().filter(|(name, _)| is_forwarded(name)).count());
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_its_client_is_kept() {
    let origin = Strict::start().await;
    let config = ConfigDir::new()
        .config(json!({ "trusted_proxies": ["127.0.0.0/8"] }))
        .rule("all", on_loopback(json!({ "forward": origin.url() })));
    let rig = Rig::of(config).await;
    let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: shop.example\r\nForwarded: for=192.0.2.1;proto=https\r\n";
    rig.exchange(get_with("/headers", fields)).await.unwrap();
    let seen = origin.only_request();
    assert_eq!(Some("192.0.2.1, 127.0.0.1"), seen.header("x-forwarded-for"));
    assert_eq!(Some("https"), seen.header("x-forwarded-proto"));
    assert_eq!(Some("shop.example"), seen.header("x-forwarded-host"));
    let forwarded = seen.header("forwarded").unwrap();
    assert!(forwarded.starts_with("for=192.0.2.1;proto=https, for=127.0.0.1"), "{forwarded}");
}

#[tokio::test]
async fn the_host_is_the_clients_or_the_servers_or_made() {
    let origin = Strict::start().await;
    let (url, own) = (origin.url(), origin.addr().to_string());
    for (host, expected) in [
        ("preserve", "Example.com:81"),
        ("upstream", own.as_str()),
        ("{http.host}.internal", "example.com.internal"),
    ] {
        let rig = Rig::ruled(json!({ "forward": { "to": url, "host": host } })).await;
        let mut client = rig.client().await;
        client.get("/headers", "Example.com:81").await.unwrap();
        let seen = origin.requests();
        assert_eq!(Some(expected), seen.last().unwrap().header("host"), "{host}");
    }
}

#[tokio::test]
async fn names_and_values_arrive_as_they_were_sent() {
    let (origin, rig) = proxied().await;
    let request = "GET /headers HTTP/1.1\r\nHost: a\r\nX-Latin: caf\u{e9}\r\nX-Empty:\r\n\
                   X-Spaces:   a  b \t\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n";
    let latin: Vec<u8> = request.chars().map(|each| each as u8).collect();
    assert_eq!(200, rig.exchange(latin).await.unwrap().status);
    let seen = origin.only_request();
    assert_eq!(Some("caf\u{e9}"), seen.header("x-latin"));
    assert_eq!(Some(""), seen.header("x-empty"));
    assert_eq!(Some("a  b"), seen.header("x-spaces"));
    let twice: Vec<_> = seen
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-twice"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(vec!["1", "2"], twice);
}

fn is_forwarded(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-forwarded-") || name == "forwarded"
}
