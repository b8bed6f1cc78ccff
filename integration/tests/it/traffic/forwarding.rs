//! The request line on its way: normalised paths, queries, methods, forms of the target.

use integration::http_origin::Recorded;
use serde_json::json;

use super::rig::{Rig, Strict, get_with, proxied};

fn target(seen: &Recorded) -> &str {
    seen.line.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn a_path_is_forwarded_in_its_normal_form() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for (sent, expected) in [
        ("/a/../b", "/b"),
        ("/a/./b/", "/a/b/"),
        ("/../../etc", "/etc"),
        ("/%7Euser", "/~user"),
        ("/%2e%2e/x", "/x"),
        ("/a%2fb", "/a%2Fb"),
        ("/a//b", "/a//b"),
        ("/x?a=/../b&c=%7e", "/x?a=/../b&c=%7e"),
        ("/x?", "/x?"),
        ("/caf%C3%A9", "/caf%C3%A9"),
    ] {
        let answer = client.exchange(get_with(sent, "")).await.unwrap();
        assert_eq!(200, answer.status, "{sent}");
        assert_eq!(expected, target(origin.requests().last().unwrap()), "{sent}");
    }
}

#[tokio::test]
async fn a_rule_sees_the_path_that_is_forwarded() {
    let origin = Strict::start().await;
    let public = json!({ "match": { "http.path": { "prefix": "/public" } },
        "forward": origin.url() });
    let rig = Rig::ruled(public).await;
    let mut client = rig.client().await;
    for path in ["/public/../private", "/public/%2e%2e/private", "/publicity", "/Public"] {
        assert_eq!(404, client.get(path, "a").await.unwrap().status, "{path}");
    }
    assert_eq!(200, client.get("/x/../public", "a").await.unwrap().status);
    assert_eq!("GET /public HTTP/1.1", origin.only_request().line);
}

#[tokio::test]
async fn an_absolute_target_becomes_a_path_with_its_host() {
    let (origin, rig) = proxied().await;
    let request = "GET http://example.com/headers?q HTTP/1.1\r\nHost: example.com\r\n\r\n";
    assert_eq!(200, rig.exchange(request).await.unwrap().status);
    let seen = origin.only_request();
    assert_eq!(("/headers?q", Some("example.com")), (target(&seen), seen.header("host")));
}

#[tokio::test]
async fn options_for_the_whole_server_pass() {
    let (origin, rig) = proxied().await;
    let answer = rig.exchange("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!((200, "OPTIONS * HTTP/1.1".to_owned()), (answer.status, origin.only_request().line));
}

#[tokio::test]
async fn methods_pass_as_they_are() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for method in ["DELETE", "PATCH", "PROPFIND", "M-SEARCH", "get"] {
        let request = format!("{method} /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(200, client.exchange(request).await.unwrap().status, "{method}");
        assert!(origin.requests().last().unwrap().line.starts_with(&format!("{method} /x ")));
    }
}
