//! What can be wrong with a JSON text, in words that help.

use std::ops::Range;

use crate::{
    diagnostic::{Diagnostics, code::Code},
    source::{SourceId, Span},
    value::{QUOTED, shortened},
};

/// A syntax error on its way out of the parser.
pub(super) struct Complaint {
    place: Range<usize>,
    message: String,
    code: Code,
    help: Option<&'static str>,
    opened: Option<usize>,
    at_end: bool,
}

/// What the parser was doing, for the cases in which that explains the mistake.
#[derive(Clone, Copy)]
pub(super) enum Hint {
    Empty,
    Trailing,
    Key,
    CommaInObject,
    CommaInArray,
    TrailingComma,
}

impl Complaint {
    /// Boxed, so that what is well is not carried in something larger.
    pub(super) fn new(place: Range<usize>, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            place,
            message: message.into(),
            code: Code::JsonSyntax,
            help: None,
            opened: None,
            at_end: false,
        })
    }

    pub(super) fn unknown_word(start: usize, word: &str) -> Box<Self> {
        let shown = shortened(word, QUOTED);
        let place = start..start + word.len();
        let complaint = Self::new(place, format!("`{shown}` is not a JSON value"));
        let help = match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => "write `true`",
            "false" | "no" | "off" => "write `false`",
            "null" | "none" | "nil" | "undefined" => "write `null`",
            "nan" | "infinity" => "JSON has finite numbers only",
            _ => "a text is written in double quotes",
        };
        complaint.help(help)
    }

    pub(super) fn code(mut self: Box<Self>, code: Code) -> Box<Self> {
        self.code = code;
        self.help("a rule never needs that; is a generator looping?")
    }

    /// The text at the place, when it starts something that other languages have.
    pub(super) fn found(mut self: Box<Self>, rest: &str) -> Box<Self> {
        self.help = match rest.as_bytes() {
            [b'/', b'/' | b'*', ..] | [b'#', ..] => {
                Some("JSON has no comments; write a `\"comment\"` key, which is ignored")
            }
            [b'\'', ..] => Some("JSON has double quotes only"),
            [b'+', ..] => Some("a number has no leading `+`"),
            [b'.', ..] => Some("a number needs a digit in front of the decimal point"),
            _ => None,
        };
        self
    }

    /// Says what the construct suggests, unless the text itself already said more.
    pub(super) fn hint(mut self: Box<Self>, hint: Hint) -> Box<Self> {
        let help = match hint {
            Hint::Empty => "an empty list `[]` is a file without rules",
            Hint::Trailing => "several rules in one file are a list: `[ {…}, {…} ]`",
            Hint::Key => "keys are written in double quotes",
            Hint::CommaInObject => "members of an object are separated by commas",
            Hint::CommaInArray => "items of a list are separated by commas",
            Hint::TrailingComma => "take the comma away; JSON has no trailing commas",
        };
        let help = if self.at_end { None } else { Some(help) };
        self.help = self.help.or(help);
        self
    }

    /// Where the list or object that is not finished began.
    pub(super) fn opened(mut self: Box<Self>, at: usize) -> Box<Self> {
        self.opened = self.at_end.then_some(at);
        self
    }

    pub(super) fn at_end(mut self: Box<Self>) -> Box<Self> {
        self.at_end = true;
        self
    }

    pub(super) fn help(mut self: Box<Self>, help: &'static str) -> Box<Self> {
        self.help = Some(help);
        self
    }

    pub(super) fn report(self, file: SourceId, diagnostics: &mut Diagnostics) {
        let span = |place: Range<usize>| Span::new(file, place.start, place.end);
        let diagnostic = diagnostics.error(self.code, span(self.place), self.message);
        if let Some(open) = self.opened {
            diagnostic.secondary(span(open..open + 1), "opened here");
        }
        if let Some(help) = self.help {
            diagnostic.help(help);
        }
    }
}
