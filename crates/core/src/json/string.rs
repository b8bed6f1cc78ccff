//! JSON string literals.

use std::borrow::Cow;

use super::complaint::Complaint;
use crate::value::visible;

/// Parses the literal whose opening quote is at `start`; gives the text and the end offset.
pub(super) fn parse(text: &str, start: usize) -> Result<(Cow<'_, str>, usize), Box<Complaint>> {
    let mut literal = Literal { text, start, at: start + 1, decoded: String::new() };
    let plain = literal.plain_run();
    if text.as_bytes().get(literal.at) == Some(&b'"') {
        return Ok((Cow::Borrowed(plain), literal.at + 1));
    }
    literal.decoded.push_str(plain);
    loop {
        match text.as_bytes().get(literal.at) {
            Some(b'"') => return Ok((Cow::Owned(literal.decoded), literal.at + 1)),
            Some(b'\\') => literal.escape()?,
            Some(_) => return Err(literal.control_character()),
            None => return Err(literal.unfinished()),
        }
        let plain = literal.plain_run();
        literal.decoded.push_str(plain);
    }
}

struct Literal<'a> {
    text: &'a str,
    start: usize,
    at: usize,
    decoded: String,
}

impl<'a> Literal<'a> {
    /// Reads on up to what is not plain text.
    fn plain_run(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let ends = |&byte: &u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
        let run = rest.as_bytes().iter().position(ends).unwrap_or(rest.len());
        self.at += run;
        &rest[..run]
    }

    fn escape(&mut self) -> Result<(), Box<Complaint>> {
        let Some(&kind) = self.text.as_bytes().get(self.at + 1) else {
            return Err(self.unfinished());
        };
        let decoded = match kind {
            b'"' | b'\\' | b'/' => kind as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.unknown_escape()),
        };
        self.decoded.push(decoded);
        self.at += 2;
        Ok(())
    }

    fn unicode(&mut self) -> Result<(), Box<Complaint>> {
        let begin = self.at;
        let first = self.code_unit()?;
        let scalar = match first {
            0xd800..=0xdbff => self.low_surrogate(first),
            unit => char::from_u32(unit),
        };
        let Some(scalar) = scalar else {
            let place = begin..begin + 6;
            return Err(Complaint::new(place, "half of a surrogate pair is not a character")
                .help("characters above U+FFFF are written as two `\\u` escapes, or as they are"));
        };
        self.decoded.push(scalar);
        Ok(())
    }

    fn low_surrogate(&mut self, high: u32) -> Option<char> {
        if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            return None;
        }
        let low = self.code_unit().ok().filter(|low| (0xdc00..=0xdfff).contains(low))?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    /// The four digits after a `\u` that stands at the current place.
    fn code_unit(&mut self) -> Result<u32, Box<Complaint>> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        let unit = digits.and_then(|digits| {
            digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + hex(digit)?))
        });
        let Some(unit) = unit else {
            return Err(Complaint::new(
                self.at..self.at + 2,
                "`\\u` takes four hexadecimal digits",
            ));
        };
        self.at += 6;
        Ok(unit)
    }

    fn unknown_escape(&self) -> Box<Complaint> {
        let escaped = self.text[self.at + 1..].chars().next().unwrap_or_default();
        let place = self.at..self.at + 1 + escaped.len_utf8();
        Complaint::new(place, format!("`\\{}` is not an escape", visible(escaped)))
            .help("a backslash is written `\\\\`")
    }

    fn control_character(&self) -> Box<Complaint> {
        let byte = self.text.as_bytes()[self.at];
        if byte == b'\n' || byte == b'\r' {
            return self.unfinished().help("a line end inside a string is written `\\n`");
        }
        let message = format!("a string has the control character U+{byte:04X}");
        let help = if byte == b'\t' {
            "a tab is written `\\t`"
        } else {
            "control characters are written as `\\u` escapes"
        };
        Complaint::new(self.at..self.at + 1, message).help(help)
    }

    fn unfinished(&self) -> Box<Complaint> {
        Complaint::new(self.start..self.start + 1, "this string is never closed")
            .help("a string ends with a double quote on the same line")
    }
}

fn hex(digit: u8) -> Option<u32> {
    (digit as char).to_digit(16)
}
