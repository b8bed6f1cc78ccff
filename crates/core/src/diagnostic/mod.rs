//! Everything the compiler has to say about a configuration.
//!
//! Passes report into one [`Diagnostics`] and go on, so that an operator sees all problems of a
//! directory in one run. Rendering is apart, in [`render`].

pub mod code;
pub mod render;

use crate::source::{SourceId, Span};
use code::{Code, Severity};

/// The problems of one run.
///
/// Memory is bounded: beyond [`MAX_KEPT`] problems are only counted.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    overflow: Option<Box<Diagnostic>>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Reports a problem at a place, with the severity that its code has by default.
    pub fn report(&mut self, code: Code, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, message).at(at))
    }

    /// Reports an error at a place.
    pub fn error(&mut self, code: Code, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, message).at(at).with(Severity::Error))
    }

    /// Reports a warning at a place.
    pub fn warning(&mut self, code: Code, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, message).at(at).with(Severity::Warning))
    }

    /// Reports a problem of a whole file.
    pub fn in_file(
        &mut self,
        code: Code,
        file: SourceId,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic { file: Some(file), ..Diagnostic::new(code, message) })
    }

    /// Reports a problem of the configuration as a whole.
    pub fn general(&mut self, code: Code, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, message))
    }

    /// Reports a problem of the configuration as a whole that is no reason to refuse it.
    pub fn general_warning(&mut self, code: Code, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, message).with(Severity::Warning))
    }

    /// Whether any error was reported, kept or not.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether nothing at all was reported.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// How many errors were reported, kept or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings were reported, kept or not.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many problems were reported, kept or not.
    pub fn total(&self) -> usize {
        self.errors + self.warnings
    }

    /// Whether further problems are only counted, so that describing them well is wasted work.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= MAX_KEPT
    }

    /// The kept problems in the order of files and places; those without a file come last.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<_> = self.kept.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.position());
        sorted
    }

    fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.is_full() {
            return self.overflow.insert(Box::new(diagnostic));
        }
        self.kept.push(diagnostic);
        let last = self.kept.len() - 1;
        &mut self.kept[last]
    }
}

/// What all of these give, if each gives something. Every one is asked in any case, so that each
/// reports what is wrong with it.
pub(crate) fn every<T>(asked: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(asked.size_hint().1.unwrap_or_default());
    let mut whole = true;
    for each in asked {
        match each {
            Some(each) => all.push(each),
            None => whole = false,
        }
    }
    whole.then_some(all)
}

/// One problem, with what is needed to find it and to get out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the kind of problem.
    pub code: Code,
    /// Whether the configuration can still be used.
    pub severity: Severity,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// The file, also for problems that have no place in it.
    pub file: Option<SourceId>,
    /// The place to look at first.
    pub primary: Option<Span>,
    /// What stands under the marked text.
    pub label: Option<String>,
    /// Other places that take part, each with its label.
    pub secondary: Vec<(Span, String)>,
    /// Ways out.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// Says something under the marked text.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a way out.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help.push(help.into());
        self
    }

    /// Marks another place that takes part.
    pub fn secondary(&mut self, at: Span, label: impl Into<String>) -> &mut Self {
        self.secondary.push((at, label.into()));
        self
    }

    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            file: None,
            primary: None,
            label: None,
            secondary: Vec::new(),
            help: Vec::new(),
        }
    }

    fn at(self, span: Span) -> Self {
        Self { file: Some(span.file), primary: Some(span), ..self }
    }

    fn with(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    fn position(&self) -> (bool, Option<SourceId>, u32) {
        (self.file.is_none(), self.file, self.primary.map_or(0, |span| span.start))
    }
}

/// Problems kept in memory; later ones are counted only.
pub const MAX_KEPT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{SourceFile, Sources};

    #[test]
    fn problems_are_sorted_by_file_then_place_and_the_general_ones_come_last() {
        let mut sources = Sources::default();
        let first = sources.add(SourceFile::new("a", "0123456789"));
        let second = sources.add(SourceFile::new("b", "0123456789"));
        let mut diagnostics = Diagnostics::default();
        diagnostics.general(Code::EmptyConfig, "g");
        diagnostics.error(Code::BadValue, Span::new(second, 0, 1), "c");
        diagnostics.error(Code::BadValue, Span::new(first, 5, 6), "b");
        diagnostics.error(Code::BadValue, Span::new(first, 1, 2), "a");
        let order: Vec<_> = diagnostics.sorted().iter().map(|d| d.message.as_str()).collect();
        assert_eq!(order, ["a", "b", "c", "g"]);
    }

    #[test]
    fn a_flood_is_counted_but_not_kept() {
        let mut diagnostics = Diagnostics::default();
        for _ in 0..MAX_KEPT + 5 {
            diagnostics.general(Code::BadValue, "again").help("stop");
        }
        assert_eq!(diagnostics.total(), MAX_KEPT + 5);
        assert_eq!(diagnostics.sorted().len(), MAX_KEPT);
    }
}
