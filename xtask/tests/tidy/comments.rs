//! A long comment below the module header is a document in the wrong place.

use crate::repository::Repository;
use crate::source::{Kind, Source};
use crate::violation::Violation;

/// Finds comment blocks over the limit, doc comments included.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    repository.sources().iter().flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut start = 0;
    let comments = comment_lines(source);
    for (at, &is_comment) in comments.iter().enumerate() {
        let ends = is_comment && !comments.get(at + 1).is_some_and(|&next| next);
        if !is_comment {
            start = at + 1;
        } else if ends && at + 1 - start > BLOCK_LINES {
            violations.push(violation(source, start + 1, at + 1 - start));
        }
    }
    violations
}

fn violation(source: &Source, line: usize, lines: usize) -> Violation {
    Violation {
        path: source.path.clone(),
        line,
        rule: "comment-block",
        message: format!("a comment of {lines} lines, over {BLOCK_LINES}"),
        way_out: "say it in the module header, in `docs/decisions/`, or by names".to_owned(),
    }
}

/// For each line whether it is a comment below the header.
fn comment_lines(source: &Source) -> Vec<bool> {
    let strings = lines_inside_strings(source);
    let mut in_header = true;
    let mut in_block = false;
    let lines = source.text.lines().enumerate().map(|(at, line)| {
        let line = line.trim_start();
        in_header &= line.is_empty() || line.starts_with("//!") || line.starts_with("#!");
        let is_text = strings.iter().any(|&(first, last)| first < at + 1 && at < last);
        let opens = !is_text && line.starts_with("/*");
        let is_comment = !is_text && (in_block || opens || line.starts_with("//"));
        in_block = (in_block || opens) && !line.contains("*/");
        is_comment && !in_header
    });
    lines.collect()
}

/// The first and last lines of literals that go over several lines, doc comments apart.
fn lines_inside_strings(source: &Source) -> Vec<(usize, usize)> {
    let lines: Vec<_> = source.text.lines().collect();
    let literals = source.tokens.iter().filter(|token| token.kind == Kind::Literal);
    literals
        .map(|token| token.lines)
        .filter(|&(first, last)| last > first && !lines[first - 1].trim_start().starts_with("/*"))
        .collect()
}

const BLOCK_LINES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_lines_are_the_most() {
        assert_eq!(lines(&format!("fn f() {{}}\n{}", "// a\n".repeat(12))), [0; 0]);
        assert_eq!(lines(&format!("fn f() {{}}\n{}", "// a\n".repeat(13))), [2]);
        assert_eq!(lines(&format!("{}fn f() {{}}", "    /// a\n".repeat(13))), [1]);
        assert_eq!(lines(&format!("fn f() {{}}\n/*{}*/", "a\n".repeat(13))), [2]);
    }

    #[test]
    fn the_module_header_may_be_longer() {
        assert_eq!(lines(&"//! a\n".repeat(40)), [0; 0]);
    }

    #[test]
    fn code_between_comments_parts_them() {
        let block = "// a\n".repeat(10);
        assert_eq!(lines(&format!("fn f() {{}}\n{block}fn g() {{}}\n{block}")), [0; 0]);
    }

    #[test]
    fn text_in_a_string_is_no_comment() {
        let text = format!("const A: &str = r\"\n{}\";", "//- rules/a.json\n".repeat(20));
        assert_eq!(lines(&text), [0; 0]);
    }

    fn lines(text: &str) -> Vec<usize> {
        let source = Source::parse("crates/x/src/a.rs", text).unwrap();
        check_file(&source).into_iter().map(|violation| violation.line).collect()
    }
}
