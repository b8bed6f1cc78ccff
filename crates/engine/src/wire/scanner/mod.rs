//! A strict, passive scanner of a client's HTTP/1 byte stream.
//!
//! It stands in front of the real parser and lets nothing past that two parsers could read
//! differently: whatever it accepts has one request line, one host and one end of body, in the
//! grammar of [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112). It keeps no bodies, allocates
//! nothing, and its verdict does not depend on how the stream is cut into slices.

mod class;
mod framing;
mod text;
mod violation;

#[cfg(test)]
mod tests;

use self::framing::{Body, Decisive, Framing};
use self::text::Text;
pub use self::violation::{Violation, ViolationKind};

/// Bounds on the head of one request; the trailer section has the same bounds once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The most field lines.
    pub max_fields: usize,
    /// The most bytes from the first of the request line to the empty line, line ends included.
    pub max_bytes: usize,
    /// The most bytes of the request target.
    pub max_target: usize,
}

/// Where in a stream the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between two requests, or before the first.
    Idle,
    /// In a request line or a field line.
    Head,
    /// In a body, its chunk framing, or its trailers.
    Body,
}

/// The scanner of one connection.
#[derive(Debug)]
pub struct RequestScanner {
    limits: HeadLimits,
    state: State,
    /// The fields scanned now are trailers.
    trailers: bool,
    framing: Framing,
    /// The value scanned now belongs to this field.
    decisive: Option<Decisive>,
    /// The field name, or the value of a decisive field.
    text: Text,
    /// Bytes of the method, target, version or field name so far.
    length: usize,
    /// Field lines begun in this section.
    fields: usize,
    /// Bytes that this section may still have.
    room: usize,
    empty_lines: u8,
    requests: u64,
    refused: Option<ViolationKind>,
}

impl RequestScanner {
    /// A scanner at the start of a stream.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            state: State::Start,
            trailers: false,
            framing: Framing::default(),
            decisive: None,
            text: Text::new(),
            length: 0,
            fields: 0,
            room: 0,
            empty_lines: 0,
            requests: 0,
            refused: None,
        }
    }

    /// Scans the next bytes of the stream, in slices of any size.
    ///
    /// After an upgrade the stream is no longer HTTP and must not be fed any more.
    ///
    /// # Errors
    /// At the first byte that makes the stream unfit to be passed on; every later call repeats
    /// that kind with `at` 0.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        if let Some(kind) = self.refused {
            return Err(Violation { at: 0, kind });
        }
        let mut at = 0;
        while at < bytes.len() {
            match self.advance(&bytes[at..]) {
                Ok(used) => at += used,
                Err(Violation { at: skipped, kind }) => {
                    self.refused = Some(kind);
                    return Err(Violation { at: at + skipped, kind });
                }
            }
        }
        Ok(())
    }

    /// Where the next byte belongs.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Start | State::LineFeed(After::Nothing) => Phase::Idle,
            _ if self.in_section() && !self.trailers => Phase::Head,
            _ => Phase::Body,
        }
    }

    /// How many heads have been scanned to their end.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// One step: how many bytes it took, possibly none when only the state changed.
    fn advance(&mut self, rest: &[u8]) -> Step {
        if !self.in_section() {
            return self.step(rest);
        }
        let rest = &rest[..rest.len().min(self.room)];
        if rest.is_empty() {
            return refuse(0, ViolationKind::HeadTooLarge);
        }
        let used = self.step(rest)?;
        self.room -= used;
        Ok(used)
    }

    /// In a head or a trailer section, whose size is bounded.
    fn in_section(&self) -> bool {
        match self.state {
            State::Method | State::Target | State::Version => true,
            State::FieldStart | State::FieldName | State::FieldValue => true,
            State::LineFeed(after) => after.in_section(),
            _ => false,
        }
    }

    fn step(&mut self, rest: &[u8]) -> Step {
        match self.state {
            State::Start => self.start(rest[0]),
            State::Method => self.method(rest),
            State::Target => self.target(rest),
            State::Version => self.version(rest),
            State::FieldStart => self.field_start(rest),
            State::FieldName => self.field_name(rest),
            State::FieldValue => self.field_value(rest),
            State::Length(left) => Ok(self.length_body(rest, left)),
            State::ChunkSize { digits, size } => self.chunk_size(rest[0], digits, size),
            State::ChunkExtension { size, left } => self.chunk_extension(rest, size, left),
            State::ChunkData(left) => Ok(self.chunk_data(rest, left)),
            State::ChunkDataEnd => self.chunk_data_end(rest[0]),
            State::LineFeed(after) => self.line_feed(rest[0], after),
        }
    }

    fn start(&mut self, byte: u8) -> Step {
        if byte == b'\r' {
            self.empty_lines += 1;
            if self.empty_lines > MAX_EMPTY_LINES {
                return refuse(0, ViolationKind::EmptyLines);
            }
            return Ok(self.take_carriage_return(After::Nothing));
        }
        self.empty_lines = 0;
        self.framing = Framing::default();
        self.begin_section(false);
        self.enter(State::Method);
        Ok(0)
    }

    fn begin_section(&mut self, trailers: bool) {
        self.trailers = trailers;
        self.fields = 0;
        self.room = self.limits.max_bytes;
        self.enter(State::FieldStart);
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.length = 0;
    }

    fn method(&mut self, rest: &[u8]) -> Step {
        self.word(rest, class::token(rest), State::Target, ViolationKind::Method)
    }

    fn target(&mut self, rest: &[u8]) -> Step {
        let room = self.limits.max_target - self.length;
        let run = class::target(&rest[..rest.len().min(room + 1)]);
        if run > room {
            return refuse(room, ViolationKind::TargetTooLong);
        }
        self.word(rest, run, State::Version, ViolationKind::Target)
    }

    /// A part of the request line that one space ends.
    fn word(&mut self, rest: &[u8], run: usize, next: State, kind: ViolationKind) -> Step {
        self.length += run;
        match rest.get(run) {
            None => Ok(run),
            Some(b' ') if self.length > 0 => {
                self.enter(next);
                Ok(run + 1)
            }
            Some(&byte) => refuse(run, line_feed_or(byte, kind)),
        }
    }

    fn version(&mut self, rest: &[u8]) -> Step {
        if self.length == 0 && rest.starts_with(b"HTTP/1.1\r\n") {
            self.enter(State::FieldStart);
            return Ok(10);
        }
        let byte = rest[0];
        let expected = match self.length {
            7 => byte == b'0' || byte == b'1',
            8 => byte == b'\r',
            index => byte == b"HTTP/1."[index],
        };
        if !expected {
            return refuse(0, line_feed_or(byte, ViolationKind::Version));
        }
        match self.length {
            7 => self.framing.http10 = byte == b'0',
            8 => return Ok(self.take_carriage_return(After::Line)),
            _ => {}
        }
        self.length += 1;
        Ok(1)
    }

    fn field_start(&mut self, rest: &[u8]) -> Step {
        match rest[0] {
            b'\r' => return Ok(self.take_carriage_return(After::Section)),
            b' ' | b'\t' => return refuse(0, ViolationKind::Folding),
            _ if self.fields == self.limits.max_fields => {
                return refuse(0, ViolationKind::TooManyFields);
            }
            _ => {}
        }
        self.fields += 1;
        self.text.clear();
        self.enter(State::FieldName);
        self.field_name(rest)
    }

    fn field_name(&mut self, rest: &[u8]) -> Step {
        let run = class::token(rest);
        match rest.get(run) {
            None => {
                self.length += run;
                self.text.push(&rest[..run]);
                Ok(run)
            }
            Some(b':') if self.length + run > 0 => {
                self.decisive = self.judge_name(&rest[..run]).or_else(|kind| refuse(run, kind))?;
                self.text.clear();
                self.enter(State::FieldValue);
                shifted(run + 1, self.field_value(&rest[run + 1..]))
            }
            Some(&byte) => refuse(run, line_feed_or(byte, ViolationKind::FieldName)),
        }
    }

    /// What the field is whose name ends with `end`; the rest of it may have come before.
    fn judge_name(&mut self, end: &[u8]) -> Result<Option<Decisive>, ViolationKind> {
        let name = if self.length == 0 {
            end
        } else {
            self.text.push(end);
            self.text.get().unwrap_or_default()
        };
        if self.trailers && framing::must_stand_in_head(name) {
            return Err(ViolationKind::ForbiddenTrailer);
        }
        Ok(Decisive::named(name))
    }

    fn field_value(&mut self, rest: &[u8]) -> Step {
        let run = class::value(rest);
        if self.decisive.is_some() {
            self.text.push(&rest[..run]);
        }
        match rest.get(run) {
            None => Ok(run),
            Some(b'\r') => shifted(run, self.end_value(&rest[run..])),
            Some(&byte) => refuse(run, line_feed_or(byte, ViolationKind::FieldValue)),
        }
    }

    fn end_value(&mut self, rest: &[u8]) -> Step {
        if let Some(field) = self.decisive
            && let Err(kind) = self.framing.record(field, self.text.get())
        {
            return refuse(0, kind);
        }
        if rest.get(1) == Some(&b'\n') {
            self.enter(State::FieldStart);
            return Ok(2);
        }
        Ok(self.take_carriage_return(After::Line))
    }

    fn take_carriage_return(&mut self, after: After) -> usize {
        self.state = State::LineFeed(after);
        1
    }

    fn line_feed(&mut self, byte: u8, after: After) -> Step {
        if byte != b'\n' {
            return refuse(0, ViolationKind::BareCarriageReturn);
        }
        match after {
            After::Nothing => self.enter(State::Start),
            After::Line => self.enter(State::FieldStart),
            After::Section if self.trailers => self.enter(State::Start),
            After::Section => self.end_head()?,
            After::ChunkSize(0) => self.begin_section(true),
            After::ChunkSize(size) => self.enter(State::ChunkData(size)),
            After::ChunkData => self.enter(NEXT_CHUNK),
        }
        Ok(1)
    }

    fn end_head(&mut self) -> Result<(), Violation> {
        let body = self.framing.body().map_err(|kind| Violation { at: 0, kind })?;
        self.requests += 1;
        self.enter(match body {
            Body::Length(0) => State::Start,
            Body::Length(left) => State::Length(left),
            Body::Chunked => NEXT_CHUNK,
        });
        Ok(())
    }

    fn length_body(&mut self, rest: &[u8], left: u64) -> usize {
        let used = at_most(rest, left);
        let left = left - used as u64;
        self.state = if left == 0 { State::Start } else { State::Length(left) };
        used
    }

    fn chunk_size(&mut self, byte: u8, digits: u8, size: u64) -> Step {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if digits < MAX_CHUNK_DIGITS => {
                let size = size << 4 | u64::from(digit);
                self.state = State::ChunkSize { digits: digits + 1, size };
                Ok(1)
            }
            (b'\r', _) if digits > 0 => Ok(self.take_carriage_return(After::ChunkSize(size))),
            (b';', _) if digits > 0 => {
                self.state = State::ChunkExtension { size, left: MAX_CHUNK_EXTENSION };
                Ok(1)
            }
            _ => refuse(0, line_feed_or(byte, ViolationKind::ChunkSize)),
        }
    }

    fn chunk_extension(&mut self, rest: &[u8], size: u64, left: usize) -> Step {
        let run = class::extension(&rest[..rest.len().min(left + 1)]);
        if run > left {
            return refuse(left, ViolationKind::ChunkExtension);
        }
        match rest.get(run) {
            None => {
                self.state = State::ChunkExtension { size, left: left - run };
                Ok(run)
            }
            Some(b'\r') => Ok(run + self.take_carriage_return(After::ChunkSize(size))),
            Some(&byte) => refuse(run, line_feed_or(byte, ViolationKind::ChunkExtension)),
        }
    }

    fn chunk_data(&mut self, rest: &[u8], left: u64) -> usize {
        let used = at_most(rest, left);
        let left = left - used as u64;
        self.state = if left == 0 { State::ChunkDataEnd } else { State::ChunkData(left) };
        used
    }

    fn chunk_data_end(&mut self, byte: u8) -> Step {
        if byte == b'\r' {
            return Ok(self.take_carriage_return(After::ChunkData));
        }
        refuse(0, line_feed_or(byte, ViolationKind::ChunkEnd))
    }
}

/// Bytes taken, or the index in the slice at which the stream is refused.
type Step = Result<usize, Violation>;

fn refuse<T>(at: usize, kind: ViolationKind) -> Result<T, Violation> {
    Err(Violation { at, kind })
}

/// A step that began `at` bytes later.
fn shifted(at: usize, step: Step) -> Step {
    match step {
        Ok(used) => Ok(at + used),
        Err(violation) => Err(Violation { at: at + violation.at, ..violation }),
    }
}

fn line_feed_or(byte: u8, otherwise: ViolationKind) -> ViolationKind {
    if byte == b'\n' { ViolationKind::BareLineFeed } else { otherwise }
}

fn at_most(rest: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()))
}

#[derive(Debug, Clone, Copy)]
enum State {
    Start,
    Method,
    Target,
    Version,
    FieldStart,
    FieldName,
    FieldValue,
    /// Bytes left in a body of known length.
    Length(u64),
    ChunkSize {
        digits: u8,
        size: u64,
    },
    /// `left` is what the extension may still have.
    ChunkExtension {
        size: u64,
        left: usize,
    },
    /// Bytes left in a chunk.
    ChunkData(u64),
    ChunkDataEnd,
    /// A carriage return has been taken.
    LineFeed(After),
}

/// What a line end ends.
#[derive(Debug, Clone, Copy)]
enum After {
    Nothing,
    Line,
    Section,
    ChunkSize(u64),
    ChunkData,
}

impl After {
    fn in_section(self) -> bool {
        matches!(self, Self::Line | Self::Section)
    }
}

const NEXT_CHUNK: State = State::ChunkSize { digits: 0, size: 0 };

/// RFC 9112 §2.2 asks for one at least.
const MAX_EMPTY_LINES: u8 = 2;

const MAX_CHUNK_DIGITS: u8 = 16;

/// Room for one signature; nothing else is known to be sent.
const MAX_CHUNK_EXTENSION: usize = 256;
