//! Source files and places in them.
//!
//! Every item of a configuration remembers the [`Span`] it was written at, and [`Sources`] turns
//! such a place back into path, line, column and the text of one line.

use std::sync::{Arc, OnceLock};

/// The set of files that one run of the compiler reads, in the order in which they are reported.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file and returns the id that its spans carry.
    pub fn add(&mut self, file: SourceFile) -> SourceId {
        let id = SourceId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(file);
        id
    }

    /// The file with this id, or `None` for an id of another set.
    pub fn get(&self, id: SourceId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files with their ids, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &SourceFile)> {
        (0u32..).map(SourceId).zip(&self.files)
    }

    /// The source text of a span, or an empty text where the span does not fit the file.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|file| file.text.get(span.range())).unwrap_or_default()
    }

    /// `path:line:column` of the start of a span, as people and editors read it.
    pub fn place(&self, span: Span) -> String {
        let Some(file) = self.get(span.file) else { return String::new() };
        let at = file.line_column(span.start);
        format!("{}:{}:{}", file.path, at.line, at.column)
    }
}

/// One file of a configuration directory.
#[derive(Clone, Debug)]
pub struct SourceFile {
    path: Box<str>,
    text: Arc<str>,
    confidential: bool,
    line_starts: OnceLock<Vec<u32>>,
    counts: OnceLock<Vec<u32>>,
}

impl SourceFile {
    /// A file under its path relative to the configuration directory, such as `rules/site.json`.
    ///
    /// Texts of 4 GiB and more have no places beyond that offset; the loader refuses them long
    /// before.
    pub fn new(path: impl Into<Box<str>>, text: impl Into<Arc<str>>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            confidential: false,
            line_starts: OnceLock::new(),
            counts: OnceLock::new(),
        }
    }

    /// The same file marked as holding secrets: its places are shown, its text never is.
    pub fn confidential(mut self) -> Self {
        self.confidential = true;
        self
    }

    /// Whether diagnostics must not quote this file.
    pub fn is_confidential(&self) -> bool {
        self.confidential
    }

    /// The path relative to the configuration directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column, both 1-based, of a byte offset. An offset past the end is the end.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let line = self.line_index(offset);
        let start = self.line_starts()[line] as usize;
        let column = self.characters_before(offset as usize) - self.characters_before(start);
        LineColumn { line: line + 1, column: column + 1 }
    }

    /// The 1-based line of a byte offset; much cheaper than [`Self::line_column`].
    pub fn line_number(&self, offset: u32) -> usize {
        self.line_index(offset) + 1
    }

    /// The byte offset at which a 1-based line starts, and its text without the line end.
    pub fn line(&self, line: usize) -> Option<(u32, &str)> {
        let starts = self.line_starts();
        let start = *starts.get(line.checked_sub(1)?)?;
        let end = starts.get(line).map_or(self.text.len(), |&next| next as usize);
        let text = self.text.get(start as usize..end)?;
        Some((start, text.trim_end_matches(['\n', '\r'])))
    }

    fn line_index(&self, offset: u32) -> usize {
        self.line_starts().partition_point(|&start| start <= offset).saturating_sub(1)
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let after = |(at, _): (usize, &str)| u32::try_from(at + 1).ok();
            std::iter::once(0).chain(self.text.match_indices('\n').filter_map(after)).collect()
        })
    }

    /// A machine-made file can be one line of megabytes, so counting starts at the nearest block.
    fn characters_before(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        let block = end / BLOCK;
        let counted = self.counts().get(block).map_or(0, |&count| count as usize);
        counted + count_starts(&self.text.as_bytes()[block * BLOCK..end])
    }

    fn counts(&self) -> &[u32] {
        self.counts.get_or_init(|| {
            let mut total = 0;
            let after = |block: &[u8]| {
                let before = total;
                total += u32::try_from(count_starts(block)).unwrap_or(u32::MAX);
                before
            };
            self.text.as_bytes().chunks(BLOCK).map(after).collect()
        })
    }
}

/// Which file of a [`Sources`] a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: SourceId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// A span from byte offsets; offsets beyond 4 GiB are clamped.
    pub fn new(file: SourceId, start: usize, end: usize) -> Self {
        let clamp = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clamp(start), end: clamp(end) }
    }

    /// The span as a range of indices into the file's text.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The first byte of this span alone; what points at the opening brace of an object.
    pub fn head(self) -> Self {
        Self { end: self.end.min(self.start.saturating_add(1)), ..self }
    }
}

/// A value and where it was written. Equality looks at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with a value made from this one.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: make(self.value), span: self.span }
    }

    /// The same place with a borrowed value.
    pub fn as_ref(&self) -> Spanned<&T> {
        Spanned { value: &self.value, span: self.span }
    }
}

/// A place as an editor shows it; columns count Unicode characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// 1-based line.
    pub line: usize,
    /// 1-based column.
    pub column: usize,
}

/// Characters that start in these bytes; continuation bytes of UTF-8 start none.
fn count_starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

const BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let file = SourceFile::new("a", "é=1\nüx\n");
        assert_eq!(file.line_column(0), LineColumn { line: 1, column: 1 });
        assert_eq!(file.line_column(2), LineColumn { line: 1, column: 2 });
        assert_eq!(file.line_column(5), LineColumn { line: 2, column: 1 });
        assert_eq!(file.line_column(7), LineColumn { line: 2, column: 2 });
    }

    #[test]
    fn an_offset_past_the_end_is_the_end() {
        let file = SourceFile::new("a", "ab");
        assert_eq!(file.line_column(99), LineColumn { line: 1, column: 3 });
    }

    #[test]
    fn columns_are_right_far_into_a_long_line() {
        let file = SourceFile::new("a", "é".repeat(5000) + "\n" + &"ü".repeat(5000));
        assert_eq!(file.line_column(9998), LineColumn { line: 1, column: 5000 });
        assert_eq!(file.line_column(10_001 + 8000), LineColumn { line: 2, column: 4001 });
    }

    #[test]
    fn a_line_is_given_without_its_end() {
        let file = SourceFile::new("a", "one\r\ntwo");
        assert_eq!(file.line(1), Some((0, "one")));
        assert_eq!(file.line(2), Some((5, "two")));
        assert_eq!(file.line(3), None);
        assert_eq!(file.line(0), None);
    }

    #[test]
    fn a_span_of_another_set_has_no_text() {
        let mut sources = Sources::default();
        let id = sources.add(SourceFile::new("a", "text"));
        assert_eq!(sources.text(Span::new(id, 0, 4)), "text");
        assert_eq!(sources.text(Span::new(id, 2, 40)), "");
        assert_eq!(sources.place(Span::new(id, 2, 4)), "a:1:3");
    }
}
