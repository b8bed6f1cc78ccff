use http::StatusCode;
use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { max_fields: 8, max_bytes: 512, max_target: 64 };

fn scanned(bytes: &[u8]) -> (RequestScanner, Result<(), Violation>) {
    let mut scanner = RequestScanner::new(LIMITS);
    let verdict = scanner.feed(bytes);
    (scanner, verdict)
}

/// The text before `|` is accepted, and the byte after it is where it is refused.
fn refused(marked: &str, kind: ViolationKind) {
    let at = marked.find('|').expect("a mark");
    let stream = marked.replacen('|', "", 1);
    assert_eq!(scanned(stream.as_bytes()).1, Err(Violation { at, kind }), "{marked:?}");
}

fn accepted(stream: &str) -> RequestScanner {
    let (scanner, verdict) = scanned(stream.as_bytes());
    assert_eq!(verdict, Ok(()), "{stream:?}");
    scanner
}

#[test]
fn ordinary_requests_pass() {
    for stream in [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost:a\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost: a\r\nX: \"\t\u{e9} \"\r\nEmpty:\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost:\t[::1]:80 \r\n\r\n\r\n",
    ] {
        let scanner = accepted(stream);
        assert_eq!((scanner.requests(), scanner.phase()), (1, Phase::Idle), "{stream:?}");
    }
}

#[test]
fn bodies_end_where_their_framing_says() {
    let pipelined = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\r\n\r\n!\
        POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
        3;a=\"b\"\r\nx\r\n\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n\
        GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let scanner = accepted(pipelined);
    assert_eq!((scanner.requests(), scanner.phase()), (3, Phase::Idle));
}

#[test]
fn the_phase_follows_the_stream() {
    let mut scanner = RequestScanner::new(LIMITS);
    let mut feed = |bytes: &[u8]| {
        scanner.feed(bytes).unwrap();
        scanner.phase()
    };
    assert_eq!(feed(b"\r"), Phase::Idle);
    assert_eq!(feed(b"\n"), Phase::Idle);
    assert_eq!(feed(b"P"), Phase::Head);
    assert_eq!(feed(b"OST / HTTP/1.1\r"), Phase::Head);
    assert_eq!(feed(b"\nHost: a\r\nTransfer-Encoding: chunked\r\n\r"), Phase::Head);
    assert_eq!(feed(b"\n"), Phase::Body);
    assert_eq!(feed(b"1\r\nx\r\n0\r\nT"), Phase::Body);
    assert_eq!(feed(b": x\r\n\r"), Phase::Body);
    assert_eq!(feed(b"\n"), Phase::Idle);
}

#[test]
fn malformed_request_lines_are_refused() {
    use ViolationKind as K;
    refused("| GET / HTTP/1.1\r\n", K::Method);
    refused("G|(T / HTTP/1.1\r\n", K::Method);
    refused("GET|\r\n", K::Method);
    refused("GET | / HTTP/1.1\r\n", K::Target);
    refused("GET /a|\tb HTTP/1.1\r\n", K::Target);
    refused("GET /a|#b HTTP/1.1\r\n", K::Target);
    refused("GET /|\u{e9} HTTP/1.1\r\n", K::Target);
    refused("GET /|\r\n", K::Target);
    refused("GET / | HTTP/1.1\r\n", K::Version);
    refused("GET / HTTP/|2.0\r\n", K::Version);
    refused("GET / HTTP/1.|2\r\n", K::Version);
    refused("GET / |http/1.1\r\n", K::Version);
    refused("GET / HTTP/1.1| \r\n", K::Version);
    refused("\r\n\r\n|\r\n", K::EmptyLines);
}

#[test]
fn line_ends_other_than_crlf_are_refused() {
    use ViolationKind as K;
    refused("|\nGET / HTTP/1.1\r\n", K::BareLineFeed);
    refused("GET / HTTP/1.1|\nHost: a\r\n\r\n", K::BareLineFeed);
    refused("GET / HTTP/1.1\r\nHost: a|\n\r\n", K::BareLineFeed);
    refused("GET / HTTP/1.1\r\nHost: a\r\n|\n", K::BareLineFeed);
    refused("GET / HTTP/1.1\r\nX: a\r|b\r\n", K::BareCarriageReturn);
    refused("GET / HTTP/1.1\r|\r\n", K::BareCarriageReturn);
    refused("\r|GET / HTTP/1.1\r\n", K::BareCarriageReturn);
}

#[test]
fn malformed_fields_are_refused() {
    use ViolationKind as K;
    for (fields, kind) in [
        ("X| : a", K::FieldName),
        ("| X: a", K::Folding),
        ("X: a\r\n|\tb", K::Folding),
        ("|: a", K::FieldName),
        ("X|\u{e9}: a", K::FieldName),
        ("X|\r\n", K::FieldName),
        ("X: a|\0", K::FieldValue),
        ("X: a|\u{7f}", K::FieldValue),
    ] {
        refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), kind);
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    use ViolationKind as K;
    for (fields, kind) in [
        ("Content-Length: 1\r\nContent-Length: 1|\r\n", K::RepeatedContentLength),
        ("Content-Length: 1, 1|\r\n", K::ContentLength),
        ("Content-Length: +1|\r\n", K::ContentLength),
        ("Content-Length: -1|\r\n", K::ContentLength),
        ("Content-Length: 0x1|\r\n", K::ContentLength),
        ("Content-Length: 1 1|\r\n", K::ContentLength),
        ("Content-Length:|\r\n", K::ContentLength),
        ("Content-Length: 18446744073709551616|\r\n", K::ContentLength),
        ("Transfer-Encoding: gzip, chunked|\r\n", K::TransferEncoding),
        ("Transfer-Encoding: chunked, chunked|\r\n", K::TransferEncoding),
        ("Transfer-Encoding: identity|\r\n", K::TransferEncoding),
        ("Transfer-Encoding: |\x0bchunked\r\n", K::FieldValue),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked|\r\n",
            K::RepeatedTransferEncoding,
        ),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r|\n", K::BothLengths),
        ("content-length: 1\r\ntransfer-encoding: chunked\r\n\r|\n", K::BothLengths),
    ] {
        refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}"), kind);
    }
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r|\n", K::TransferEncodingInHttp10);
    accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

#[test]
fn exactly_one_host_is_required() {
    use ViolationKind as K;
    refused("GET / HTTP/1.1\r\n\r|\n", K::MissingHost);
    refused("GET / HTTP/1.1\r\nHost: a\r\nhost: a|\r\n\r\n", K::RepeatedHost);
    refused("GET / HTTP/1.0\r\nHost: a\r\nhost: a|\r\n\r\n", K::RepeatedHost);
    for host in ["", "a, b", "u@a", "a b", "a/b", "[::1", "a:b", ":80", &"a".repeat(255)] {
        refused(&format!("GET / HTTP/1.1\r\nHost: {host}|\r\n\r\n"), K::Host);
    }
    refused(&format!("GET / HTTP/1.1\r\nHost: {}|\r\n\r\n", "a".repeat(400)), K::Host);
}

#[test]
fn malformed_chunks_are_refused() {
    use ViolationKind as K;
    let long = format!("1;{}", "e".repeat(MAX_CHUNK_EXTENSION));
    for (body, kind) in [
        ("|\r\n", K::ChunkSize),
        ("|+1\r\n", K::ChunkSize),
        ("0|x1\r\n", K::ChunkSize),
        ("1| \r\nx\r\n", K::ChunkSize),
        ("1|\nx\r\n", K::BareLineFeed),
        ("1;a|\nx\r\n", K::BareLineFeed),
        ("1;a\r|b\r\n", K::BareCarriageReturn),
        ("1;a|\0\r\n", K::ChunkExtension),
        ("1\r\nx|y\r\n", K::ChunkEnd),
        ("1\r\nx|\n", K::BareLineFeed),
        ("1\r\nx\r|x", K::BareCarriageReturn),
        ("1234567890abcdef|0\r\n", K::ChunkSize),
        (&format!("{long}|e\r\n"), K::ChunkExtension),
        ("0\r\nContent-Length|: 1\r\n", K::ForbiddenTrailer),
        ("0\r\nHOST|: a\r\n", K::ForbiddenTrailer),
        ("0\r\ntransfer-encoding|: chunked\r\n", K::ForbiddenTrailer),
        ("0\r\n| X: a\r\n", K::Folding),
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        refused(&format!("{head}{body}"), kind);
    }
}

#[test]
fn limits_are_met_exactly() {
    use ViolationKind as K;
    let field = "X: a\r\n";
    let target = "a".repeat(LIMITS.max_target - 1);
    let fields = field.repeat(LIMITS.max_fields - 1);
    accepted(&format!("GET /{target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    refused(&format!("GET /{target}|a HTTP/1.1\r\n"), K::TargetTooLong);
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}|X: a\r\n\r\n"), K::TooManyFields);

    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let value = "v".repeat(LIMITS.max_bytes - start.len() - 4);
    accepted(&format!("{start}{value}\r\n\r\n"));
    refused(&format!("{start}{value}v\r\n\r|\n"), K::HeadTooLarge);
    let trailer = "t".repeat(LIMITS.max_bytes);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    refused(&format!("{chunked}{trailer}|t"), K::HeadTooLarge);
}

#[test]
fn each_limit_has_its_status_and_the_rest_is_a_bad_request() {
    let statuses = [
        (ViolationKind::TooManyFields, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (ViolationKind::HeadTooLarge, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (ViolationKind::TargetTooLong, StatusCode::URI_TOO_LONG),
        (ViolationKind::BareLineFeed, StatusCode::BAD_REQUEST),
    ];
    for (kind, status) in statuses {
        assert_eq!(kind.status(), status);
    }
    let shown = Violation { at: 3, kind: ViolationKind::BareLineFeed }.to_string();
    assert_eq!(shown, "client misbehaved: bare line feed");
}

#[test]
fn a_refused_stream_stays_refused() {
    let (mut scanner, _) = scanned(b"GET /\n");
    let again = scanner.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(again, Err(Violation { at: 0, kind: ViolationKind::BareLineFeed }));
}

/// The verdict over slices of the given sizes, with the position in the whole stream.
fn over_slices(stream: &[u8], sizes: &[usize]) -> (Result<(), Violation>, u64, Phase) {
    let mut scanner = RequestScanner::new(LIMITS);
    let mut sizes = sizes.iter().copied().cycle();
    let mut offset = 0;
    let mut verdict = Ok(());
    while offset < stream.len() && verdict.is_ok() {
        let size = sizes.next().unwrap_or(1).min(stream.len() - offset);
        verdict = scanner
            .feed(&stream[offset..offset + size])
            .map_err(|violation| Violation { at: offset + violation.at, ..violation });
        offset += size;
    }
    (verdict, scanner.requests(), scanner.phase())
}

fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.0\r\n",
        "Host: a\r\n",
        "Host: [::1]:8\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "X-Y: z \r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n",
        "0\r\n\r\n",
        "1;e\r\nx\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "\0",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_verdict_does_not_depend_on_the_slices(
        fragments in prop::collection::vec(fragment(), 0..12),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let stream = fragments.concat().into_bytes();
        let whole = over_slices(&stream, &[usize::MAX]);
        prop_assert_eq!(over_slices(&stream, &[1]), whole);
        prop_assert_eq!(over_slices(&stream, &sizes), whole);
    }
}
