//! Diagnostics as text for people and as JSON for tools.

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
};
use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, code::Severity};
use crate::source::{SourceFile, Sources, Span};

/// Renders all problems for a person, ordered by file and place, at most [`MAX_SHOWN`] of them.
///
/// `colour` adds ANSI escapes. Exactly the line that a place is on is quoted, shortened when it is
/// very long, and never that of a confidential file. Ends with a line end unless empty.
pub fn text(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH + 20);
    let shown: Vec<_> = (diagnostics.sorted().into_iter().take(MAX_SHOWN))
        .map(|diagnostic| one(diagnostic, sources, &renderer))
        .collect();
    let hidden = diagnostics.total() - shown.len();
    let mut text = shown.join("\n");
    if hidden > 0 {
        text.push_str(&format!("\nand {hidden} more\n"));
    }
    text
}

/// Renders all kept problems for a tool: an array of objects `{code, severity, message, file,
/// line, column, end_line, end_column, label, secondary, help}`.
///
/// Lines and columns are 1-based, columns count Unicode characters and the end is exclusive; what
/// a problem does not have is null.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    diagnostics.sorted().into_iter().map(|diagnostic| object(diagnostic, sources)).collect()
}

fn object(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let mut object = json!({
        "code": diagnostic.code.as_str(),
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
    });
    object["file"] = diagnostic.file.and_then(|id| sources.get(id)).map(SourceFile::path).into();
    place(&mut object, diagnostic.primary, sources);
    object["label"] = diagnostic.label.clone().into();
    object["secondary"] =
        diagnostic.secondary.iter().map(|(span, label)| secondary(*span, label, sources)).collect();
    object["help"] = diagnostic.help.clone().into();
    object
}

fn secondary(span: Span, label: &str, sources: &Sources) -> Value {
    let mut object = json!({ "file": sources.get(span.file).map(SourceFile::path) });
    place(&mut object, Some(span), sources);
    object["label"] = label.into();
    object
}

fn place(object: &mut Value, span: Option<Span>, sources: &Sources) {
    let located = span.and_then(|span| Some((span, sources.get(span.file)?)));
    let start = located.map(|(span, file)| file.line_column(span.start));
    let end = located.map(|(span, file)| file.line_column(span.end));
    object["line"] = start.map(|at| at.line).into();
    object["column"] = start.map(|at| at.column).into();
    object["end_line"] = end.map(|at| at.line).into();
    object["end_column"] = end.map(|at| at.column).into();
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(&diagnostic.message)).id(diagnostic.code.as_str());
    let group = Group::with_title(title).elements(places(diagnostic, sources));
    let help = diagnostic.help.iter().map(|help| Level::HELP.message(printable(help)));
    house_style(&renderer.render(&[group.elements(help)]))
}

fn places<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Element<'a>> {
    let Some(file) = diagnostic.file.and_then(|id| sources.get(id)) else { return Vec::new() };
    let Some(primary) = diagnostic.primary else {
        return vec![Origin::path(file.path()).into()];
    };
    let primary = Mark { span: primary, label: diagnostic.label.as_deref(), primary: true };
    let others = diagnostic.secondary.iter().map(|(span, label)| Mark {
        span: *span,
        label: Some(label),
        primary: false,
    });
    by_line(std::iter::once(primary).chain(others), sources)
        .into_iter()
        .flat_map(Quoted::elements)
        .collect()
}

struct Mark<'a> {
    span: Span,
    label: Option<&'a str>,
    primary: bool,
}

struct Quoted<'a> {
    file: &'a SourceFile,
    line: usize,
    marks: Vec<Mark<'a>>,
}

fn by_line<'a>(marks: impl Iterator<Item = Mark<'a>>, sources: &'a Sources) -> Vec<Quoted<'a>> {
    let mut lines: Vec<Quoted<'a>> = Vec::new();
    for mark in marks {
        let Some(file) = sources.get(mark.span.file) else { continue };
        let line = file.line_column(mark.span.start).line;
        match lines.iter_mut().find(|known| known.line == line && known.file.path() == file.path())
        {
            Some(known) => known.marks.push(mark),
            None => lines.push(Quoted { file, line, marks: vec![mark] }),
        }
    }
    lines
}

impl<'a> Quoted<'a> {
    fn elements(self) -> Vec<Element<'a>> {
        let at = self.file.line_column(self.marks[0].span.start);
        let origin = Origin::path(self.file.path()).line(at.line).char_column(at.column);
        match self.snippet() {
            Some(snippet) => vec![origin.into(), snippet.into()],
            None => vec![origin.into()],
        }
    }

    fn snippet(&self) -> Option<Snippet<'a, Annotation<'a>>> {
        if self.file.is_confidential() {
            return None;
        }
        let (start, line) = self.file.line(self.line)?;
        let window = Window::around(line, (self.marks[0].span.start - start) as usize);
        let annotations = self.marks.iter().map(|mark| window.annotation(mark, start as usize));
        Some(
            Snippet::source(window.text.clone())
                .line_start(self.line)
                .annotations(annotations.collect::<Vec<_>>()),
        )
    }
}

/// The part of a line that is quoted: all of it, or what stands around the marked place.
struct Window {
    text: String,
    shift: usize,
    skipped: usize,
}

impl Window {
    fn around(line: &str, at: usize) -> Self {
        if line.len() <= WIDTH {
            return Self { text: line.to_owned(), shift: 0, skipped: 0 };
        }
        let start = line.floor_char_boundary(at.saturating_sub(WIDTH / 4));
        let end = line.floor_char_boundary((start + WIDTH).min(line.len()));
        let before = if start > 0 { ELLIPSIS } else { "" };
        let after = if end < line.len() { ELLIPSIS } else { "" };
        let text = format!("{before}{}{after}", &line[start..end]);
        Self { text, shift: before.len(), skipped: start }
    }

    fn annotation<'a>(&self, mark: &Mark<'a>, line_start: usize) -> Annotation<'a> {
        let place = |offset: u32| {
            let inside = (offset as usize).saturating_sub(line_start + self.skipped) + self.shift;
            self.text.floor_char_boundary(inside.min(self.text.len()))
        };
        let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(place(mark.span.start)..place(mark.span.end));
        annotation.label(mark.label.map(printable))
    }
}

/// Texts of the configuration may be quoted in messages, so escape what a terminal would obey.
fn printable(text: &str) -> String {
    let escape = |c: char| c.is_control() && c != '\n';
    if !text.contains(escape) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| if escape(c) { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// One column of air before the gutter, and no gutter lines that say nothing.
fn house_style(rendered: &str) -> String {
    let lines: Vec<_> = rendered.lines().map(|line| (line, without_escapes(line))).collect();
    let quotes_nothing = lines.iter().any(|(_, plain)| plain.starts_with("-->"));
    let indent = if quotes_nothing { "  " } else { " " };
    let mut text = String::with_capacity(rendered.len() + lines.len());
    for (index, (line, plain)) in lines.iter().enumerate() {
        let before_help = lines.get(index + 1).is_some_and(|next| next.1.trim().starts_with('='));
        let plain = plain.trim();
        if plain == ":::" || (plain == "|" && before_help) {
            continue;
        }
        text.push_str(if index > 0 && !plain.is_empty() { indent } else { "" });
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn without_escapes(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

/// Problems shown in text; a broken generator must not flood a terminal.
pub const MAX_SHOWN: usize = 100;

const WIDTH: usize = 200;
const ELLIPSIS: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnostic::code::Code, source::SourceFile};

    fn rendered(source: &str, mark: std::ops::Range<usize>, colour: bool) -> String {
        let mut sources = Sources::default();
        let file = sources.add(SourceFile::new("a.json", source));
        let mut diagnostics = Diagnostics::default();
        let span = Span::new(file, mark.start, mark.end);
        diagnostics.error(Code::BadValue, span, "no").label("here").help("so");
        text(&diagnostics, &sources, colour)
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = rendered("{ \"a\": 1 }", 7..8, true);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(without_escapes(&coloured), rendered("{ \"a\": 1 }", 7..8, false));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}mark{}", "é".repeat(5000), "ü".repeat(5000));
        let shown = rendered(&text, 10_000..10_004, false);
        assert!(shown.contains("a.json:1:5001"), "{shown}");
        assert!(shown.contains("mark"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() < 220), "{shown}");
    }

    #[test]
    fn a_place_over_several_lines_quotes_the_first() {
        let shown = rendered("{\n  \"a\": 1\n}", 0..14, false);
        assert!(shown.contains(" 1 | {"), "{shown}");
        assert!(!shown.contains("\"a\""), "{shown}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.general(Code::BadValue, "a\u{1b}[31mb");
        let shown = text(&diagnostics, &Sources::default(), false);
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
