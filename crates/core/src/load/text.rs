//! Bytes to text, or the reason why not.

use std::ops::Range;
use std::sync::Arc;

use super::{EnvProblem, MAX_FILE_BYTES, RawContent, RawFile};
use crate::{
    diagnostic::{Diagnostics, code::Code},
    source::{SourceFile, SourceId, Sources, Span},
    value::units::ByteSize,
};

/// The text of a file, which is added to the sources in any case.
pub(super) fn read(
    file: &RawFile,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<(SourceId, Arc<str>)> {
    read_as(file, false, sources, diagnostics)
}

/// As [`read`], for a file that must not be quoted.
pub(super) fn read_confidential(
    file: &RawFile,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<(SourceId, Arc<str>)> {
    read_as(file, true, sources, diagnostics)
}

/// Points at lines of `.env` without repeating them. They come in the order of the file.
pub(super) fn report_env_problems(
    file: SourceId,
    text: &str,
    problems: &[EnvProblem],
    diagnostics: &mut Diagnostics,
) {
    let mut from = 0;
    for problem in problems {
        let diagnostic = match find_line(text, from, problem.line.trim()) {
            Some(found) => {
                from = found.end;
                let span = Span::new(file, found.start, found.end);
                diagnostics.error(Code::EnvFileSyntax, span, "this line is not `NAME=value`")
            }
            None => diagnostics.in_file(Code::EnvFileSyntax, file, "a line is not `NAME=value`"),
        };
        diagnostic.help(
            "values with spaces or `#` are written in quotes; the line is not shown here, \
                     since it may hold a secret",
        );
    }
}

/// Where a line stands, at `from` or later, by its text; with an open quote it goes on over others.
fn find_line(text: &str, from: usize, line: &str) -> Option<Range<usize>> {
    let first = line.lines().next()?.trim_end();
    let mut start = from;
    for candidate in text[from..].split_inclusive('\n') {
        let begin = start + candidate.len() - candidate.trim_start_matches(BLANK).len();
        if candidate.trim_matches(BLANK) == first {
            return Some(begin..begin + first.len());
        }
        start += candidate.len();
    }
    None
}

/// What may stand around a line of `.env`, and the mark that may begin the file.
const BLANK: [char; 5] = [' ', '\t', '\r', '\n', '\u{feff}'];

fn read_as(
    file: &RawFile,
    confidential: bool,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<(SourceId, Arc<str>)> {
    let decoded = decode(&file.content);
    let text: Arc<str> = match &decoded {
        Ok(text) => Arc::from(*text),
        Err(Unfit::NotUtf8 { text, .. }) => Arc::from(*text),
        Err(_) => Arc::from(""),
    };
    let source = SourceFile::new(&*file.path, Arc::clone(&text));
    let id = sources.add(if confidential { source.confidential() } else { source });
    match decoded {
        Ok(_) => Some((id, text)),
        Err(unfit) => {
            unfit.report(id, diagnostics);
            None
        }
    }
}

/// Why a file has no text.
enum Unfit<'a> {
    Unreadable(&'a str),
    TooLarge(u64),
    /// The text up to the first bad byte, and that byte.
    NotUtf8 {
        text: &'a str,
        byte: u8,
    },
}

fn decode(content: &RawContent) -> Result<&str, Unfit<'_>> {
    let bytes = match content {
        RawContent::Unreadable(reason) => return Err(Unfit::Unreadable(reason)),
        RawContent::TooLarge(size) => return Err(Unfit::TooLarge(*size)),
        RawContent::Bytes(bytes) => bytes,
    };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Unfit::TooLarge(bytes.len() as u64));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let text = str::from_utf8(good).unwrap_or_default();
        Unfit::NotUtf8 { text, byte: bad.first().copied().unwrap_or_default() }
    })
}

impl Unfit<'_> {
    fn report(self, file: SourceId, diagnostics: &mut Diagnostics) {
        match self {
            Self::Unreadable(reason) => diagnostics
                .in_file(Code::FileUnreadable, file, format!("cannot read this file: {reason}"))
                .help("the daemon must be allowed to read it and to search its directories"),
            Self::TooLarge(size) => {
                let limit = ByteSize::from_bytes(MAX_FILE_BYTES);
                let message = format!("this file has {size} bytes, more than {limit}");
                diagnostics
                    .in_file(Code::FileTooLarge, file, message)
                    .help("split the rules over several files, or move bodies into `body_file`")
            }
            Self::NotUtf8 { text, byte } => {
                let at = Span::new(file, text.len(), text.len());
                diagnostics
                    .error(Code::FileNotUtf8, at, format!("the byte 0x{byte:02x} is not UTF-8"))
                    .help("save the file as UTF-8 without other encodings")
            }
        };
    }
}
