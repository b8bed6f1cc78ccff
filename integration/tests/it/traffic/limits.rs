//! Limits that hold before any rule.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use integration::failure::Failure;
use integration::h2_raw::{H2Raw, RST_STREAM, widened};
use integration::raw_client::RawClient;
use integration::wait::{pass, until};

use super::rig::{LIMIT, Rig, Strict, get_with};

async fn limited(variables: &[(&str, &str)]) -> (Strict, Rig) {
    let origin = Strict::start().await;
    let rig = Rig::limited(&origin.url(), variables).await;
    (origin, rig)
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_a_timeout() {
    let (origin, rig) = limited(&[("VANE_SEC_HEADER_TIME_MS", "300")]).await;
    let mut client = rig.client().await;
    assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.unwrap();
    let start = Instant::now();
    let answer = client.read_response().await.unwrap();
    assert_eq!(408, answer.status);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(client.is_closed_by_peer(LIMIT).await);
    assert_eq!((1, 1), (origin.count(), rig.refused("head_time").await));
}

#[tokio::test]
async fn a_head_that_drips_does_not_get_more_time() {
    let (origin, rig) = limited(&[("VANE_SEC_HEADER_TIME_MS", "300")]).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await.unwrap();
    let start = Instant::now();
    while !client.is_closed_now() && start.elapsed() < LIMIT {
        let _ = client.send("v").await;
        pass(Duration::from_millis(20)).await;
        if client.is_closed_by_peer(Duration::from_millis(1)).await {
            break;
        }
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(0, origin.count());
}

#[tokio::test]
async fn first_bytes_that_do_not_come_end_the_connection() {
    let (_origin, rig) = limited(&[("VANE_SEC_HEADER_TIME_MS", "300")]).await;
    let mut silent = rig.client().await;
    assert!(silent.is_closed_by_peer(LIMIT).await);
    let mut slow = rig.client().await;
    slow.send("GE").await.unwrap();
    assert!(slow.is_closed_by_peer(LIMIT).await);
    until("both to be gone", LIMIT, async || rig.open().await == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (_origin, rig) = limited(&[("VANE_SEC_KEEP_ALIVE_MS", "300")]).await;
    let mut client = rig.client().await;
    assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
    assert!(client.is_closed_by_peer(LIMIT).await);
    let h2 = rig.h2().await;
    assert_eq!(200, h2.get("/bytes/1").await.unwrap().status);
    h2.ended(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_waits_for_its_answer_is_not_idle() {
    let variables = [("VANE_SEC_KEEP_ALIVE_MS", "250"), ("VANE_SEC_HEADER_TIME_MS", "250")];
    let (_origin, rig) = limited(&variables).await;
    assert_eq!("slow", rig.get("/slow/900").await.text());
}

#[tokio::test]
async fn a_client_that_takes_no_byte_of_its_answer_is_dropped() {
    let (origin, rig) = limited(&[("VANE_SEC_BODY_IDLE_MS", "300")]).await;
    let mut client = rig.client().await;
    client.send(get_with("/stream/100000000", "")).await.unwrap();
    until("the first bytes", LIMIT, async || origin.streamed() > 0).await;
    until("the connection to be dropped", LIMIT, async || rig.open().await == 0).await;
    assert_eq!(1, rig.refused("body_idle").await);
    until("the upstream connection to end", LIMIT, async || origin.connections_open() == 0).await;
}

#[tokio::test]
async fn a_client_that_never_opens_its_window_loses_the_stream_and_no_other() {
    let (origin, rig) = limited(&[("VANE_SEC_BODY_IDLE_MS", "300")]).await;
    let mut client = windowed(&rig, 0).await;
    let (held, held_stream) = client.get("/stream/100000000", "a");
    let (small, small_stream) = client.get("/bytes/5", "a");
    client.send(&[held, small].concat()).await.unwrap();
    let mut reset = Vec::new();
    while reset.len() < 2 {
        let frame = client.next_frame().await.unwrap();
        if frame.kind == RST_STREAM {
            reset.push(frame.stream);
        }
    }
    reset.sort_unstable();
    assert_eq!(vec![held_stream, small_stream], reset);
    assert_eq!(2, rig.refused("body_idle").await);
    until("the upstream connection to end", LIMIT, async || origin.connections_open() <= 1).await;
    let (next, stream) = client.get("/bytes/5", "a");
    client.send(&[next, widened(stream, 5)].concat()).await.unwrap();
    assert_eq!(5, client.body(stream).await.unwrap());
}

#[tokio::test]
async fn a_client_that_never_takes_the_tail_of_an_answer_is_dropped() {
    let (_origin, rig) = limited(&[("VANE_SEC_BODY_IDLE_MS", "300")]).await;
    let mut client = windowed(&rig, 1).await;
    let (request, _) = client.get("/bytes/1000", "a");
    client.send(&request).await.unwrap();
    // Before it has begun, none is open either.
    until("the limit to be met", LIMIT, async || rig.refused("body_idle").await == 1).await;
    until("the connection to be dropped", LIMIT, async || rig.open().await == 0).await;
}

#[tokio::test]
async fn a_client_that_opens_its_window_bit_by_bit_gets_its_answer() {
    let (_origin, rig) = limited(&[("VANE_SEC_BODY_IDLE_MS", "500")]).await;
    let mut client = windowed(&rig, 10).await;
    for path in ["/bytes/100000", "/chunked/100000", "/trailers"] {
        let (request, stream) = client.get(path, "a");
        client.send(&request).await.unwrap();
        for _ in 0..10 {
            pass(Duration::from_millis(100)).await;
            client.send(&widened(stream, 10)).await.unwrap();
        }
        client.send(&widened(stream, 100_000)).await.unwrap();
        client.send(&widened(0, 100_000)).await.unwrap();
        let length = if path == "/trailers" { "with trailers".len() } else { 100_000 };
        assert_eq!(length, client.body(stream).await.unwrap(), "{path}");
    }
    assert_eq!(0, rig.refused("body_idle").await);
}

/// A client whose streams begin with a window of so many bytes.
async fn windowed(rig: &Rig, window: u32) -> H2Raw {
    let mut client = H2Raw::connect(rig.addr).await.unwrap();
    client.set_initial_window(window).await.unwrap();
    client
}

#[tokio::test]
async fn connections_from_one_address_are_bounded() {
    let (origin, rig) = limited(&[("VANE_SEC_MAX_CONNECTIONS_PER_ADDRESS", "4")]).await;
    let mut clients = served(&rig, 4).await;
    let start = Instant::now();
    for _ in 0..3 {
        assert!(turned_away(&rig).await);
    }
    assert_eq!(3, rig.refused("connections_per_address").await);
    let said = |line: &str| line.contains("connections_per_address");
    rig.vaned.wait_for_log(said).await;
    let logged = rig.vaned.log_lines().iter().filter(|line| said(line)).count() as u64;
    assert!(logged <= 1 + start.elapsed().as_secs(), "said {logged} times");
    drop(clients.pop());
    until("room for another", LIMIT, async || !turned_away(&rig).await).await;
    assert_eq!(5, origin.count());
}

#[tokio::test]
async fn connections_are_bounded_in_total() {
    let (_origin, rig) = limited(&[("VANE_SEC_MAX_CONNECTIONS", "16")]).await;
    let _clients = served(&rig, 16).await;
    assert!(turned_away(&rig).await);
    assert_eq!(1, rig.refused("connections").await);
}

#[tokio::test]
async fn requests_on_one_connection_are_bounded_by_rate() {
    let (origin, rig) = limited(&[("VANE_SEC_REQUESTS_PER_SECOND", "10")]).await;
    let mut client = rig.client().await;
    let requests: String = (0..30).map(|_| get_with("/bytes/1", "")).collect();
    client.send(requests).await.unwrap();
    let mut statuses = Vec::new();
    while let Ok(answer) = client.read_response().await {
        statuses.push(answer.status);
    }
    assert_eq!(Some(&429), statuses.last(), "{statuses:?}");
    assert!(client.is_closed_by_peer(LIMIT).await);
    assert!(origin.count() < 30);
    assert!(rig.refused("request_rate").await >= 1);
}

#[tokio::test]
async fn streams_at_once_are_bounded() {
    let (origin, rig) = limited(&[("VANE_SEC_STREAMS", "16")]).await;
    let client = rig.h2().await;
    assert_eq!(200, client.get("/bytes/1").await.unwrap().status);
    let held: Vec<_> = (0..40)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/gate/all").await })
        })
        .collect();
    origin.gate("all").wait_for(16, LIMIT).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    assert_eq!(16, origin.gate("all").arrived());
    origin.gate("all").open();
    for answer in held {
        assert_eq!(200, answer.await.unwrap().unwrap().status);
    }
}

#[tokio::test]
async fn rapid_reset_costs_the_attacker_its_connection_and_nobody_else() {
    let (origin, rig) = limited(&[("VANE_SEC_RESETS_PER_SECOND", "50")]).await;
    let victim = rig.h2().await;
    assert_eq!(200, victim.get("/bytes/1").await.unwrap().status);
    let mut attacker = H2Raw::connect(rig.addr).await.unwrap();
    let attack = async {
        for _ in 0..100 {
            attacker.rapid_reset("/bytes/1", 100).await?;
        }
        attacker.go_away(LIMIT).await
    };
    let served = async {
        for _ in 0..20 {
            assert_eq!(200, victim.get("/bytes/1").await.unwrap().status);
        }
    };
    let (attack, ()) = tokio::join!(attack, served);
    assert!(attack.is_err() || attack != Ok(0), "{attack:?}");
    until("the attacker to be gone", LIMIT, async || rig.open().await == 1).await;
    assert!(origin.count() < 5000, "{}", origin.count());
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_in_turn_meet_the_limit() {
    let (_origin, rig) = limited(&[("VANE_SEC_RESETS_PER_SECOND", "10")]).await;
    let client = rig.h2().await;
    let flood = async {
        loop {
            let request = client.request(Method::GET, "/gate/never");
            let Ok(mut stream) = client.open(request).await else { return };
            if stream.end().is_err() {
                return;
            }
            pass(Duration::from_millis(2)).await;
            stream.reset(h2::Reason::CANCEL);
        }
    };
    tokio::time::timeout(LIMIT, flood).await.unwrap();
    assert!(rig.refused("reset_rate").await >= 1);
}

async fn served(rig: &Rig, count: usize) -> Vec<RawClient> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = rig.client().await;
        assert_eq!(200, client.get("/bytes/1", "a").await.unwrap().status);
        clients.push(client);
    }
    clients
}

async fn turned_away(rig: &Rig) -> bool {
    let answer = match RawClient::connect(rig.addr).await {
        Ok(mut client) => client.get("/bytes/1", "a").await,
        Err(failure) => Err(failure),
    };
    match answer {
        Ok(answer) => answer.status != 200,
        Err(failure) => {
            let closed = matches!(failure, Failure::ClosedBeforeAnswer | Failure::Reset);
            assert!(closed, "{failure}");
            true
        }
    }
}

#[tokio::test]
async fn a_head_with_too_many_fields_is_refused_over_http2_and_cookies_count_as_one() {
    let (origin, rig) = limited(&[("VANE_SEC_HEADER_COUNT", "32")]).await;
    let client = rig.h2().await;
    let with = |name: fn(u32) -> String| {
        let mut request = client.request(Method::GET, "/bytes/1");
        for number in 0..40 {
            let name: HeaderName = name(number).parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_static("a=1"));
        }
        client.exchange(request, Bytes::new(), None)
    };
    assert_eq!(431, with(|number| format!("x-{number}")).await.unwrap().status);
    assert_eq!((0, 1), (origin.count(), rig.refused("head").await));
    assert_eq!(200, with(|_| "cookie".to_owned()).await.unwrap().status);
}
