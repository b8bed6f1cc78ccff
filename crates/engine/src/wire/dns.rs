//! Messages of the domain name system, [RFC 1035 §4](https://www.rfc-editor.org/rfc/rfc1035#section-4):
//! read as strictly as they are written.

use std::fmt;

/// A domain name in wire form, uncompressed and in lower case, so that equal names are equal
/// bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// A name from its text, with or without a dot at its end; none when it has no place in a
    /// message. Every character stands for itself, so there are no escapes.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            let legal = label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
            wire.push(length.filter(|_| legal)?);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        (wire.len() <= MAX_NAME).then(|| Self(wire.into()))
    }

    /// The uncompressed name that bytes begin with, and what follows it.
    pub fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let end = uncompressed(bytes)?;
        let name = Self(bytes.get(..end)?.to_ascii_lowercase().into());
        Some((name, bytes.get(end..)?))
    }

    /// The bytes of the name, its end included.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The name without its first label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let first = usize::from(*self.0.first()?);
        (first > 0).then(|| Self(self.0[1 + first..].into()))
    }

    /// Whether the name is `zone` or lies below it.
    pub fn is_within(&self, zone: &Self) -> bool {
        std::iter::successors(Some(self.clone()), Self::parent).any(|name| name == *zone)
    }

    /// Whether it has no label.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }
}

/// Where the uncompressed name that bytes begin with ends.
fn uncompressed(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = *bytes.get(at)?;
        at += 1 + usize::from(length);
        match length {
            0 => return (at <= MAX_NAME).then_some(at),
            1..=63 if at < MAX_NAME => {}
            _ => return None,
        }
    }
}

/// As in a zone file, but for the dot at the end.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &*self.0;
        let mut dot = "";
        while let Some((length @ 1.., after)) = rest.split_first() {
            let (label, after) = after.split_at(usize::from(*length));
            write!(f, "{dot}")?;
            for &byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                    _ if byte.is_ascii_graphic() => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            (rest, dot) = (after, ".");
        }
        if self.is_root() { f.write_str(".") } else { Ok(()) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Chosen by whoever asked.
    pub id: u16,
    /// Everything between the id and the counts.
    pub flags: Flags,
    /// What is asked; in an update, the zone.
    pub questions: Vec<Question>,
    /// Answers; in an update, prerequisites.
    pub answers: Vec<Record>,
    /// Authority; in an update, the changes.
    pub authority: Vec<Record>,
    /// What comes along.
    pub additional: Vec<Record>,
}

/// The second word of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// Whether this is an answer.
    pub fn is_response(self) -> bool {
        self.0 & 0x8000 != 0
    }

    /// Whether the server answers for the zone itself.
    pub fn is_authoritative(self) -> bool {
        self.0 & 0x0400 != 0
    }

    /// The operation, such as [`UPDATE`].
    pub fn opcode(self) -> u16 {
        self.0 >> 11 & 0xf
    }

    /// The outcome without its extension of RFC 6891; 0 is success.
    pub fn rcode(self) -> u16 {
        self.0 & 0xf
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// About which name.
    pub name: Name,
    /// Which type of record.
    pub kind: u16,
    /// In which class.
    pub class: u16,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub name: Name,
    /// Its type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// Its content as it came; names in it may be compressed.
    pub data: Box<[u8]>,
    /// The name that a [`CNAME`] leads to.
    pub alias: Option<Name>,
    /// Where it begins in its message.
    pub start: usize,
}

/// Bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Message {
    /// Reads a message; nothing may follow it.
    ///
    /// # Errors
    /// When a count, a length or a name leads out of the message, when a compression pointer does
    /// not lead backward, or when bytes are left over.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.u16()?, Flags(reader.u16()?));
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let questions = (0..counts[0]).map(|_| reader.question()).collect::<Result<_, _>>()?;
        let mut section = |count| (0..count).map(|_| reader.record()).collect::<Result<_, _>>();
        let (answers, authority) = (section(counts[1])?, section(counts[2])?);
        let additional = section(counts[3])?;
        if reader.at != bytes.len() {
            return Err(Malformed);
        }
        Ok(Self { id, flags, questions, answers, authority, additional })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    fn question(&mut self) -> Result<Question, Malformed> {
        Ok(Question { name: self.name()?, kind: self.u16()?, class: self.u16()? })
    }

    fn record(&mut self) -> Result<Record, Malformed> {
        let start = self.at;
        let (name, kind, class, ttl) = (self.name()?, self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let begin = self.at;
        let data = self.take(length)?.into();
        let alias = (kind == CNAME && length > 0).then(|| self.name_of(begin)).transpose()?;
        Ok(Record { name, kind, class, ttl, data, alias, start })
    }

    /// The name that fills the record data that begins at `begin` and ends here.
    fn name_of(&self, begin: usize) -> Result<Name, Malformed> {
        let mut data = Reader { bytes: self.bytes, at: begin };
        let name = data.name()?;
        if data.at == self.at { Ok(name) } else { Err(Malformed) }
    }

    /// A name, through its compression pointers. Each leads to before everything that was read
    /// for this name, so reading ends.
    fn name(&mut self) -> Result<Name, Malformed> {
        let mut wire = Vec::new();
        let mut place = Reader { bytes: self.bytes, at: self.at };
        let (mut earliest, mut end, mut hops) = (self.at, None, 0);
        loop {
            let length = place.u8()?;
            match length {
                0 => break,
                1..=63 => {
                    wire.push(length);
                    let label = place.take(usize::from(length))?;
                    wire.extend(label.iter().map(u8::to_ascii_lowercase));
                }
                0xc0.. => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(place.u8()?);
                    end.get_or_insert(place.at);
                    hops += 1;
                    if !(HEADER..earliest).contains(&target) || hops > MAX_HOPS {
                        return Err(Malformed);
                    }
                    (earliest, place.at) = (target, target);
                }
                _ => return Err(Malformed),
            }
            if wire.len() >= MAX_NAME {
                return Err(Malformed);
            }
        }
        wire.push(0);
        self.at = end.unwrap_or(place.at);
        Ok(Name(wire.into()))
    }
}

/// Puts a message together. Names are not compressed, as
/// [RFC 2136 §2](https://www.rfc-editor.org/rfc/rfc2136#section-2) allows.
#[derive(Debug, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A message that asks, with this operation and without flags.
    pub fn new(id: u16, opcode: u16) -> Self {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend((opcode << 11).to_be_bytes());
        bytes.resize(HEADER, 0);
        Self(bytes)
    }

    /// Adds a question, or the zone of an update; they come before any record.
    pub fn question(&mut self, name: &Name, kind: u16) {
        self.0.extend(name.wire());
        self.0.extend([kind, IN].map(u16::to_be_bytes).concat());
        self.count(Section::Questions);
    }

    /// Adds a record; sections come in their order. Data above 64 KiB is cut.
    pub fn record(&mut self, section: Section, record: &NewRecord<'_>) {
        let data = &record.data[..record.data.len().min(usize::from(u16::MAX))];
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        self.0.extend(record.name.wire());
        self.0.extend([record.kind, record.class].map(u16::to_be_bytes).concat());
        self.0.extend(record.ttl.to_be_bytes());
        self.0.extend(length.to_be_bytes());
        self.0.extend(data);
        self.count(section);
    }

    /// The message so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn count(&mut self, section: Section) {
        let at = COUNTS + 2 * section as usize;
        let count = u16::from_be_bytes([self.0[at], self.0[at + 1]]);
        self.0[at..at + 2].copy_from_slice(&count.saturating_add(1).to_be_bytes());
    }
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// Whose it is.
    pub name: &'a Name,
    /// Its type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// Seconds that it may be kept.
    pub ttl: u32,
    /// Its content.
    pub data: &'a [u8],
}

/// The parts of a message, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What is asked; in an update, the zone.
    Questions = 0,
    /// In an update, prerequisites.
    Answers = 1,
    /// In an update, the changes.
    Authority = 2,
    /// What comes along.
    Additional = 3,
}

/// The data of a TXT record: strings of at most 255 bytes, one after the other.
pub fn text_data(text: &str) -> Vec<u8> {
    let strings = text.as_bytes().chunks(usize::from(u8::MAX));
    strings
        .flat_map(|part| [&[u8::try_from(part.len()).unwrap_or(u8::MAX)][..], part].concat())
        .collect()
}

/// The operation of an update, RFC 2136.
pub const UPDATE: u16 = 5;
/// An alias.
pub const CNAME: u16 = 5;
/// The start of a zone.
pub const SOA: u16 = 6;
/// Text.
pub const TXT: u16 = 16;
/// A signature of the message, RFC 8945.
pub const TSIG: u16 = 250;
/// The Internet.
pub const IN: u16 = 1;
/// In an update: this record is to go.
pub const NONE: u16 = 254;
/// Any class.
pub const ANY: u16 = 255;

/// Bytes in front of the questions.
pub const HEADER: usize = 12;
const COUNTS: usize = 4;
const MAX_NAME: usize = 255;
/// A name has no more labels than this, and a pointer that leads to a pointer says nothing.
const MAX_HOPS: usize = 127;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    /// An answer of a real server to a question for the SOA of a name that does not exist, with
    /// a compressed authority section.
    fn nxdomain() -> Vec<u8> {
        let mut bytes = vec![0x3d, 0x0c, 0x85, 0x03, 0, 1, 0, 0, 0, 1, 0, 0];
        bytes.extend(b"\x01a\x01b\x07Example\x04test\0\0\x06\0\x01");
        bytes.extend(b"\xc0\x10\0\x06\0\x01\0\0\0\x3c\0\x20");
        bytes.extend(b"\x02ns\xc0\x10\x0ahostmaster\xc0\x10");
        bytes.extend([0; 20].iter().take(14));
        bytes
    }

    #[test]
    fn names_are_compared_without_regard_to_case() {
        assert_eq!(name("Example.TEST."), name("example.test"));
        assert_eq!(name("a.Example.test").to_string(), "a.example.test");
        assert!(name("a.example.test").is_within(&name("example.test")));
        assert!(!name("aexample.test").is_within(&name("example.test")));
        assert_eq!(name("test").parent().map(|root| root.is_root()), Some(true));
        assert_eq!(name("test").parent().unwrap().parent(), None);
    }

    #[test]
    fn what_has_no_place_in_a_message_is_no_name() {
        let long = format!("{}.example", "a".repeat(64));
        let many = vec!["abcdefg"; 33].join(".");
        for text in ["", ".", "a..b", ".a", "a b", "a\\.b", "ä.example", &long, &many] {
            assert_eq!(Name::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_in_the_middle_of_bytes_is_split_off() {
        let (read, rest) = Name::split(b"\x01A\x04test\0rest").unwrap();
        assert_eq!((read, rest), (name("a.test"), &b"rest"[..]));
        for cut in [&b""[..], b"\x01", b"\x01a", b"\xc0\x0c", b"\x40"] {
            assert_eq!(Name::split(cut), None, "{cut:?}");
        }
        assert_eq!(Name::split(&[&[1, b'a'].repeat(128)[..], &[0]].concat()), None);
    }

    #[test]
    fn compressed_names_are_followed() {
        let message = Message::parse(&nxdomain()).unwrap();
        assert_eq!(message.questions[0].name, name("a.b.example.test"));
        assert_eq!(message.authority[0].name, name("example.test"));
        assert_eq!((message.flags.rcode(), message.flags.is_authoritative()), (3, true));
        assert!(message.flags.is_response());
    }

    #[test]
    fn an_alias_is_read() {
        let mut bytes = vec![0, 1, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        bytes.extend(b"\x01a\x04test\0\0\x05\0\x01\0\0\0\x3c\0\x04\x01b\xc0\x0e");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.answers[0].alias, Some(name("b.test")));
    }

    #[test]
    fn a_pointer_that_does_not_lead_backward_is_refused() {
        for pointer in [b"\xc0\x0c", b"\xc0\x0d", b"\xc0\xff", b"\xff\xff"] {
            let mut bytes = vec![0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            bytes.extend(pointer);
            bytes.extend([0, 6, 0, 1]);
            assert_eq!(Message::parse(&bytes), Err(Malformed), "{pointer:?}");
        }
    }

    #[test]
    fn what_is_cut_or_has_more_is_refused() {
        let whole = nxdomain();
        for end in 0..whole.len() {
            assert_eq!(Message::parse(&whole[..end]), Err(Malformed), "{end}");
        }
        assert_eq!(Message::parse(&[&whole[..], &[0]].concat()), Err(Malformed));
    }

    #[test]
    fn a_message_reads_as_it_was_written() {
        let mut writer = Writer::new(7, UPDATE);
        writer.question(&name("example.test"), SOA);
        let data = text_data(&"x".repeat(300));
        let (owner, kind) = (name("_acme-challenge.example.test"), TXT);
        let new = NewRecord { name: &owner, kind, class: NONE, ttl: 60, data: &data };
        writer.record(Section::Authority, &new);
        let message = Message::parse(writer.bytes()).unwrap();
        assert_eq!((message.id, message.flags.opcode()), (7, UPDATE));
        assert_eq!(message.questions[0].name, name("example.test"));
        let [record] = &message.authority[..] else { panic!("{message:?}") };
        assert_eq!((&record.name, record.kind, record.class, record.ttl), (&owner, TXT, NONE, 60));
        assert_eq!((record.data.len(), record.data[0], record.data[256]), (302, 255, 45));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>(), counts in 0_u8..4) {
            let _ = Message::parse(&bytes);
            let header = [0, 1, 0x84, 0, 0, counts, 0, counts, 0, counts, 0, counts];
            if let Ok(message) = Message::parse(&[&header[..], &bytes].concat()) {
                for question in message.questions {
                    let shown = question.name.to_string();
                    prop_assert!(question.name.is_root() || !shown.is_empty());
                }
            }
        }
    }
}
