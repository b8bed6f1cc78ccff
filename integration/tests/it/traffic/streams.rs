//! How streams of HTTP/2 end, and what one of them may do to the others of its connection.

use bytes::Bytes;
use h2::Reason;
use http::Method;
use integration::failure::Failure;
use integration::h2_raw::{
    DATA, END_HEADERS, END_STREAM, H2Raw, HEADERS, PING, RST_STREAM, frame, ok, ok_with_body,
    widened,
};
use integration::raw_client::RawClient;
use integration::wait::until;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::rig::{LIMIT, Rig};
use super::upstreams::Scripted;

/// `:status` 200 and `content-length` 4 (RFC 7541 §6.1 and §6.2.2).
const OK_OF_FOUR_BYTES: &[u8] = b"\x88\x0f\x0d\x014";

/// Where the flags stand in a frame.
const FLAGS: usize = 4;

/// A place where the test itself is the origin, and a daemon in front of it.
async fn in_front_of(scheme: &str) -> (TcpListener, Rig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::forwarding(&format!("{scheme}://{}", listener.local_addr().unwrap())).await;
    (listener, rig)
}

async fn accepted(listener: &TcpListener) -> RawClient {
    RawClient::over(listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn a_body_that_its_client_gives_up_without_an_error_is_not_taken_for_complete() {
    let (listener, rig) = in_front_of("http").await;
    let client = rig.h2().await;
    let mut stream = client.open(client.request(Method::POST, "/")).await.unwrap();
    stream.send("half").await.unwrap();
    let mut origin = accepted(&listener).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"half\r\n") {
        seen.extend(origin.read_some(1000).await.unwrap());
    }
    stream.reset(Reason::NO_ERROR);
    let rest = origin.read_to_end().await;
    assert!(!matches!(&rest, Ok(rest) if !rest.is_empty()), "{rest:?}");
}

#[tokio::test]
async fn an_answer_that_its_server_gives_up_without_an_error_is_not_taken_for_complete() {
    let (listener, rig) = in_front_of("h2c").await;
    let origin = tokio::spawn(async move {
        let mut origin = H2Raw::accepted(accepted(&listener).await).await.unwrap();
        for _ in 0..2 {
            let stream = origin.streams_of(HEADERS, 1).await.unwrap()[0];
            let half = frame(DATA, 0, stream, b"half");
            let end = frame(RST_STREAM, 0, stream, &0_u32.to_be_bytes());
            origin.send(&[ok_with_body(stream), half, end].concat()).await.unwrap();
        }
        origin
    });
    let mut http1 = rig.client().await;
    let failure = http1.get("/", "a").await.unwrap_err();
    assert!(matches!(failure, Failure::Truncated | Failure::Reset), "{failure}");
    assert_eq!(Failure::Reset, rig.h2().await.get("/").await.unwrap_err());
    drop(origin.await.unwrap());
}

#[tokio::test]
async fn an_answer_that_is_complete_stays_so_when_its_connection_ends_before_the_upload() {
    let (listener, rig) = in_front_of("h2c").await;
    let client = rig.h2().await;
    let mut stream = client.open(client.request(Method::POST, "/")).await.unwrap();
    stream.send("half").await.unwrap();
    let mut origin = H2Raw::accepted(accepted(&listener).await).await.unwrap();
    let number = origin.streams_of(DATA, 1).await.unwrap()[0];
    let head = frame(HEADERS, END_HEADERS, number, OK_OF_FOUR_BYTES);
    let answer = [head, frame(DATA, END_STREAM, number, b"full")].concat();
    origin.send(&answer).await.unwrap();
    drop(origin);
    assert_eq!(b"full".to_vec(), stream.answer().await.unwrap().body);
}

#[tokio::test]
async fn the_last_piece_of_an_upload_does_not_wait_for_ever_behind_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("h2c://{}", listener.local_addr().unwrap());
    let forward = json!({ "to": to, "timeout": { "response": "300ms" } });
    let rig = Rig::ruled(json!({ "forward": forward })).await;
    let mut client = H2Raw::connect(rig.addr).await.unwrap();
    let (mut head, number) = client.get("/", "a");
    head[FLAGS] = END_HEADERS;
    client.send(&head).await.unwrap();
    let mut origin = H2Raw::accepted(accepted(&listener).await).await.unwrap();
    let stream = origin.streams_of(HEADERS, 1).await.unwrap()[0];
    origin.set_initial_window(4).await.unwrap();
    origin.send(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
    origin.streams_of(PING, 1).await.unwrap();
    client.send(&frame(DATA, 0, number, b"full")).await.unwrap();
    origin.streams_of(DATA, 1).await.unwrap();
    client.send(&frame(DATA, END_STREAM, number, b"last")).await.unwrap();
    origin.send(&ok(stream)).await.unwrap();
    assert_eq!(vec![number], client.streams_of(HEADERS, 1).await.unwrap());
    let given_up = timeout(LIMIT, origin.streams_of(RST_STREAM, 1)).await;
    assert_eq!(vec![stream], given_up.expect("in time").unwrap());
}

#[tokio::test]
async fn what_still_comes_for_requests_given_up_does_not_end_the_connection_of_others() {
    let (listener, rig) = in_front_of("h2c").await;
    let (begun, has_begun) = oneshot::channel();
    let origin = tokio::spawn(async move {
        let mut origin = H2Raw::accepted(accepted(&listener).await).await.unwrap();
        let held = origin.streams_of(HEADERS, 1).await.unwrap()[0];
        begun.send(()).unwrap();
        let given_up = origin.streams_of(RST_STREAM, 90).await.unwrap();
        for _ in 0..40 {
            let late: Vec<_> =
                given_up.iter().flat_map(|stream| frame(DATA, 0, *stream, b"x")).collect();
            origin.send(&[late, frame(PING, 0, 0, &[0; 8])].concat()).await.unwrap();
            origin.streams_of(PING, 1).await.unwrap();
        }
        origin.send(&ok(held)).await.unwrap();
        origin
    });
    let first = rig.h2().await;
    let held = tokio::spawn(async move { first.get("/held").await });
    has_begun.await.unwrap();
    let second = rig.h2().await;
    let mut streams = Vec::new();
    for _ in 0..90 {
        streams.push(second.open(second.request(Method::POST, "/")).await.unwrap());
    }
    let all = async || rig.stats().await["requests"]["active"] == 91;
    until("all requests to be under way", LIMIT, all).await;
    streams.into_iter().for_each(|stream| stream.reset(Reason::CANCEL));
    assert_eq!(200, held.await.unwrap().unwrap().status);
    drop(origin.await.unwrap());
}

#[tokio::test]
async fn what_still_comes_for_uploads_that_nobody_wants_does_not_end_their_connection() {
    let rig = Rig::ruled(json!({ "respond": { "status": 403 } })).await;
    let mut client = H2Raw::connect(rig.addr).await.unwrap();
    for _ in 0..90 {
        let (mut head, _) = client.get("/", "a");
        head[FLAGS] = END_HEADERS;
        client.send(&head).await.unwrap();
    }
    let refused = client.streams_of(RST_STREAM, 90).await.unwrap();
    for _ in 0..40 {
        let late: Vec<_> =
            refused.iter().flat_map(|stream| frame(DATA, 0, *stream, b"x")).collect();
        client.send(&[late, frame(PING, 0, 0, &[0; 8])].concat()).await.unwrap();
        client.streams_of(PING, 1).await.unwrap();
    }
}

#[tokio::test]
async fn small_pieces_that_a_server_does_not_take_do_not_end_the_connection_of_their_client() {
    let (listener, rig) = in_front_of("h2c").await;
    let origin = tokio::spawn(async move {
        let mut origin = H2Raw::accepted(accepted(&listener).await).await.unwrap();
        let streams = origin.streams_of(HEADERS, 2).await.unwrap();
        let wider = [widened(0, 1 << 20), widened(streams[0], 1 << 20)].concat();
        origin.send(&[ok(streams[1]), wider].concat()).await.unwrap();
        let taken = origin.body(streams[0]).await.unwrap();
        origin.send(&ok(streams[0])).await.unwrap();
        (origin, taken)
    });
    let client = rig.h2().await;
    let mut stream = client.open(client.request(Method::POST, "/")).await.unwrap();
    for _ in 0..10_000 {
        stream.send(&[b'x'; 60][..]).await.unwrap();
    }
    assert_eq!(200, client.get("/").await.unwrap().status);
    stream.end().unwrap();
    assert_eq!(200, stream.answer().await.unwrap().status);
    // What came before the other request is not counted there.
    assert!(origin.await.unwrap().1 >= 600_000 - 65_535);
}

#[tokio::test]
async fn no_more_interim_answers_are_passed_on_than_anybody_needs() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let answers = hint.repeat(2000) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Scripted::start(vec![vec![answers.leak()]]).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let answer = rig.h2().await.get("/").await.unwrap();
    assert_eq!(b"ok".to_vec(), answer.body);
    let passed = answer.informational.len();
    assert!((1..=100).contains(&passed), "{passed}");
}

#[tokio::test]
async fn trailers_that_concern_a_connection_do_not_cost_the_answer() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nok\r\n0\r\nKeep-Alive: timeout=5\r\nX-Sum: 1\r\n\r\n";
    let origin = Scripted::start(vec![vec![answer]]).await;
    let rig = Rig::forwarding(&origin.url()).await;
    let client = rig.h2().await;
    let answer = client.exchange(client.request(Method::GET, "/"), Bytes::new(), None).await;
    let answer = answer.unwrap();
    let trailers = answer.trailers.unwrap();
    assert_eq!((b"ok".to_vec(), 1), (answer.body, trailers.len()));
    assert_eq!("1", trailers["x-sum"]);
}
