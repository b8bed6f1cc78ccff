//! Requests that two parsers could read differently: refused, never guessed.

use std::time::Duration;

use integration::failure::Failure;
use integration::wait::until;

use super::rig::{LIMIT, Rig, Strict, get_with, proxied};

/// Requests that must be refused, each with a host where that is not the point.
const BAD_HEADS: &[(&str, &str)] = &[
    (
        "both lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "both lengths, the other way round",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "two equal lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ),
    (
        "two different lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx"),
    ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
    ("a length with a blank in it", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx"),
    (
        "a length beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
    ),
    (
        "chunked twice in one line",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice in two lines",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "another coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    ("identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    (
        "a coding that only looks like chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a quoted coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "a vertical tab before the coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a blank before the colon of a coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a blank before a colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n"),
    ("a tab before a colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\t: 1\r\n\r\n"),
    ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n"),
    ("a folded line with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\t2\r\n\r\n"),
    (
        "a folded coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a blank before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("a bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("a bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n"),
    ("a bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("bare LFs only", "GET / HTTP/1.1\nHost: a\n\n"),
    ("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\rX-B: 2\r\n\r\n"),
    ("a bare CR in a name", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r: 1\r\n\r\n"),
    ("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\0\r\n\r\n"),
    ("a NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0A: 1\r\n\r\n"),
    ("a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("two equal hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nX-A: 1\r\n\r\n"),
    ("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("a host with a bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    ("a target for another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target without the host field", "GET http://a/ HTTP/1.1\r\n\r\n"),
    ("a target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target with a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target that is no path", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target that is not ASCII", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a broken escape", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/0.9", "GET /\r\n"),
    ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    ("http in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"),
    ("two blanks in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a blank behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a blank before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a field without name", "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n"),
    ("a field without colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
    ("a field name that is no token", "GET / HTTP/1.1\r\nHost: a\r\nX(A): 1\r\n\r\n"),
    (
        "a coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
];

/// Bodies in chunks that must not reach the origin whole.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("a signed size", "+3\r\nabc\r\n0\r\n\r\n"),
    ("a hexadecimal prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("a negative size", "-1\r\n\r\n"),
    ("no size", "\r\nabc\r\n0\r\n\r\n"),
    ("a size that is no number", "g\r\nabc\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a blank before the size", " 3\r\nabc\r\n0\r\n\r\n"),
    ("a blank behind the size", "3 \r\nabc\r\n0\r\n\r\n"),
    ("a bare LF behind the size", "3\nabc\r\n0\r\n\r\n"),
    ("a bare CR behind the size", "3\rabc\r\n0\r\n\r\n"),
    ("an LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("a CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("no CRLF behind a chunk", "3\r\nabc0\r\n\r\n"),
    ("a bare LF behind a chunk", "3\r\nabc\n0\r\n\r\n"),
    ("more data than its size", "3\r\nabcd\r\n0\r\n\r\n"),
    ("a length in the trailers", "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n"),
    ("a coding in the trailers", "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("a host in the trailers", "3\r\nabc\r\n0\r\nHost: b\r\n\r\n"),
    ("a folded trailer", "3\r\nabc\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"),
    ("a bare LF in the trailers", "3\r\nabc\r\n0\r\nX-A: 1\n\r\n"),
];

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|each| each as u8).collect()
}

#[tokio::test]
async fn a_head_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let (origin, rig) = proxied().await;
    let mut wrong = Vec::new();
    for (what, request) in BAD_HEADS {
        if let Err(why) = is_refused(&rig, &latin1(request)).await {
            wrong.push(format!("{what}: {why}"));
        }
    }
    assert_eq!(Vec::<String>::new(), wrong);
    assert_eq!(0, origin.count(), "{:?}", origin.requests());
}

/// Wherever the network cuts it. hyper looks at a head that came in part only when it has seen its
/// end.
#[tokio::test]
async fn a_bad_head_that_comes_in_two_pieces_is_refused_and_the_connection_closed() {
    let (origin, rig) = proxied().await;
    let mut wrong = Vec::new();
    for (what, request) in BAD_HEADS {
        let request = latin1(request);
        let (first, rest) = request.split_at(request.len() / 2);
        let mut client = rig.client().await.with_limit(Duration::from_secs(3));
        assert_eq!(200, client.get("/bytes/3", "a").await.unwrap().status);
        let before = received(&rig).await;
        client.send(first).await.unwrap();
        until("the first piece", LIMIT, async || received(&rig).await > before).await;
        let status = client.exchange(rest).await.map(|answer| answer.status);
        let closed = client.is_closed_by_peer(LIMIT).await;
        if (&status, closed) != (&Ok(400), true) {
            wrong.push(format!("{what}: {status:?}, closed: {closed}"));
        }
    }
    assert_eq!(Vec::<String>::new(), wrong);
    assert_eq!(BAD_HEADS.len() as u64, origin.count(), "{:?}", origin.requests());
}

#[tokio::test]
async fn a_bad_head_behind_good_requests_is_refused_after_their_answers() {
    let (origin, rig) = proxied().await;
    let mut wrong = Vec::new();
    for (what, request) in BAD_HEADS {
        let good = get_with("/bytes/3", "") + &get_with("/chunked/4", "");
        let bytes = [good.as_bytes(), &latin1(request)].concat();
        let mut client = rig.client().await;
        client.send(bytes).await.unwrap();
        let first = client.read_response().await.map(|answer| answer.body.len());
        let second = client.read_response().await.map(|answer| answer.body.len());
        let refused = client.read_response().await.map(|answer| answer.status);
        let closed = client.is_closed_by_peer(LIMIT).await;
        let got = (first, second, refused, closed);
        if !matches!(got, (Ok(3), Ok(4), Ok(400), true)) {
            wrong.push(format!("{what}: {got:?}"));
        }
    }
    assert_eq!(Vec::<String>::new(), wrong);
    assert_eq!(2 * BAD_HEADS.len() as u64, origin.count());
}

#[tokio::test]
async fn a_body_with_bad_chunks_never_reaches_the_origin_whole() {
    let (origin, rig) = proxied().await;
    let mut wrong = Vec::new();
    let trailers = "X-A: 1\r\n".repeat(120);
    let many = ("too many trailers", format!("3\r\nabc\r\n0\r\n{trailers}\r\n"));
    let bodies = BAD_CHUNKS.iter().map(|(what, chunks)| (*what, (*chunks).to_owned()));
    for (what, chunks) in bodies.chain([many]) {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let smuggled = get_with("/smuggled", "");
        let request = format!("{head}{chunks}{smuggled}");
        if let Err(why) = is_refused(&rig, request.as_bytes()).await {
            wrong.push(format!("{what}: {why}"));
        }
    }
    assert_eq!(Vec::<String>::new(), wrong);
    let whole: Vec<_> =
        origin.requests().into_iter().filter(|seen| seen.body_length.is_some()).collect();
    assert!(whole.is_empty(), "{whole:?}");
}

#[tokio::test]
async fn a_head_over_the_limits_is_too_large() {
    let (origin, rig) = proxied().await;
    let long = "v".repeat(70_000);
    let many: String = (0..120).map(|number| format!("X-{number}: v\r\n")).collect();
    for (what, request) in [
        ("a long value", get_with("/", &format!("X-A: {long}\r\n"))),
        ("a long name", get_with("/", &format!("X-{long}: 1\r\n"))),
        ("many fields", get_with("/", &many)),
        ("a long target", get_with(&format!("/{long}"), "")),
    ] {
        let mut client = rig.client().await;
        let answer = client.exchange(request).await.unwrap();
        assert!(matches!(answer.status, 414 | 431), "{what}: {}", answer.status);
        assert!(client.is_closed_by_peer(LIMIT).await, "{what}");
    }
    assert_eq!(0, origin.count());
    assert_eq!(4, rig.refused("head").await);
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    until("the first piece", LIMIT, async || received(&rig).await > 0).await;
    let fields = "X-A: 1\r\n".repeat(9000);
    let answer = client.exchange(fields).await.unwrap();
    assert_eq!(431, answer.status);
    assert_eq!(0, origin.count());
}

#[tokio::test]
async fn a_request_in_a_refused_body_is_not_a_request() {
    let origin = Strict::start().await;
    let rule = serde_json::json!({ "match": { "http.path": "/open" }, "forward": origin.url() });
    let rig = Rig::ruled(rule).await;
    let mut client = rig.client().await;
    let hidden = get_with("/open", "");
    let request = super::rig::post("/closed", hidden.as_bytes());
    assert_eq!(404, client.exchange(request).await.unwrap().status);
    let next = client.get("/open", "a").await;
    assert!(matches!(&next, Ok(answer) if answer.status == 200) || next.is_err(), "{next:?}");
    let mut client = rig.client().await.with_limit(Duration::from_millis(200));
    assert_eq!(200, client.get("/open", "a").await.unwrap().status);
    assert_eq!(Failure::TimedOut, client.read_response().await.unwrap_err());
    assert!(origin.count() <= 2, "{:?}", origin.requests());
}

#[tokio::test]
async fn empty_lines_in_front_of_a_request_are_tolerated() {
    let (origin, rig) = proxied().await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        let request = "\r\n".to_owned() + &get_with("/bytes/3", "");
        assert_eq!(200, client.exchange(request).await.unwrap().status);
    }
    assert_eq!(2, origin.count());
}

/// Bytes that the daemon has taken from clients.
async fn received(rig: &Rig) -> u64 {
    rig.stats().await["bytes"]["received"].as_u64().unwrap()
}

/// Whether the request is answered with a refusal and its connection closed.
async fn is_refused(rig: &Rig, request: &[u8]) -> Result<(), String> {
    let mut client = rig.client().await.with_limit(Duration::from_secs(3));
    let answer = client.exchange(request).await.map_err(|failure| failure.to_string())?;
    if !matches!(answer.status, 400 | 414 | 431 | 501) {
        return Err(format!("answered {}", answer.status));
    }
    match client.read_response().await {
        Err(Failure::ClosedBeforeAnswer | Failure::Reset) => Ok(()),
        more => Err(format!("then {more:?}")),
    }
}
