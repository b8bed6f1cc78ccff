//! Which protocol a connection speaks, told from its first bytes.

use vane_core::graph::facts::{FirstBytes, Protocol};

use crate::wire::client_hello::{self, MAX_HELLO, Stop};

/// What the bytes so far say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// More bytes may change the answer; at most [`MAX_BYTES`] are asked for.
    NeedMore,
    /// No byte that follows changes this.
    Known(FirstBytes),
}

/// The most bytes that are looked at: the longest ClientHello in many records.
pub const MAX_BYTES: usize = MAX_HELLO + 4096;

/// Tells TLS, HTTP/2 by prior knowledge, HTTP/1 and the rest apart.
///
/// A malformed ClientHello is [`Protocol::Other`]. HTTP/1 is a method and a space: a registered
/// method at once, another token only in front of `/`, `*` or `http`, since greetings of other
/// protocols are two words as well. Empty lines in front are skipped as the scanner does.
pub fn classify(bytes: &[u8]) -> Verdict {
    let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
    let verdict = match bytes.first() {
        None => return Verdict::NeedMore,
        Some(0x16) => tls(bytes),
        Some(_) => http(bytes),
    };
    if verdict == Verdict::NeedMore && bytes.len() == MAX_BYTES { OTHER } else { verdict }
}

fn tls(bytes: &[u8]) -> Verdict {
    match client_hello::parse(bytes) {
        Ok(hello) => {
            Verdict::Known(FirstBytes { protocol: Protocol::Tls, sni: hello.sni, alpn: hello.alpn })
        }
        Err(Stop::Incomplete) => Verdict::NeedMore,
        Err(Stop::Malformed) => OTHER,
    }
}

fn http(bytes: &[u8]) -> Verdict {
    if bytes.starts_with(PREFACE) {
        return HTTP2;
    }
    if PREFACE.starts_with(bytes) {
        return Verdict::NeedMore;
    }
    match after_empty_lines(bytes) {
        Some(line) => request_line(line),
        None => Verdict::NeedMore,
    }
}

/// What follows at most two empty lines; nothing while another line end may be under way.
fn after_empty_lines(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    for _ in 0..2 {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    }
    let undecided = rest.is_empty() || (rest == b"\r" && bytes.len() < 4);
    (!undecided).then_some(rest)
}

fn request_line(line: &[u8]) -> Verdict {
    let end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    let (method, rest) = line.split_at(end);
    match rest.first() {
        _ if end > MAX_METHOD => OTHER,
        None => Verdict::NeedMore,
        Some(b' ') if METHODS.contains(&method) => HTTP1,
        Some(b' ') if !method.is_empty() => target(&rest[1..]),
        Some(_) => OTHER,
    }
}

fn target(rest: &[u8]) -> Verdict {
    let known = rest.len().min(SCHEME.len());
    match rest.first() {
        None => Verdict::NeedMore,
        Some(b'/' | b'*') => HTTP1,
        Some(_) if !rest[..known].eq_ignore_ascii_case(&SCHEME[..known]) => OTHER,
        Some(_) if known < SCHEME.len() => Verdict::NeedMore,
        Some(_) => HTTP1,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const fn known(protocol: Protocol) -> Verdict {
    Verdict::Known(FirstBytes { protocol, sni: None, alpn: Vec::new() })
}

const HTTP1: Verdict = known(Protocol::Http1);
const HTTP2: Verdict = known(Protocol::Http2);
const OTHER: Verdict = known(Protocol::Other);

/// [RFC 9113 §3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const SCHEME: &[u8] = b"http";

const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Longer than any registered method.
const MAX_METHOD: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::client_hello::tests::{hello, records};

    fn protocol(bytes: &[u8]) -> Option<Protocol> {
        match classify(bytes) {
            Verdict::NeedMore => None,
            Verdict::Known(known) => Some(known.protocol),
        }
    }

    #[test]
    fn protocols_are_told_apart() {
        for (bytes, expected) in [
            (&b"GET "[..], Protocol::Http1),
            (b"\r\n\r\nPOST /x HTTP/1.1\r\n", Protocol::Http1),
            (b"PURGE /x", Protocol::Http1),
            (b"purge http", Protocol::Http1),
            (b"PRI / HTTP/1.1", Protocol::Http1),
            (PREFACE, Protocol::Http2),
            (b"SSH-2.0-OpenSSH_9.6 Debian", Protocol::Other),
            (b"EHLO mail.example", Protocol::Other),
            (b"\r\n\r\n\r\n", Protocol::Other),
            (b" GET", Protocol::Other),
            (b"\0", Protocol::Other),
            (b"\x16\x02", Protocol::Other),
        ] {
            assert_eq!(protocol(bytes), Some(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn more_is_asked_for_only_while_it_could_change_the_answer() {
        for bytes in [&b""[..], b"G", b"PRI * HTTP/2.0\r\n", b"\r", b"\r\n", b"X ", b"X ht"] {
            assert_eq!(protocol(bytes), None, "{}", bytes.escape_ascii());
        }
        assert_eq!(protocol(&[b'A'; MAX_METHOD]), None);
        assert_eq!(protocol(&[b'A'; MAX_METHOD + 1]), Some(Protocol::Other));
    }

    #[test]
    fn a_client_hello_gives_its_name_and_protocols() {
        let stream = records(&hello(Some("A.example"), &[b"h2", b"http/1.1"]), 100);
        let expected = FirstBytes {
            protocol: Protocol::Tls,
            sni: Some("a.example".into()),
            alpn: vec!["h2".into(), "http/1.1".into()],
        };
        assert_eq!(classify(&stream), Verdict::Known(expected));
    }

    #[test]
    fn a_hello_in_endless_small_records_is_given_up() {
        let mut stream = records(&[1, 0, 0x3f, 0xff], 1);
        stream.extend([22, 3, 1, 0, 1, 3].repeat(MAX_BYTES));
        assert_eq!(protocol(&stream), Some(Protocol::Other));
    }

    proptest! {
        #[test]
        fn a_known_verdict_never_changes(
            start in 0_usize..4,
            tail in any::<Vec<u8>>(),
            cut in 0_usize..600,
        ) {
            let mut stream = match start {
                0 => records(&hello(Some("a.example"), &[b"h2"]), 50),
                1 => PREFACE.to_vec(),
                2 => b"GET / HTTP/1.1\r\n".to_vec(),
                _ => Vec::new(),
            };
            stream.extend(tail);
            let known = classify(&stream[..cut.min(stream.len())]);
            prop_assert!(known == Verdict::NeedMore || known == classify(&stream));
        }
    }
}
