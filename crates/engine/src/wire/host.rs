//! The syntax of `uri-host [ ":" port ]`, in the subset that every parser reads alike.

use std::net::Ipv6Addr;

/// A host and a port as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets; never empty, at most
    /// [`MAX_HOST`] bytes, case as sent.
    pub host: &'a str,
    /// The port, where one is written.
    pub port: Option<u16>,
}

/// The longest host let through, in bytes: a DNS name in its text form has at most 253, and one
/// more for a final dot.
pub const MAX_HOST: usize = 254;

/// The longest text that [`parse`] accepts, in bytes: a host, a colon, five digits.
pub const MAX_HOST_PORT: usize = MAX_HOST + 6;

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port` by
/// [RFC 3986 §3.2](https://www.rfc-editor.org/rfc/rfc3986#section-3.2).
///
/// Nothing where the text is empty, has user information, a comma, a percent escape, an address
/// of a future version, a zone, an empty port, or a port above 65535: legal or not, parsers
/// disagree about these.
pub fn parse(text: &str) -> Option<HostPort<'_>> {
    let (length, port) = split(text.as_bytes())?;
    Some(HostPort { host: text.get(..length)?, port })
}

/// Whether [`parse`] reads it.
pub fn is_legal(text: &[u8]) -> bool {
    split(text).is_some()
}

/// The length of the host at the start, and the port behind it.
fn split(text: &[u8]) -> Option<(usize, Option<u16>)> {
    let length = host_length(text)?;
    if length == 0 || length > MAX_HOST || text.len() > MAX_HOST_PORT {
        return None;
    }
    match &text[length..] {
        [] => Some((length, None)),
        [b':', digits @ ..] => Some((length, Some(port(digits)?))),
        _ => None,
    }
}

/// The length of the host at the start of `text`, brackets included.
fn host_length(text: &[u8]) -> Option<usize> {
    match text.strip_prefix(b"[") {
        Some(rest) => {
            let end = memchr::memchr(b']', rest)?;
            let address = std::str::from_utf8(&rest[..end]).ok()?;
            address.parse::<Ipv6Addr>().ok().map(|_| end + 2)
        }
        None => Some(text.iter().position(|&byte| !NAME[usize::from(byte)]).unwrap_or(text.len())),
    }
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u16, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `unreserved` and `sub-delims` of RFC 3986 without the comma.
static NAME: [bool; 256] = {
    let mut set = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        set[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b'*' | b'+' | b';' | b'='
            );
        byte += 1;
    }
    set
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(&str, Option<u16>)> {
        parse(text).map(|read| (read.host, read.port))
    }

    #[test]
    fn names_and_addresses_are_read_with_and_without_port() {
        assert_eq!(read("example.com"), Some(("example.com", None)));
        assert_eq!(read("Example.com:8080"), Some(("Example.com", Some(8080))));
        assert_eq!(read("10.0.0.1:80"), Some(("10.0.0.1", Some(80))));
        assert_eq!(read("[::1]"), Some(("[::1]", None)));
        assert_eq!(read("[2001:db8::1]:443"), Some(("[2001:db8::1]", Some(443))));
        assert_eq!(read("my_host"), Some(("my_host", None)));
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        for text in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:+1",
            "a:65536",
            "a:80:80",
            "a b",
            "a,b",
            "user@a",
            "a/b",
            "a%2eb",
            "[::1",
            "::1",
            "[::1]x",
            "[v1.x]",
            "[fe80::1%25eth0]",
            "[]",
            "a\u{e9}",
            "a?b",
            "a#b",
            "a\\b",
            "[127.0.0.1]",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_longer_than_a_dns_name_is_refused() {
        assert!(read(&"a".repeat(MAX_HOST)).is_some());
        assert!(read(&format!("{}:65535", "a".repeat(MAX_HOST))).is_some());
        assert_eq!(read(&"a".repeat(MAX_HOST + 1)), None);
    }
}
