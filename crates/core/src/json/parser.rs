//! The descent over the text. Errors are values; they become diagnostics in one place.

use std::borrow::Cow;

use super::{
    MAX_DEPTH, Member, Value, ValueKind,
    complaint::{Complaint, Hint},
    string,
};
use crate::{
    diagnostic::{Diagnostics, code::Code},
    source::{SourceId, Span, Spanned},
    table::Table,
    value::{QUOTED, shortened, visible},
};

pub(super) struct Parser<'t, 'd> {
    file: SourceId,
    text: &'t str,
    at: usize,
    depth: usize,
    diagnostics: &'d mut Diagnostics,
}

type Parsed<T> = Result<T, Box<Complaint>>;

impl<'t, 'd> Parser<'t, 'd> {
    pub(super) fn new(file: SourceId, text: &'t str, diagnostics: &'d mut Diagnostics) -> Self {
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        Self { file, text, at, depth: 0, diagnostics }
    }

    pub(super) fn document(mut self) -> Option<Value<'t>> {
        match self.value_then_end() {
            Ok(value) => Some(value),
            Err(complaint) => {
                complaint.report(self.file, self.diagnostics);
                None
            }
        }
    }

    fn value_then_end(&mut self) -> Parsed<Value<'t>> {
        self.skip_space();
        if self.peek().is_none() {
            return Err(Complaint::new(self.at..self.at, "the file is empty").hint(Hint::Empty));
        }
        let value = self.value()?;
        self.skip_space();
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.unexpected("expected the end of the file").hint(Hint::Trailing)),
        }
    }

    fn value(&mut self) -> Parsed<Value<'t>> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => ValueKind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => ValueKind::Number(self.number()?),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.word()?,
            _ => return Err(self.unexpected("expected a value")),
        };
        Ok(Value { kind, span: self.span(start) })
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<ValueKind<'t>>) -> Parsed<ValueKind<'t>> {
        if self.depth == MAX_DEPTH {
            let message = format!("lists and objects are nested more than {MAX_DEPTH} deep");
            return Err(Complaint::new(self.at..self.at + 1, message).code(Code::NestingTooDeep));
        }
        self.depth += 1;
        self.at += 1;
        let kind = parse(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn array(&mut self) -> Parsed<ValueKind<'t>> {
        let open = self.at - 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(ValueKind::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.end_of_list(b']', open)? {
                return Ok(ValueKind::Array(items));
            }
        }
    }

    fn object(&mut self) -> Parsed<ValueKind<'t>> {
        let open = self.at - 1;
        let mut members = Members::default();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(ValueKind::Object(members.list));
        }
        loop {
            let member = self.member()?;
            members.add(member, self.diagnostics);
            if self.end_of_list(b'}', open)? {
                return Ok(ValueKind::Object(members.list));
            }
        }
    }

    fn member(&mut self) -> Parsed<Member<'t>> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("expected a key in double quotes").hint(Hint::Key));
        }
        let text = self.string()?;
        let key = Spanned::new(text, self.span(start));
        self.skip_space();
        if !self.eat(b':') {
            return Err(self.unexpected("expected `:` after the key"));
        }
        self.skip_space();
        Ok(Member { key, value: self.value()? })
    }

    /// After an item: true at the closing bracket, false when another item follows.
    fn end_of_list(&mut self, close: u8, open: usize) -> Parsed<bool> {
        self.skip_space();
        if self.eat(close) {
            return Ok(true);
        }
        let comma = self.at;
        if !self.eat(b',') {
            let message = format!("expected `,` or `{}`", close as char);
            let hint = if close == b'}' { Hint::CommaInObject } else { Hint::CommaInArray };
            return Err(self.unexpected(&message).hint(hint).opened(open));
        }
        self.skip_space();
        if self.peek() == Some(close) {
            let message = format!("a comma stands in front of `{}`", close as char);
            return Err(Complaint::new(comma..comma + 1, message).hint(Hint::TrailingComma));
        }
        Ok(false)
    }

    fn string(&mut self) -> Parsed<Cow<'t, str>> {
        let (text, end) = string::parse(self.text, self.at)?;
        self.at = end;
        Ok(text)
    }

    fn number(&mut self) -> Parsed<&'t str> {
        let start = self.at;
        self.eat(b'-');
        if self.eat(b'0') {
            if self.digits() > 0 {
                let place = start..self.at;
                return Err(Complaint::new(place, "a number starts with a zero"));
            }
        } else if self.digits() == 0 {
            return Err(self.unexpected("expected a digit"));
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.unexpected("expected a digit after the decimal point"));
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            if self.digits() == 0 {
                return Err(self.unexpected("expected a digit in the exponent"));
            }
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self) -> Parsed<ValueKind<'t>> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            "null" => Ok(ValueKind::Null),
            "true" => Ok(ValueKind::Bool(true)),
            "false" => Ok(ValueKind::Bool(false)),
            word => Err(Complaint::unknown_word(start, word)),
        }
    }

    /// A complaint about what stands at the current place, or about the end of the file.
    fn unexpected(&self, expected: &str) -> Box<Complaint> {
        let rest = &self.text[self.at..];
        let Some(found) = rest.chars().next() else {
            let place = self.text.trim_end().len();
            let message = format!("{expected}, but the file ends here");
            return Complaint::new(place.saturating_sub(1)..place, message).at_end();
        };
        let message = format!("{expected}, found `{}`", visible(found));
        Complaint::new(self.at..self.at + found.len_utf8(), message).found(rest)
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.file, start, self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

/// The members of one object while it is read; knows which keys it has seen.
#[derive(Default)]
struct Members<'t> {
    list: Vec<Member<'t>>,
    index: Table<Cow<'t, str>, usize>,
}

impl<'t> Members<'t> {
    fn add(&mut self, member: Member<'t>, diagnostics: &mut Diagnostics) {
        match self.find(&member.key.value) {
            Some(first) => report_duplicate(&self.list[first].key, &member.key, diagnostics),
            None => self.list.push(member),
        }
    }

    fn find(&mut self, key: &str) -> Option<usize> {
        if self.list.len() <= SCANNED {
            return self.list.iter().position(|known| known.key.value == key);
        }
        for (at, known) in self.list.iter().enumerate().skip(self.index.len()) {
            self.index.insert(known.key.value.clone(), at);
        }
        self.index.get(key).copied()
    }
}

fn report_duplicate(
    first: &Spanned<Cow<'_, str>>,
    again: &Spanned<Cow<'_, str>>,
    to: &mut Diagnostics,
) {
    let message =
        format!("the key `{}` stands twice in this object", shortened(&first.value, QUOTED));
    to.error(Code::DuplicateKey, again.span, message)
        .label("again here")
        .secondary(first.span, "first here")
        .help("keep one of the two; a list takes several values under one key");
}

/// Objects up to this size are searched in place, which costs less than an index.
const SCANNED: usize = 16;

const BYTE_ORDER_MARK: char = '\u{feff}';
