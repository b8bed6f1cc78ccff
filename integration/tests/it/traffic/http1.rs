//! HTTP/1.1 on both sides: framing, reuse, order, versions.

use integration::failure::Failure;
use integration::raw_client::Framing;
use integration::tcp_origin::pattern;
use integration::wait::until;

use super::rig::{LIMIT, Rig, Strict, get_with, post, proxied};

#[tokio::test]
async fn bodies_of_all_sizes_come_back_over_one_connection() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let sizes = [0, 1, 2, 1023, 4096, 16_384, 65_535, 65_536, 65_537, 1_000_000];
    for size in sizes {
        let answer = client.exchange(post("/echo", &pattern(size))).await.unwrap();
        assert_eq!((200, Framing::Length), (answer.status, answer.framing), "{size}");
        assert!(answer.body == pattern(size), "{size}");
        let answer = client.get(&format!("/bytes/{size}"), "example.com").await.unwrap();
        assert!(answer.body == pattern(size), "{size}");
    }
    assert_eq!(2 * sizes.len() as u64, origin.count());
    assert_eq!(1, origin.connections_accepted());
}

#[tokio::test]
async fn chunked_bodies_pass_both_ways() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for size in [0_usize, 1, 4096, 300_000] {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut request = head.as_bytes().to_vec();
        for chunk in pattern(size).chunks(10_007) {
            request.extend(format!("{:x};note=\"x\"\r\n", chunk.len()).as_bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
        let answer = client.exchange(request).await.unwrap();
        assert!(answer.body == pattern(size), "{size}");
        let answer = client.get(&format!("/chunked/{size}"), "a").await.unwrap();
        assert_eq!(Framing::Chunked, answer.framing);
        assert!(answer.body == pattern(size), "{size}");
    }
    let chunked = origin.requests()[0].header("transfer-encoding").map(str::to_owned);
    assert_eq!(Some("chunked".to_owned()), chunked);
    assert_eq!(1, origin.connections_accepted());
}

#[tokio::test]
async fn trailers_that_are_announced_pass_both_ways() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let request = "POST /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\
                   Trailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n";
    let answer = client.exchange(request).await.unwrap();
    assert_eq!(("with trailers", true), (&*answer.text(), answer.keeps_alive()));
    assert_eq!(1, answer.trailers.len(), "{:?}", answer.trailers);
    assert!(answer.trailers[0].0.eq_ignore_ascii_case("x-checksum"));
    let seen = origin.only_request();
    assert_eq!(Some("trailers"), seen.header("te"));
    assert_eq!(1, seen.trailers.len(), "{:?}", seen.trailers);
    assert!(seen.trailers[0].0.eq_ignore_ascii_case("x-end") && seen.trailers[0].1 == "yes");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let requests = ["/slow/60", "/bytes/3", "/slow/20", "/chunked/9", "/status/204", "/bytes/1"];
    let bytes: String = requests.iter().map(|path| get_with(path, "")).collect();
    client.send(bytes).await.unwrap();
    let mut answers = Vec::new();
    for _ in requests {
        let answer = client.read_response().await.unwrap();
        answers.push((answer.status, answer.body.len()));
    }
    assert_eq!(vec![(200, 4), (200, 3), (200, 4), (200, 9), (204, 0), (200, 1)], answers);
    let seen: Vec<_> = origin.requests().iter().map(|request| request.line.clone()).collect();
    let sent: Vec<_> = requests.iter().map(|path| format!("GET {path} HTTP/1.1")).collect();
    assert_eq!(sent, seen);
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_requests_behind_it() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let gate = origin.gate("late");
    client
        .send(
            [get_with("/bytes/5", ""), get_with("/gate/late", ""), get_with("/bytes/6", "")]
                .concat(),
        )
        .await
        .unwrap();
    assert_eq!(5, client.read_response().await.unwrap().body.len());
    gate.open();
    assert_eq!("late", client.read_response().await.unwrap().text());
    assert_eq!(6, client.read_response().await.unwrap().body.len());
}

#[tokio::test]
async fn an_http10_client_is_served_with_and_without_host() {
    let (origin, rig) = proxied().await;
    let answer = rig.exchange("GET /bytes/5 HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!((200, 5), (answer.status, answer.body.len()));
    let answer = rig.exchange("GET /bytes/6 HTTP/1.0\r\nHost: a.example\r\n\r\n").await.unwrap();
    assert_eq!(6, answer.body.len());
    // A body in chunks is nothing that HTTP/1.0 knows.
    let mut client = rig.client().await;
    client.send("GET /chunked/7 HTTP/1.0\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!((Framing::Close, 7), (answer.framing, answer.body.len()));
    let hosts: Vec<_> =
        origin.requests().iter().map(|seen| seen.header("host").map(str::to_owned)).collect();
    assert_eq!(Some("a.example".to_owned()), hosts[1]);
    assert!(hosts.iter().all(Option::is_some), "{hosts:?}");
}

#[tokio::test]
async fn an_http10_client_keeps_its_connection_when_it_asks() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send("GET /bytes/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await.unwrap();
        assert_eq!(5, client.read_response().await.unwrap().body.len());
    }
    client.send("GET /bytes/5 HTTP/1.0\r\n\r\n").await.unwrap();
    client.read_response().await.unwrap();
    assert!(client.is_closed_by_peer(LIMIT).await);
    assert_eq!(3, origin.count());
}

#[tokio::test]
async fn a_client_that_half_closes_gets_its_answer() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send(get_with("/gate/g", "")).await.unwrap();
    client.half_close().await.unwrap();
    origin.gate("g").wait_for(1, LIMIT).await;
    origin.gate("g").open();
    assert_eq!("g", client.read_response().await.unwrap().text());
    assert!(client.is_closed_by_peer(LIMIT).await);

    let mut client = rig.client().await;
    client.send(post("/echo", b"body")).await.unwrap();
    client.half_close().await.unwrap();
    assert_eq!("body", client.read_response().await.unwrap().text());
}

#[tokio::test]
async fn answers_without_body_leave_the_connection_in_step() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send("HEAD /bytes/70000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = client.read_head_response().await.unwrap();
    assert_eq!((200, Some("70000")), (answer.status, answer.header("content-length")));
    client.send("HEAD /chunked/70000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(200, client.read_head_response().await.unwrap().status);
    for status in [204, 304] {
        let answer = client.get(&format!("/status/{status}"), "a").await.unwrap();
        assert_eq!((status, Framing::NoBody), (answer.status, answer.framing));
    }
    assert_eq!(9, client.get("/bytes/9", "a").await.unwrap().body.len());
    assert_eq!((5, 1), (origin.count(), origin.connections_accepted()));
}

#[tokio::test]
async fn a_close_that_the_client_asks_for_does_not_reach_the_origin() {
    let (origin, rig) = proxied().await;
    for _ in 0..3 {
        let mut client = rig.client().await;
        let request = get_with("/bytes/4", "Connection: close\r\n");
        let answer = client.exchange(request).await.unwrap();
        assert!(!answer.keeps_alive());
        assert!(client.is_closed_by_peer(LIMIT).await);
    }
    assert_eq!((3, 1), (origin.count(), origin.connections_accepted()));
}

#[tokio::test]
async fn a_close_that_the_origin_asks_for_does_not_reach_the_client() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for path in ["/close-after", "/close-unannounced", "/close-delimited", "/bytes/3"] {
        let answer = client.get(path, "a").await.unwrap();
        assert_eq!((200, true), (answer.status, answer.keeps_alive()), "{path}");
        if path == "/close-delimited" {
            assert_eq!("until close", answer.text());
        }
    }
    assert_eq!(4, origin.connections_accepted());
}

#[tokio::test]
async fn an_answer_cut_short_is_seen_to_be_cut_short() {
    let (_origin, rig) = proxied().await;
    for path in ["/truncate", "/truncate/chunked"] {
        let failure = rig.client().await.get(path, "a").await.unwrap_err();
        assert!(matches!(failure, Failure::Truncated | Failure::Reset), "{path}: {failure}");
    }
}

#[tokio::test]
async fn an_answer_cut_short_does_not_look_whole_to_an_http10_client() {
    let (_origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send("GET /truncate/chunked HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(Failure::Reset, client.read_response().await.unwrap_err());
}

#[tokio::test]
async fn an_origin_that_breaks_off_before_its_answer_is_a_bad_gateway() {
    let (origin, rig) = proxied().await;
    for path in ["/reset", "/hang-up"] {
        let answer = rig.client().await.get(path, "a").await.unwrap();
        assert_eq!(502, answer.status, "{path}");
        let status = answer.header("proxy-status").unwrap();
        assert!(status.contains("error=connection_terminated"), "{status}");
    }
    assert_eq!(2, origin.count());
}

#[tokio::test]
async fn a_request_that_breaks_its_connection_is_tried_at_most_once_more() {
    let (origin, rig) = proxied().await;
    let gate = origin.gate("all");
    let mut clients = Vec::new();
    for count in 1..=4 {
        let mut client = rig.client().await;
        client.send(get_with("/gate/all", "")).await.unwrap();
        gate.wait_for(count, LIMIT).await;
        clients.push(client);
    }
    gate.open();
    for client in &mut clients {
        client.read_response().await.unwrap();
    }
    until("idle upstream connections", LIMIT, async || origin.connections_idle() == 4).await;
    assert_eq!(502, rig.get("/reset").await.status);
    assert!(origin.count() <= 4 + 2, "{} requests for one", origin.count() - 4);
}

#[tokio::test]
async fn a_head_just_below_the_limit_passes() {
    let (origin, rig) = proxied().await;
    let value = "v".repeat(60_000);
    let answer = rig.exchange(get_with("/bytes/1", &format!("X-Long: {value}\r\n"))).await.unwrap();
    assert_eq!(200, answer.status);
    assert_eq!(Some(value.as_str()), origin.only_request().header("x-long"));
    let many: String = (0..90).map(|number| format!("X-{number}: v\r\n")).collect();
    assert_eq!(200, rig.exchange(get_with("/bytes/1", &many)).await.unwrap().status);
}

#[tokio::test]
async fn an_interim_answer_comes_before_the_answer_it_belongs_to() {
    let (_origin, rig) = proxied().await;
    let mut client = rig.client().await;
    let answer = client.get("/early-hints", "a").await.unwrap();
    assert_eq!((200, "hinted".to_owned()), (answer.status, answer.text()));
    assert_eq!(vec![103], statuses(&answer));
    let link = &answer.informational[0].fields;
    assert_eq!(1, link.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link")).count());

    let paths = ["/slow/30", "/early-hints", "/bytes/2", "/early-hints", "/slow/10"];
    let requests: String = paths.iter().map(|path| get_with(path, "")).collect();
    client.send(requests).await.unwrap();
    for path in paths {
        let answer = client.read_response().await.unwrap();
        let expected = if path == "/early-hints" { vec![103] } else { vec![] };
        assert_eq!(expected, statuses(&answer), "{path}");
    }
}

#[tokio::test]
async fn an_http10_client_gets_no_interim_answer() {
    let (_origin, rig) = proxied().await;
    let answer = rig.exchange("GET /early-hints HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!((200, 0), (answer.status, answer.informational.len()));
}

#[tokio::test]
async fn what_an_origin_sends_behind_its_answer_is_no_answer_to_the_next_request() {
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\
                 Content-Length: 5\r\n\r\nwrong";
    let right = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright";
    let origin = super::upstreams::Scripted::start(vec![vec![extra], vec![right]]).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let mut client = rig.client().await;
    assert_eq!("ok", client.get("/", "a").await.unwrap().text());
    assert_eq!("right", client.get("/", "a").await.unwrap().text());
}

#[tokio::test]
async fn every_client_connection_shares_the_pool() {
    let origin = Strict::start().await;
    let rig = Rig::forwarding(&origin.url()).await;
    for _ in 0..20 {
        assert_eq!(200, rig.get("/bytes/10").await.status);
    }
    assert_eq!((20, 1), (origin.count(), origin.connections_accepted()));
}

fn statuses(answer: &integration::raw_client::Response) -> Vec<u16> {
    answer.informational.iter().map(|interim| interim.status).collect()
}
