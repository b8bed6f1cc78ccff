//! Why a stream is refused.

use std::error::Error;
use std::fmt;

use http::StatusCode;

/// The first byte of a stream that makes it unfit to be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// Its index in the slice that was fed; everything before it may be passed on.
    pub at: usize,
    /// What is wrong.
    pub kind: ViolationKind,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// A carriage return that no line feed follows.
    BareCarriageReturn,
    /// A line feed that no carriage return precedes.
    BareLineFeed,
    /// Both `Transfer-Encoding` and `Content-Length`.
    BothLengths,
    /// Chunk data that no CRLF follows.
    ChunkEnd,
    /// A chunk extension with a control character, or longer than the bound.
    ChunkExtension,
    /// A chunk size that is not 1 to 16 hexadecimal digits.
    ChunkSize,
    /// A `Content-Length` that is not one decimal number below 2^64.
    ContentLength,
    /// More empty lines before a request line than are tolerated.
    EmptyLines,
    /// A field name with anything but token characters, or white space before its colon.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// A trailer field that must stand in the head.
    ForbiddenTrailer,
    /// White space in front of a field line.
    Folding,
    /// More bytes in a head, or in a trailer section, than allowed.
    HeadTooLarge,
    /// A `Host` that is not one host with an optional port.
    Host,
    /// A method with anything but token characters, or none.
    Method,
    /// No `Host` in HTTP/1.1.
    MissingHost,
    /// More than one `Content-Length` line.
    RepeatedContentLength,
    /// More than one `Host` line.
    RepeatedHost,
    /// More than one `Transfer-Encoding` line.
    RepeatedTransferEncoding,
    /// A request target with white space, `#`, control or non-ASCII characters, or none.
    Target,
    /// A request target longer than allowed.
    TargetTooLong,
    /// More fields in a head, or in a trailer section, than allowed.
    TooManyFields,
    /// A `Transfer-Encoding` other than `chunked`.
    TransferEncoding,
    /// A `Transfer-Encoding` in HTTP/1.0.
    TransferEncodingInHttp10,
    /// A version other than `HTTP/1.0` and `HTTP/1.1`.
    Version,
}

impl ViolationKind {
    /// What the client is answered: 431 or 414 where a limit was met, 400 otherwise.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooManyFields | Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::BareCarriageReturn => "bare carriage return",
            Self::BareLineFeed => "bare line feed",
            Self::BothLengths => "both transfer-encoding and content-length",
            Self::ChunkEnd => "chunk data longer than its size",
            Self::ChunkExtension => "malformed or oversized chunk extension",
            Self::ChunkSize => "malformed chunk size",
            Self::ContentLength => "malformed content-length",
            Self::EmptyLines => "too many empty lines before a request",
            Self::FieldName => "malformed field name",
            Self::FieldValue => "control character in a field value",
            Self::ForbiddenTrailer => "field that is not allowed in trailers",
            Self::Folding => "white space before a field line",
            Self::HeadTooLarge => "head larger than the limit",
            Self::Host => "malformed host",
            Self::Method => "malformed method",
            Self::MissingHost => "no host",
            Self::RepeatedContentLength => "more than one content-length",
            Self::RepeatedHost => "more than one host",
            Self::RepeatedTransferEncoding => "more than one transfer-encoding",
            Self::Target => "malformed request target",
            Self::TargetTooLong => "request target longer than the limit",
            Self::TooManyFields => "more fields than the limit",
            Self::TransferEncoding => "transfer-encoding other than chunked",
            Self::TransferEncodingInHttp10 => "transfer-encoding in HTTP/1.0",
            Self::Version => "unsupported HTTP version",
        }
    }
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client misbehaved: {}", self.kind)
    }
}

impl Error for Violation {}
