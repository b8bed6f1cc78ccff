//! Whatever the scanner accepts, httparse reads as the same method, target and fields; and the
//! verdict does not depend on how the stream is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vane_engine::wire::scanner::{HeadLimits, Phase, RequestScanner, Violation};

const LIMITS: HeadLimits = HeadLimits { max_fields: 16, max_bytes: 2048, max_target: 256 };

fuzz_target!(|input: &[u8]| {
    let Some((&size, stream)) = input.split_first() else { return };
    let mut heads = Vec::new();
    let bytewise = scan(stream, 1, |head| heads.push(head.to_vec()));
    assert_eq!(bytewise, scan(stream, usize::MAX, |_| {}));
    assert_eq!(bytewise, scan(stream, usize::from(size).max(1), |_| {}));
    heads.iter().for_each(|head| compare(head));
});

/// The verdict with its position in the stream, the requests counted, and the phase at the end.
fn scan(
    stream: &[u8],
    size: usize,
    mut on_head: impl FnMut(&[u8]),
) -> (Result<(), Violation>, u64, Phase) {
    let mut scanner = RequestScanner::new(LIMITS);
    let (mut offset, mut start) = (0, 0);
    for slice in stream.chunks(size) {
        let (phase, requests) = (scanner.phase(), scanner.requests());
        if let Err(Violation { at, kind }) = scanner.feed(slice) {
            let verdict = Err(Violation { at: offset + at, kind });
            return (verdict, scanner.requests(), scanner.phase());
        }
        if phase == Phase::Idle && scanner.phase() == Phase::Head {
            start = offset;
        }
        offset += slice.len();
        if size == 1 && scanner.requests() > requests {
            on_head(&stream[start..offset]);
        }
    }
    (Ok(()), scanner.requests(), scanner.phase())
}

fn compare(head: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; LIMITS.max_fields];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));

    let mut lines = head.strip_suffix(b"\r\n\r\n").expect("a head").split(|byte| *byte == b'\n');
    let line = without_end(lines.next().expect("a request line"));
    let mut parts = line.split(|byte| *byte == b' ');
    assert_eq!(request.method.map(str::as_bytes), parts.next());
    assert_eq!(request.path.map(str::as_bytes), parts.next());
    assert_eq!(
        parts.next(),
        Some(
            &[b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' + request.version.expect("a version")]
                [..]
        )
    );
    assert_eq!(parts.next(), None);

    for field in request.headers.iter() {
        let line = without_end(lines.next().expect("a field line"));
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        assert_eq!(field.name.as_bytes(), &line[..colon]);
        assert_eq!(field.value, trimmed(&line[colon + 1..]));
    }
    assert_eq!(lines.next(), None);
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
