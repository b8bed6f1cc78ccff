//! Words that do not appear: silenced lints, unfinished work, tests that never run, hidden panics.

use crate::repository::{Repository, Text};
use crate::source::{Kind, Source, Token, behind_group, reads};
use crate::violation::Violation;

/// Finds banned words in every Rust file, and notes of unfinished work in every other text.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let mut violations: Vec<_> = repository.texts.iter().flat_map(unfinished_notes).collect();
    for source in repository.sources() {
        violations.extend(attributes(source));
        violations.extend(unfinished_macros(source));
    }
    violations.extend(panics(repository.sources()));
    violations
}

fn attributes(source: &Source) -> Vec<Violation> {
    let tokens = &source.tokens;
    let opens = (0..tokens.len())
        .filter(|&at| reads(tokens, at, &["#", "["]) || reads(tokens, at, &["#", "!", "["]));
    let found = opens.flat_map(|at| {
        let open = if tokens[at + 1].is("[") { at + 1 } else { at + 2 };
        attribute(&tokens[open + 1..behind_group(tokens, open) - 1])
    });
    found.map(|(line, message, way_out)| violation(&source.path, line, message, way_out)).collect()
}

/// Judges what stands between the brackets of one attribute.
fn attribute(tokens: &[Token]) -> Vec<(usize, &'static str, &'static str)> {
    let has_reason = (0..tokens.len()).any(|at| reads(tokens, at, &["reason", "="]));
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let opens = reads(tokens, at + 1, &["("]);
        if token.is("allow") && opens {
            found.push((
                token.line(),
                "a lint is silenced by `allow`",
                "mend the cause, or write `expect(lint, reason = \"...\")`",
            ));
        } else if token.is("expect") && opens && !has_reason {
            found.push((
                token.line(),
                "a lint is silenced without a reason",
                "add `reason = \"...\"`",
            ));
        } else if token.is("ignore") && tokens.len() == 1 {
            found.push((
                token.line(),
                "a test is ignored without a reason",
                "delete it, or write `#[ignore = \"what it needs\"]`",
            ));
        }
    }
    found
}

fn unfinished_macros(source: &Source) -> Vec<Violation> {
    let tokens = &source.tokens;
    let found = tokens.iter().enumerate().filter(|(at, token)| {
        let is_macro = reads(tokens, at + 1, &["!"]) && !reads(tokens, at + 1, &["!", "="]);
        is_macro && ["todo", "unimplemented"].iter().any(|word| token.is(word))
    });
    found
        .map(|(_, token)| {
            let message = "unfinished code";
            violation(&source.path, token.line(), message, "finish it, or leave the feature out")
        })
        .collect()
}

fn unfinished_notes(text: &Text) -> Vec<Violation> {
    let name = text.path.rsplit('/').next().unwrap_or(&text.path);
    let extension = name.rsplit('.').next().unwrap_or(name);
    if !NOTED_IN.contains(&extension) {
        return Vec::new();
    }
    let lines = text.text.lines().enumerate().filter(|(_, line)| {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        words.any(|word| UNFINISHED.contains(&word))
    });
    lines
        .map(|(at, _)| {
            violation(&text.path, at + 1, "a note of unfinished work", "do it, or open an issue")
        })
        .collect()
}

/// `unwrap` says nothing; `expect` says an invariant, and few are needed.
fn panics(sources: &[Source]) -> Vec<Violation> {
    let product = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/") && source.path.contains("/src/"));
    let (mut lines, mut expects, mut violations) = (0, Vec::new(), Vec::new());
    for source in product {
        lines += (1..=source.text.lines().count()).filter(|&line| !source.is_test(line)).count();
        for (at, token) in source.product_tokens() {
            if !reads(&source.tokens, at + 1, &["("]) || at == 0 || !source.tokens[at - 1].is(".") {
                continue;
            }
            if token.is("unwrap") {
                let way_out = "return the error, or `expect` the invariant that rules it out";
                violations.push(violation(&source.path, token.line(), "`unwrap()`", way_out));
            } else if token.is("expect") && is_text(source, at + 2) {
                expects.push((source.path.as_str(), token.line()));
            }
        }
    }
    violations.extend(too_many(&expects, lines));
    violations
}

/// A method of ours may be called `expect`; that of `Option` and `Result` takes a text.
fn is_text(source: &Source, at: usize) -> bool {
    source.tokens.get(at).is_some_and(|token| token.kind == Kind::Literal)
}

fn too_many(expects: &[(&str, usize)], lines: usize) -> Vec<Violation> {
    let budget = (lines * EXPECTS_PER_10_000_LINES).div_ceil(10_000);
    if expects.len() <= budget {
        return Vec::new();
    }
    let message = format!("one of {} `expect`s, where {lines} lines have {budget}", expects.len());
    let way_out = "carry the fact in a type, or return the error";
    expects.iter().map(|(path, line)| violation(path, *line, &message, way_out)).collect()
}

fn violation(path: &str, line: usize, message: &str, way_out: &str) -> Violation {
    let (message, way_out) = (message.to_owned(), way_out.to_owned());
    Violation { path: path.to_owned(), line, rule: "ban", message, way_out }
}

const EXPECTS_PER_10_000_LINES: usize = 15;
const NOTED_IN: [&str; 7] = ["rs", "toml", "nix", "sh", "py", "service", "Dockerfile"];
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silenced_lint_is_found() {
        assert_eq!(count("#[allow(dead_code)] fn f() {}"), 1);
        assert_eq!(count("#![allow(dead_code)]"), 1);
        assert_eq!(count("#[cfg_attr(unix, allow(dead_code))] fn f() {}"), 1);
        assert_eq!(count("#[expect(dead_code)] fn f() {}"), 1);
        assert_eq!(count("#[expect(dead_code, reason = \"a\")] fn f() {}"), 0);
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(count("fn f() { todo!() }"), 1);
        assert_eq!(count("fn f() { unimplemented!() }"), 1);
        assert_eq!(count(&format!("// {}: more", UNFINISHED[0])), 1);
        assert_eq!(count(&format!("// {}(me) more", UNFINISHED[1])), 1);
        assert_eq!(count(&format!("// MAS{}N", UNFINISHED[0])), 0);
    }

    #[test]
    fn an_ignored_test_wants_a_reason() {
        assert_eq!(count("#[ignore] fn f() {}"), 1);
        assert_eq!(count("#[ignore = \"needs a network\"] fn f() {}"), 0);
    }

    #[test]
    fn unwrap_is_for_tests_only() {
        assert_eq!(count("fn f() { a.unwrap(); }"), 1);
        assert_eq!(count("fn f() { call!(a.unwrap()); }"), 1);
        assert_eq!(count("#[test] fn f() { a.unwrap(); }"), 0);
        assert_eq!(count("fn f() { a.unwrap_or(0); }"), 0);
    }

    #[test]
    fn expects_are_counted_against_the_lines_that_ship() {
        let file = |expects: usize, lines: usize| {
            format!("fn f() {{ {} }}{}", "a.expect(\"b\");".repeat(expects), "\n".repeat(lines))
        };
        assert_eq!(count(&file(3, 2000)), 0);
        assert_eq!(count(&file(4, 2000)), 4);
        assert_eq!(count("fn f() { a.expect(b'x'); parser.expect(kind); other.expect(kind); }"), 0);
    }

    fn count(text: &str) -> usize {
        let files = [("crates/x/src/a.rs".to_owned(), text.to_owned())];
        check(&Repository::of(files)).len()
    }
}
