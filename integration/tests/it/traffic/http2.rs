//! HTTP/2 in and out.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use integration::failure::Failure;
use integration::h2_client::{Answer, H2Client};
use integration::h2c_origin::H2cOrigin;
use integration::load::{Mix, h2_clients};
use integration::tcp_origin::pattern;
use integration::wait::until;

use super::rig::{LIMIT, Rig, Strict, get_with, proxied};

async fn h2c() -> (H2cOrigin, Rig) {
    let origin = H2cOrigin::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    (origin, rig)
}

fn with(mut request: Request<()>, name: &'static str, value: &'static str) -> Request<()> {
    request.headers_mut().append(name, HeaderValue::from_static(value));
    request
}

async fn send(client: &H2Client, request: Request<()>) -> Answer {
    client.exchange(request, Bytes::new(), None).await.unwrap()
}

#[tokio::test]
async fn one_port_serves_http1_and_http2() {
    let (origin, rig) = proxied().await;
    let h2 = rig.h2().await;
    let mut http1 = rig.client().await;
    for size in [0_usize, 1, 70_000, 1_000_000] {
        let path = format!("/bytes/{size}");
        assert!(h2.get(&path).await.unwrap().body == pattern(size), "{size}");
        assert!(http1.get(&path, "a").await.unwrap().body == pattern(size), "{size}");
        let echo = h2.post("/echo", pattern(size)).await.unwrap();
        assert!((200, &pattern(size)) == (echo.status, &echo.body), "{size}");
    }
    assert_eq!(12, origin.count());
}

#[tokio::test]
async fn an_http1_origin_gets_exactly_one_host_and_no_pseudo_fields() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let request = with(client.request(Method::GET, "/headers?q=1"), "host", "example.com");
    assert_eq!(200, send(&client, request).await.status);
    assert_eq!(200, client.get("/headers").await.unwrap().status);
    for seen in origin.requests() {
        assert_eq!(Some("example.com"), seen.header("host"));
        assert!(seen.fields.iter().all(|(name, _)| !name.starts_with(':')), "{:?}", seen.fields);
        assert!(seen.line.ends_with(" HTTP/1.1"));
    }
    assert_eq!("GET /headers?q=1 HTTP/1.1", origin.requests()[0].line);
}

#[tokio::test]
async fn an_authority_that_differs_from_host_is_refused() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let request = with(client.request(Method::GET, "/"), "host", "other.example");
    assert_eq!(400, send(&client, request).await.status);
    assert_eq!(0, origin.count());
    assert_eq!(200, client.get("/headers").await.unwrap().status);
}

#[tokio::test]
async fn crumbs_of_a_cookie_become_one_field_for_http1() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let request = with(client.request(Method::GET, "/headers"), "cookie", "a=1");
    let request = with(with(request, "cookie", "b=2"), "cookie", "c=3");
    assert_eq!(200, send(&client, request).await.status);
    let seen = origin.only_request();
    let cookies: Vec<_> =
        seen.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).collect();
    assert_eq!(1, cookies.len(), "{cookies:?}");
    assert_eq!("a=1; b=2; c=3", cookies[0].1);
}

#[tokio::test]
async fn grpc_passes_from_http2_to_http2() {
    let (origin, rig) = h2c().await;
    let client = rig.h2().await;
    let request = with(client.request(Method::POST, "/trailers"), "te", "trailers");
    let request = with(request, "content-type", "application/grpc");
    let answer = client.exchange(request, Bytes::from_static(b"call"), None).await.unwrap();
    assert_eq!((200, b"message".to_vec()), (answer.status, answer.body));
    assert_eq!("0", answer.trailers.unwrap()["grpc-status"]);
    assert_eq!("trailers", origin.requests()[0].head.headers["te"]);
}

#[tokio::test]
async fn trailers_of_a_request_pass_from_http2_to_http2() {
    let (_origin, rig) = h2c().await;
    let client = rig.h2().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let request = client.request(Method::POST, "/echo");
    let answer =
        client.exchange(request, Bytes::from_static(b"abc"), Some(trailers)).await.unwrap();
    assert_eq!("7", answer.trailers.unwrap()["x-sum"]);
}

#[tokio::test]
async fn trailers_pass_from_an_http1_origin_to_an_http2_client() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let request = with(client.request(Method::GET, "/trailers"), "te", "trailers");
    let answer = send(&client, request).await;
    assert_eq!("42", answer.trailers.unwrap()["x-checksum"]);
    let seen = origin.only_request();
    assert_eq!(Some("trailers"), seen.header("te"));
    assert!(seen.header("connection").unwrap().eq_ignore_ascii_case("te"));
}

#[tokio::test]
async fn an_http1_client_reaches_an_http2_origin() {
    let (origin, rig) = h2c().await;
    let mut client = rig.client().await;
    let answer = client.exchange(get_with("/headers?x=y", "X-Own: 1\r\n")).await.unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(("example.com", "/headers?x=y"), (text(&seen["authority"]), text(&seen["path"])));
    let fields = seen["fields"].to_string();
    assert!(fields.contains(r#"["x-own","1"]"#) && !fields.contains(r#"["host""#), "{fields}");
    assert_eq!(b"abc".to_vec(), client.post("/echo", "a", b"abc").await.unwrap().body);
    assert_eq!(pattern(500_000), client.get("/bytes/500000", "a").await.unwrap().body);
    assert_eq!(1, origin.connections_accepted());
}

#[tokio::test]
async fn interim_answers_are_not_taken_for_the_answer() {
    let (_origin, rig) = proxied().await;
    let client = rig.h2().await;
    let answer = client.get("/early-hints").await.unwrap();
    assert_eq!((200, b"hinted".to_vec()), (answer.status, answer.body));
    let request = with(client.request(Method::POST, "/expect"), "expect", "100-continue");
    let answer = client.exchange(request, Bytes::from_static(b"body"), None).await.unwrap();
    assert_eq!((200, b"body".to_vec()), (answer.status, answer.body));
}

#[tokio::test]
async fn many_streams_share_connections_both_ways() {
    let (origin, rig) = h2c().await;
    let client = rig.h2().await;
    let gate = origin.gate("all");
    let held: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/gate/all").await })
        })
        .collect();
    gate.wait_for(100, LIMIT).await;
    assert_eq!(1, origin.connections_accepted());
    gate.open();
    for answer in held {
        assert_eq!(200, answer.await.unwrap().unwrap().status);
    }
}

#[tokio::test]
async fn streams_are_not_mixed_up_under_load() {
    let origin = Strict::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mix = Mix::new("example.com").get("/bytes/100").post("/echo", 20_000).get("/chunked/9000");
    let load = h2_clients(4, 8, rig.addr, &mix);
    load.more_answers(600).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, origin.count());
    assert_eq!(Vec::<String>::new(), origin.repeated_ids());
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_its_origin_back() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let request = client.request(Method::GET, "/stream/50000000");
    let mut stream = client.open(request).await.unwrap();
    stream.end().unwrap();
    let (_head, body, out) = stream.head().await.unwrap();
    assert_eq!(pattern(60_000), rig.h2().await.get("/bytes/60000").await.unwrap().body);
    assert!(origin.streamed() < 50_000_000);
    drop((body, out));
    until("the upstream connection to end", LIMIT, async || origin.connections_open() <= 1).await;
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_the_upstream_request() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let mut stream = client.open(client.request(Method::GET, "/gate/g")).await.unwrap();
    stream.end().unwrap();
    origin.gate("g").wait_for(1, LIMIT).await;
    stream.reset(h2::Reason::CANCEL);
    until("the origin to notice", LIMIT, async || origin.abandoned() == 1).await;
    assert_eq!(200, client.get("/bytes/1").await.unwrap().status);
}

#[tokio::test]
async fn an_answer_cut_short_resets_its_stream_alone() {
    let (_origin, rig) = proxied().await;
    let client = rig.h2().await;
    for path in ["/truncate", "/truncate/chunked"] {
        assert_eq!(Failure::Reset, client.get(path).await.unwrap_err(), "{path}");
    }
    assert_eq!(502, client.get("/hang-up").await.unwrap().status);
    assert_eq!(200, client.get("/bytes/1").await.unwrap().status);
}

#[tokio::test]
async fn a_stream_that_an_http2_origin_refuses_is_tried_again_or_a_bad_gateway() {
    let (origin, rig) = h2c().await;
    let client = rig.h2().await;
    assert_eq!(502, client.get("/reset").await.unwrap().status);
    assert_eq!(502, client.get("/refuse").await.unwrap().status);
    assert_eq!(200, client.get("/bytes/1").await.unwrap().status);
    assert!(origin.count() <= 5, "{}", origin.count());
}

#[tokio::test]
async fn what_an_http2_origin_refuses_is_tried_once_more_whatever_the_method() {
    let (origin, rig) = h2c().await;
    let client = rig.h2().await;
    assert_eq!(200, client.get("/bytes/1").await.unwrap().status);
    assert_eq!(502, client.post("/refuse", "").await.unwrap().status);
    assert_eq!((3, 2), (origin.count(), origin.connections_accepted()));
    // What the origin had begun with is not repeated.
    assert_eq!(502, client.post("/reset", "").await.unwrap().status);
    assert_eq!(4, origin.count());
}

#[tokio::test]
async fn clients_that_do_not_read_hold_nobody_else_of_their_origin_back() {
    let (origin, rig) = h2c().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let slow = rig.h2().await;
        let mut stream = slow.open(slow.request(Method::GET, "/bytes/8000000")).await.unwrap();
        stream.end().unwrap();
        held.push(stream.head().await.unwrap());
    }
    for _ in 0..3 {
        assert_eq!(pattern(3_000_000), rig.h2().await.get("/bytes/3000000").await.unwrap().body);
    }
    assert_eq!(1, origin.connections_accepted());
    drop(held);
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_and_the_date_and_no_body() {
    let rig = Rig::ruled(serde_json::json!({ "respond": { "body": "twelve bytes" } })).await;
    let client = rig.h2().await;
    for (method, body) in [(Method::HEAD, ""), (Method::GET, "twelve bytes")] {
        let answer = send(&client, client.request(method.clone(), "/")).await;
        assert_eq!((200, body.as_bytes()), (answer.status, answer.body.as_slice()), "{method}");
        assert_eq!(Some("12"), answer.header("content-length"), "{method}");
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{method}");
    }
}

#[tokio::test]
async fn an_http2_origin_that_goes_away_costs_no_client_an_error() {
    let (origin, rig) = h2c().await;
    let mix = Mix::new("example.com").get("/bytes/100").post("/echo", 2000);
    let load = h2_clients(2, 4, rig.addr, &mix);
    for _ in 0..10 {
        load.more_answers(20).await;
        origin.go_away(integration::h2c_origin::GoAway::Graceful);
    }
    load.stop().await.assert_nothing_lost();
    assert!(origin.connections_accepted() > 5, "{}", origin.connections_accepted());
}

#[tokio::test]
async fn connect_is_refused() {
    let (origin, rig) = proxied().await;
    let client = rig.h2().await;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "example.com:443".parse().unwrap();
    let answer = client.exchange(request, Bytes::new(), None).await;
    assert!(!matches!(&answer, Ok(answer) if answer.status < 400), "{answer:?}");
    assert_eq!(200, client.get("/bytes/1").await.unwrap().status);
    assert_eq!(1, origin.count());
}

#[tokio::test]
async fn fields_that_concern_a_connection_do_not_come_back_over_http2() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nKeep-Alive: timeout=5\r\n\
                  X-Hop: 1\r\nProxy-Connection: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nok\r\n0\r\n\r\n";
    let origin = super::upstreams::Scripted::start(vec![vec![answer]]).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let answer = rig.h2().await.get("/").await.unwrap();
    assert_eq!(b"ok".to_vec(), answer.body);
    for name in ["connection", "keep-alive", "x-hop", "proxy-connection", "transfer-encoding"] {
        assert!(!answer.headers.contains_key(HeaderName::from_static(name)), "{name}");
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}
