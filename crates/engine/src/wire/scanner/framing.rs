//! The fields of a head that decide where its body ends and whom it is for.

use crate::wire::host;
use crate::wire::scanner::violation::ViolationKind;

/// A field whose value the scanner has to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decisive {
    ContentLength,
    Host,
    TransferEncoding,
}

impl Decisive {
    /// The decisive field of that name, in any case.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let (field, spelling): (_, &[u8]) = match name.len() {
            4 => (Self::Host, b"host"),
            14 => (Self::ContentLength, b"content-length"),
            17 => (Self::TransferEncoding, b"transfer-encoding"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(spelling).then_some(field)
    }
}

/// Whether a field must stand in the head, by
/// [RFC 9110 §6.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1): framing, routing,
/// authentication, and what tells how to read the content.
pub(super) fn must_stand_in_head(name: &[u8]) -> bool {
    HEAD_ONLY.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// Where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
}

/// What the decisive fields of one head have said so far.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// The version is HTTP/1.0.
    pub(super) http10: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Takes a field in; `value` is nothing where it was too long to be kept.
    pub(super) fn record(
        &mut self,
        field: Decisive,
        value: Option<&[u8]>,
    ) -> Result<(), ViolationKind> {
        let value = value.unwrap_or_default().trim_ascii();
        match field {
            Decisive::ContentLength => self.content_length(value),
            Decisive::Host => self.host(value),
            Decisive::TransferEncoding => self.transfer_encoding(value),
        }
    }

    /// Where the body ends, once the head is complete, by
    /// [RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3).
    pub(super) fn body(&self) -> Result<Body, ViolationKind> {
        if !self.host && !self.http10 {
            return Err(ViolationKind::MissingHost);
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(ViolationKind::BothLengths),
            (true, None) if self.http10 => Err(ViolationKind::TransferEncodingInHttp10),
            (true, None) => Ok(Body::Chunked),
            (false, length) => Ok(Body::Length(length.unwrap_or(0))),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), ViolationKind> {
        if self.length.is_some() {
            return Err(ViolationKind::RepeatedContentLength);
        }
        self.length = Some(decimal(value).ok_or(ViolationKind::ContentLength)?);
        Ok(())
    }

    fn host(&mut self, value: &[u8]) -> Result<(), ViolationKind> {
        if self.host {
            return Err(ViolationKind::RepeatedHost);
        }
        self.host = true;
        if host::is_legal(value) { Ok(()) } else { Err(ViolationKind::Host) }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), ViolationKind> {
        if self.chunked {
            return Err(ViolationKind::RepeatedTransferEncoding);
        }
        self.chunked = value.eq_ignore_ascii_case(b"chunked");
        if self.chunked { Ok(()) } else { Err(ViolationKind::TransferEncoding) }
    }
}

/// `1*DIGIT` below 2^64.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

const HEAD_ONLY: [&str; 27] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];
