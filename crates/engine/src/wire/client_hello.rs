//! The server name and the protocols of a TLS ClientHello, read without decrypting anything.
//!
//! The message may be spread over records, by
//! [RFC 8446 §5.1](https://www.rfc-editor.org/rfc/rfc8446#section-5.1).

use std::borrow::Cow;
use std::net::IpAddr;

use crate::wire::host::MAX_HOST;

/// What a ClientHello says in clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name in lower case; none where the client sent none, or an address, which
    /// [RFC 6066 §3](https://www.rfc-editor.org/rfc/rfc6066#section-3) does not allow there.
    pub sni: Option<Box<str>>,
    /// The protocols offered, in order, without the reserved ones of RFC 8701 and without those
    /// that are not text.
    pub alpn: Vec<Box<str>>,
}

/// Why bytes are not a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// They are the start of one, or could be.
    Incomplete,
    /// No bytes that follow can make them one.
    Malformed,
}

/// The longest ClientHello that is read, in bytes, record headers not counted.
pub const MAX_HELLO: usize = 16 * 1024;

/// Reads the ClientHello at the start of a stream; what follows it is not looked at.
///
/// # Errors
/// [`Stop::Malformed`] as early as it is certain, also for a message above [`MAX_HELLO`].
pub fn parse(stream: &[u8]) -> Result<ClientHello, Stop> {
    let (message, end) = reassemble(stream);
    let hello = handshake(&message);
    match (hello, end) {
        (Err(Stop::Incomplete), Err(stop)) => Err(stop),
        (hello, _) => hello,
    }
}

/// The handshake bytes of the leading records, and why there are no more of them.
fn reassemble(stream: &[u8]) -> (Cow<'_, [u8]>, Result<(), Stop>) {
    let mut message = Cow::Borrowed(&stream[..0]);
    let mut rest = stream;
    loop {
        let (fragment, after) = record(rest);
        append(&mut message, fragment);
        if message.len() >= declared_length(&message) {
            return (message, Ok(()));
        }
        match after {
            Ok(after) => rest = after,
            Err(stop) => return (message, Err(stop)),
        }
    }
}

fn append<'a>(message: &mut Cow<'a, [u8]>, fragment: &'a [u8]) {
    if message.is_empty() {
        *message = Cow::Borrowed(fragment);
    } else {
        message.to_mut().extend_from_slice(fragment);
    }
}

/// Header and body of the handshake message, as far as the header is known.
fn declared_length(message: &[u8]) -> usize {
    match message {
        [_, high, middle, low, ..] => HEADER + number(&[*high, *middle, *low]),
        _ => usize::MAX,
    }
}

/// As much of one handshake record as is there, and what follows it once all of it is.
fn record(bytes: &[u8]) -> (&[u8], Result<&[u8], Stop>) {
    let shape = [HANDSHAKE_RECORD, 3];
    let known = bytes.len().min(shape.len());
    if bytes[..known] != shape[..known] || bytes.get(2).is_some_and(|minor| *minor > 4) {
        return (&[], Err(Stop::Malformed));
    }
    let [_, _, _, high, low, rest @ ..] = bytes else {
        return (&[], Err(Stop::Incomplete));
    };
    match number(&[*high, *low]) {
        0 => (&[], Err(Stop::Malformed)),
        length if length > MAX_RECORD => (&[], Err(Stop::Malformed)),
        length => match rest.split_at_checked(length) {
            Some((fragment, after)) => (fragment, Ok(after)),
            None => (rest, Err(Stop::Incomplete)),
        },
    }
}

fn handshake(message: &[u8]) -> Result<ClientHello, Stop> {
    let mut header = Reader { bytes: message, declared: usize::MAX };
    if header.take(1)? != [CLIENT_HELLO] {
        return Err(Stop::Malformed);
    }
    let length = header.number(3)?;
    if length > MAX_HELLO {
        return Err(Stop::Malformed);
    }
    let mut body = header.part(length)?;
    let hello = client_hello(&mut body)?;
    if body.declared == 0 { Ok(hello) } else { Err(Stop::Malformed) }
}

fn client_hello(body: &mut Reader<'_>) -> Result<ClientHello, Stop> {
    body.take(2 + 32)?;
    body.vector(1, 0..=32)?.skip()?;
    let mut suites = body.vector(2, 2..=0xfffe)?;
    if suites.declared % 2 == 1 {
        return Err(Stop::Malformed);
    }
    suites.skip()?;
    body.vector(1, 1..=255)?.skip()?;
    let mut hello = ClientHello::default();
    if body.declared > 0 {
        extensions(body.vector(2, 0..=0xffff)?, &mut hello)?;
    }
    Ok(hello)
}

fn extensions(mut list: Reader<'_>, hello: &mut ClientHello) -> Result<(), Stop> {
    let mut seen = [false; 2];
    while list.declared > 0 {
        let kind = list.number(2)?;
        let mut data = list.vector(2, 0..=0xffff)?;
        match kind {
            SERVER_NAME if !std::mem::replace(&mut seen[0], true) => {
                hello.sni = server_name(data)?;
            }
            ALPN if !std::mem::replace(&mut seen[1], true) => hello.alpn = protocols(data)?,
            SERVER_NAME | ALPN => return Err(Stop::Malformed),
            _ => data.skip()?,
        }
    }
    Ok(())
}

fn server_name(mut data: Reader<'_>) -> Result<Option<Box<str>>, Stop> {
    let mut list = data.vector(2, 1..=0xffff)?;
    let kind = list.number(1)?;
    let mut name = list.vector(2, 1..=0xffff)?;
    let name = name.take(name.declared)?;
    if kind != HOST_NAME || list.declared > 0 || data.declared > 0 {
        return Err(Stop::Malformed);
    }
    let name = str::from_utf8(name).map_err(|_| Stop::Malformed)?;
    if name.parse::<IpAddr>().is_ok() {
        return Ok(None);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.len() > MAX_HOST || !name.bytes().all(legal) {
        return Err(Stop::Malformed);
    }
    Ok(Some(name.to_ascii_lowercase().into()))
}

fn protocols(mut data: Reader<'_>) -> Result<Vec<Box<str>>, Stop> {
    let mut list = data.vector(2, 2..=0xffff)?;
    let mut names = Vec::new();
    while list.declared > 0 {
        let mut name = list.vector(1, 1..=255)?;
        let name = name.take(name.declared)?;
        if let Ok(text) = str::from_utf8(name)
            && !is_reserved(name)
        {
            names.push(text.into());
        }
    }
    if data.declared == 0 { Ok(names) } else { Err(Stop::Malformed) }
}

/// The values that clients mix in so that servers keep ignoring what they do not know, by
/// [RFC 8701 §2](https://www.rfc-editor.org/rfc/rfc8701#section-2).
fn is_reserved(name: &[u8]) -> bool {
    matches!(name, [first, second] if first == second && first & 0x0f == 0x0a)
}

/// Bytes of which `declared` are to come, though fewer may have arrived.
struct Reader<'a> {
    bytes: &'a [u8],
    declared: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        self.declared = self.declared.checked_sub(count).ok_or(Stop::Malformed)?;
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Stop::Incomplete)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn skip(&mut self) -> Result<(), Stop> {
        self.take(self.declared).map(drop)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, Stop> {
        self.take(bytes).map(number)
    }

    /// The next `count` bytes, which need not all be there.
    fn part(&mut self, count: usize) -> Result<Self, Stop> {
        self.declared = self.declared.checked_sub(count).ok_or(Stop::Malformed)?;
        let (bytes, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        Ok(Self { bytes, declared: count })
    }

    /// A part with its length in front.
    fn vector(
        &mut self,
        length_bytes: usize,
        allowed: std::ops::RangeInclusive<usize>,
    ) -> Result<Self, Stop> {
        let length = self.number(length_bytes)?;
        if !allowed.contains(&length) {
            return Err(Stop::Malformed);
        }
        self.part(length)
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: usize = 0;
const ALPN: usize = 16;
const HOST_NAME: usize = 0;

/// Of a handshake message.
const HEADER: usize = 4;

const MAX_RECORD: usize = 1 << 14;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(length_bytes: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - length_bytes..], content].concat()
    }

    fn message(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let list: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, data)| [kind.to_be_bytes().to_vec(), vector(2, data)].concat())
            .collect();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &vector(1, &[9; 32]),
            &vector(2, &[0x1a, 0x1a, 0x13, 0x01]),
            &vector(1, &[0]),
            &vector(2, &list),
        ];
        [&[CLIENT_HELLO][..], &vector(3, &body.concat())].concat()
    }

    fn sni(name: &[u8]) -> (u16, Vec<u8>) {
        (0, vector(2, &[&[0][..], &vector(2, name)].concat()))
    }

    fn alpn(names: &[&[u8]]) -> (u16, Vec<u8>) {
        (16, vector(2, &names.iter().flat_map(|name| vector(1, name)).collect::<Vec<_>>()))
    }

    /// A ClientHello message, with an unknown extension in front.
    pub(in crate::wire) fn hello(name: Option<&str>, protocols: &[&[u8]]) -> Vec<u8> {
        let mut extensions = vec![(0x2a2a, vec![0])];
        extensions.extend(name.map(|name| sni(name.as_bytes())));
        extensions.extend((!protocols.is_empty()).then(|| alpn(protocols)));
        message(&extensions)
    }

    /// The message in records of `size` bytes.
    pub(in crate::wire) fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part| [&[22, 3, 1][..], &vector(2, part)].concat();
        message.chunks(size).flat_map(record).collect()
    }

    fn parsed(message: &[u8]) -> Result<ClientHello, Stop> {
        parse(&records(message, MAX_RECORD))
    }

    #[test]
    fn name_and_protocols_are_read_and_reserved_values_skipped() {
        let read = parsed(&hello(Some("WWW.Example.com"), &[b"\x3a\x3a", b"h2", b"\xff"])).unwrap();
        assert_eq!(read.sni.as_deref(), Some("www.example.com"));
        assert_eq!(read.alpn, ["h2".into()]);
    }

    #[test]
    fn a_hello_without_name_or_without_extensions_is_fine() {
        assert_eq!(parsed(&hello(None, &[])), Ok(ClientHello::default()));
        let bare =
            [&[3, 3][..], &[7; 32], &vector(1, &[]), &vector(2, &[0x13, 0x01]), &vector(1, &[0])];
        let bare = [&[CLIENT_HELLO][..], &vector(3, &bare.concat())].concat();
        assert_eq!(parsed(&bare), Ok(ClientHello::default()));
    }

    #[test]
    fn an_address_is_no_name() {
        assert_eq!(parsed(&hello(Some("192.0.2.1"), &[])).unwrap().sni, None);
        assert_eq!(parsed(&hello(Some("2001:db8::1"), &[])).unwrap().sni, None);
    }

    #[test]
    fn malformed_hellos_are_refused() {
        for extensions in [
            vec![sni(b"")],
            vec![sni(b"a b")],
            vec![sni(&[0xff])],
            vec![sni(&[b'a'; MAX_HOST + 1])],
            vec![sni(b"a.example"), sni(b"b.example")],
            vec![alpn(&[b"h2"]), alpn(&[b"h2"])],
            vec![alpn(&[b"", b""])],
            vec![(0, vec![])],
            vec![(16, vec![0, 1, 0])],
        ] {
            assert_eq!(parsed(&message(&extensions)), Err(Stop::Malformed), "{extensions:?}");
        }
        let mut trailing = hello(None, &[]);
        trailing[3] += 1;
        trailing.push(0);
        assert_eq!(parsed(&trailing), Err(Stop::Malformed));
    }

    #[test]
    fn malformation_is_told_as_soon_as_it_is_there() {
        for start in [
            &[23][..],
            &[22, 2],
            &[22, 3, 5],
            &[22, 3, 1, 0, 0],
            &[22, 3, 1, 0x40, 1],
            &[22, 3, 1, 0, 100, 2],
            &[22, 3, 1, 0, 100, 1, 0, 0x40, 1],
        ] {
            assert_eq!(parse(start), Err(Stop::Malformed), "{start:?}");
        }
    }

    proptest! {
        #[test]
        fn records_of_any_size_give_the_same_hello(size in 1_usize..300, cut in 0_usize..400) {
            let whole = hello(Some("a.example"), &[b"h2", b"http/1.1"]);
            let stream = records(&whole, size);
            prop_assert_eq!(parse(&stream), parsed(&whole));
            if cut < stream.len() {
                prop_assert_eq!(parse(&stream[..cut]), Err(Stop::Incomplete));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
            let _ = handshake(&[&[CLIENT_HELLO][..], &vector(3, &bytes)].concat());
        }
    }
}
