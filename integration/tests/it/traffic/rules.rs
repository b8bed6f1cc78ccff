//! Middleware and the actions that answer by themselves.

use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::tcp_origin::pattern;
use serde_json::{Value, json};

use super::rig::{Rig, Strict, get_with, on_loopback, post, proxied};

async fn using(middleware: Value) -> (Strict, Rig) {
    let origin = Strict::start().await;
    let rig = Rig::ruled(json!({ "use": [middleware], "forward": origin.url() })).await;
    (origin, rig)
}

#[tokio::test]
async fn request_headers_are_set_added_and_removed() {
    let edit = json!({ "request_headers": { "set": { "X-From": "{remote.ip}", "X-Old": "new" },
        "add": { "X-More": "2" }, "remove": ["X-Debug"] } });
    let (origin, rig) = using(edit).await;
    let fields = "X-Old: a\r\nX-Old: b\r\nX-More: 1\r\nX-Debug: yes\r\n";
    rig.exchange(get_with("/headers", fields)).await.unwrap();
    let seen = origin.only_request();
    let all = |name: &str| -> Vec<String> {
        let own = seen.fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(vec!["127.0.0.1"], all("x-from"));
    assert_eq!(vec!["new"], all("x-old"));
    assert_eq!(vec!["1", "2"], all("x-more"));
    assert!(all("x-debug").is_empty());
}

#[tokio::test]
async fn response_headers_are_edited_on_every_answer() {
    let edit = json!({ "response_headers": { "set": { "X-Path": "{http.path}" },
        "remove": ["Content-Type"] } });
    let (origin, rig) = using(edit).await;
    let answer = rig.get("/headers").await;
    assert_eq!((Some("/headers"), None), (answer.header("x-path"), answer.header("content-type")));
    let url = origin.url();
    drop((origin, rig));
    let edit = json!({ "response_headers": { "set": { "X-Path": "{http.path}" } } });
    let rig = Rig::ruled(json!({ "use": [edit], "forward": url })).await;
    let answer = rig.get("/gone").await;
    assert_eq!((502, Some("/gone")), (answer.status, answer.header("x-path")));
}

#[tokio::test]
async fn a_value_that_came_with_the_request_cannot_add_a_field() {
    let edit = json!({ "request_headers": { "set": { "X-Name": "{http.query.name}" } } });
    let (origin, rig) = using(edit).await;
    rig.exchange(get_with("/headers?name=a%0d%0aX-Evil:1", "")).await.unwrap();
    let seen = origin.only_request();
    assert_eq!((None, None), (seen.header("x-evil"), seen.header("x-name")));
}

#[tokio::test]
async fn paths_are_rewritten() {
    for (rewrite, sent, expected) in [
        (json!({ "strip_prefix": "/api" }), "/api/v1?q=1", "/v1?q=1"),
        (json!({ "strip_prefix": "/api" }), "/apix", "/apix"),
        (json!({ "add_prefix": "/app" }), "/x", "/app/x"),
        (json!({ "path": "/fixed/{http.query.id}" }), "/x?id=a%2fb", "/fixed/a%2Fb?id=a%2fb"),
        (json!({ "replace": { "regex": "^/u/([0-9]+)", "with": "/user/$1" } }), "/u/7", "/user/7"),
    ] {
        let (origin, rig) = using(json!({ "rewrite": rewrite })).await;
        assert_eq!(200, rig.get(sent).await.status, "{sent}");
        let line = origin.only_request().line;
        assert_eq!(format!("GET {expected} HTTP/1.1"), line, "{rewrite}");
    }
}

#[tokio::test]
async fn requests_above_a_rate_are_told_when_to_come_back() {
    let limit = json!({ "rate_limit": { "rate": "1/m", "burst": 2 } });
    let (origin, rig) = using(limit).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
    }
    let answer = client.get("/bytes/1", "a").await.unwrap();
    assert_eq!(429, answer.status);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(answer.keeps_alive());
    assert_eq!(2, origin.count());
}

#[tokio::test]
async fn a_rate_is_counted_apart_by_what_the_rule_says() {
    let limit = json!({ "rate_limit": { "per": "http.header.x-user", "rate": "1/h", "burst": 1 } });
    let (_origin, rig) = using(limit).await;
    for (user, expected) in [("a", 200), ("b", 200), ("a", 429), ("b", 429), ("c", 200)] {
        let request = get_with("/bytes/1", &format!("X-User: {user}\r\n"));
        assert_eq!(expected, rig.exchange(request).await.unwrap().status, "{user}");
    }
}

#[tokio::test]
async fn respond_fills_its_templates() {
    let respond = json!({ "status": 201, "headers": { "X-Host": "{http.host}" },
        "body": "{http.method} {http.uri} from {remote.ip}\n" });
    let rig = Rig::ruled(json!({ "respond": respond })).await;
    let answer = rig.get("/a?b=c").await;
    assert_eq!((201, Some("example.com")), (answer.status, answer.header("x-host")));
    assert_eq!("GET /a?b=c from 127.0.0.1\n", answer.text());
    assert_eq!(Some("text/plain; charset=utf-8"), answer.header("content-type"));
}

#[tokio::test]
async fn respond_leaves_the_connection_in_step_whatever_was_sent() {
    let rig = Rig::ruled(json!({ "respond": { "body": "ok" } })).await;
    let mut client = rig.client().await;
    assert_eq!("ok", client.exchange(post("/", b"ignored")).await.unwrap().text());
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = client.read_head_response().await.unwrap();
    assert_eq!((200, Some("2")), (answer.status, answer.header("content-length")));
    assert_eq!("ok", client.get("/", "a").await.unwrap().text());
    let huge = client.exchange(post("/", &vec![0; 5_000_000])).await.unwrap();
    assert_eq!("ok", huge.text());
}

#[tokio::test]
async fn redirects_point_where_the_template_says() {
    let rig = Rig::ruled(json!({ "redirect": "https://{http.host}{http.uri}" })).await;
    let answer = rig.exchange("GET /a?b HTTP/1.1\r\nHost: Shop.example:80\r\n\r\n").await.unwrap();
    assert_eq!((308, Some("https://shop.example/a?b")), (answer.status, answer.header("location")));
    let to = json!({ "to": "/new{http.path}", "status": 302 });
    let answer = Rig::ruled(json!({ "redirect": to })).await.get("/old").await;
    assert_eq!((302, Some("/new/old")), (answer.status, answer.header("location")));
}

#[tokio::test]
async fn a_request_that_no_rule_takes_is_not_found() {
    let rule = json!({ "match": { "http.host": "a.example" }, "respond": { "body": "a" } });
    let rig = Rig::ruled(rule).await;
    let mut client = rig.client().await;
    assert_eq!(404, client.get("/", "b.example").await.unwrap().status);
    assert_eq!("a", client.get("/", "A.Example:8080").await.unwrap().text());
    assert_eq!(404, rig.h2().await.get("/").await.unwrap().status);
}

#[tokio::test]
async fn close_ends_the_connection_without_an_answer() {
    let config = ConfigDir::new()
        .rule("no", on_loopback(json!({ "match": { "http.path": "/no" }, "close": true })))
        .rule("yes", on_loopback(json!({ "respond": { "body": "yes" } })));
    let rig = Rig::of(config).await;
    let mut client = rig.client().await;
    assert_eq!("yes", client.get("/", "a").await.unwrap().text());
    let failure = client.get("/no", "a").await.unwrap_err();
    assert!(matches!(failure, Failure::ClosedBeforeAnswer | Failure::Reset), "{failure}");
    let h2 = rig.h2().await;
    assert!(h2.get("/no").await.is_err());
}

#[tokio::test]
async fn close_leaves_the_answer_in_front_of_it_whole() {
    let config = ConfigDir::new();
    let page = config.path().join("page.bin");
    std::fs::write(&page, pattern(32 << 20)).unwrap();
    let config = config
        .rule("no", on_loopback(json!({ "match": { "http.path": "/no" }, "close": true })))
        .rule("yes", on_loopback(json!({ "respond": { "body_file": page.to_str().unwrap() } })));
    let rig = Rig::of(config).await;
    let mut client = rig.client().await;
    client.send(get_with("/yes", "") + &get_with("/no", "")).await.unwrap();
    let head = client.read_some(1 << 10).await.unwrap();
    integration::wait::pass(Duration::from_millis(300)).await;
    let rest = client.read_to_end().await.unwrap();
    assert!(head.len() + rest.len() > 32 << 20, "only {} bytes of the answer", rest.len());
    let failure = rig.client().await.get("/no", "a").await.unwrap_err();
    assert_eq!(Failure::Reset, failure);
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large() {
    let origin = Strict::start().await;
    let rig = Rig::ruled(json!({ "max_body": "1KiB", "forward": origin.url() })).await;
    assert_eq!(200, rig.exchange(post("/echo", &[0; 1024])).await.unwrap().status);
    let mut client = rig.client().await;
    assert_eq!(413, client.exchange(post("/echo", &[0; 1025])).await.unwrap().status);
    assert_eq!(1, origin.count());
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(413, rig.exchange(request).await.unwrap().status);
    let whole = origin.requests().iter().filter(|seen| seen.body_length.is_some()).count();
    assert_eq!(1, whole);
    let h2 = rig.h2().await;
    assert_eq!(413, h2.post("/echo", vec![0; 2000]).await.unwrap().status);
}

#[tokio::test]
async fn a_failure_of_one_request_does_not_touch_the_next() {
    let (_origin, rig) = proxied().await;
    let mut client = rig.client().await;
    assert_eq!(502, client.get("/reset", "a").await.unwrap().status);
    assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
}
