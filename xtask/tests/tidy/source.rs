//! A Rust file as text, as a flat list of tokens, and as syntax.
//!
//! Rules about words look at tokens, which also reach into macro calls and never into strings or
//! comments; rules about items look at syntax.

use std::ops::RangeInclusive;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One Rust file.
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) syntax: syn::File,
    /// Lines of items that exist in tests only.
    test_lines: Vec<RangeInclusive<usize>>,
}

/// A leaf of the token tree; delimiters are leaves too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// Lines from the first to the last that the token covers, from 1.
    pub(crate) lines: (usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident,
    Punct,
    Literal,
    Open,
    Close,
}

impl Source {
    /// Parses a file; the error names the file, since no rule can judge what does not parse.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let refuse = |error: &dyn std::fmt::Display| format!("{path} does not parse: {error}");
        let stream = TokenStream::from_str(text).map_err(|error| refuse(&error))?;
        let syntax = syn::parse_file(text).map_err(|error| refuse(&error))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut tests = TestItems::default();
        tests.visit_file(&syntax);
        let (path, text) = (path.to_owned(), text.to_owned());
        Ok(Self { path, text, tokens, syntax, test_lines: tests.lines })
    }

    /// Whether the line lies in a test: by its place in the tree or by `#[cfg(test)]`, `#[test]`.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.is_test_file() || self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    fn is_test_file(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || ["/tests/", "/benches/"].iter().any(|dir| self.path.contains(dir))
            || self.path.starts_with("integration/")
    }

    /// The tokens that ship, each with its place in [`Source::tokens`].
    pub(crate) fn product_tokens(&self) -> impl Iterator<Item = (usize, &Token)> {
        self.tokens.iter().enumerate().filter(|(_, token)| !self.is_test(token.lines.0))
    }
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }

    pub(crate) fn line(&self) -> usize {
        self.lines.0
    }
}

/// Whether the tokens from `at` on read `words`.
pub(crate) fn reads(tokens: &[Token], at: usize, words: &[&str]) -> bool {
    tokens
        .get(at..at + words.len())
        .is_some_and(|found| found.iter().zip(words).all(|(token, word)| token.is(word)))
}

/// The place behind the delimiter that closes the one at `open`.
pub(crate) fn behind_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Whether the attributes make an item part of tests only.
pub(crate) fn marks_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let named_test = path.segments.last().is_some_and(|segment| segment.ident == "test");
        named_test || (path.is_ident("cfg") && is_cfg_test(attribute))
    })
}

/// Reads `#[cfg(test)]` and `#[cfg(all(test, ...))]`, but not `#[cfg(not(test))]`.
fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.parse_args::<TokenStream>().is_ok_and(|stream| {
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let has = |word| tokens.iter().any(|token: &Token| token.is(word));
        has("test") && !has("not") && !has("any")
    })
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let span = tree.span();
        let lines = (span.start().line, span.end().line);
        match tree {
            TokenTree::Ident(ident) => push(tokens, Kind::Ident, ident.to_string(), lines),
            TokenTree::Punct(punct) => push(tokens, Kind::Punct, punct.to_string(), lines),
            TokenTree::Literal(literal) => push(tokens, Kind::Literal, literal.to_string(), lines),
            TokenTree::Group(group) => {
                let (open, close) = delimiters(group.delimiter());
                push(tokens, Kind::Open, open.to_owned(), (lines.0, lines.0));
                flatten(group.stream(), tokens);
                push(tokens, Kind::Close, close.to_owned(), (lines.1, lines.1));
            }
        }
    }
}

fn push(tokens: &mut Vec<Token>, kind: Kind, text: String, lines: (usize, usize)) {
    tokens.push(Token { kind, text, lines });
}

fn delimiters(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

#[derive(Default)]
struct TestItems {
    lines: Vec<RangeInclusive<usize>>,
}

impl TestItems {
    fn add_if_test(&mut self, attributes: &[syn::Attribute], item: &dyn Spanned) {
        if marks_test(attributes) {
            let span = item.span();
            self.lines.push(span.start().line..=span.end().line);
        }
    }
}

impl<'ast> Visit<'ast> for TestItems {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.add_if_test(&item.attrs, item);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add_if_test(&item.attrs, item);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.add_if_test(&item.attrs, item);
        visit::visit_item_impl(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add_if_test(&item.attrs, item);
        visit::visit_impl_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn ships() {}\n#[cfg(test)]\nmod tests {\n    fn helper() {}\n}\n";

    #[test]
    fn a_test_module_is_no_product() {
        let source = Source::parse("crates/core/src/a.rs", TEXT).unwrap();
        assert!(!source.is_test(1));
        assert!(source.is_test(4));
        assert!(source.product_tokens().all(|(_, token)| !token.is("helper")));
    }

    #[test]
    fn a_tests_file_is_no_product() {
        assert!(Source::parse("crates/core/src/a/tests.rs", TEXT).unwrap().is_test(1));
        assert!(Source::parse("crates/core/tests/golden.rs", TEXT).unwrap().is_test(1));
    }

    #[test]
    fn what_is_compiled_outside_tests_only_is_product() {
        let text = "#[cfg(not(test))]\nmod real { fn f() {} }";
        assert!(!Source::parse("crates/core/src/a.rs", text).unwrap().is_test(2));
    }

    #[test]
    fn tokens_reach_into_macros_and_not_into_strings() {
        let text = "fn f() { call!(inner); let s = \"quoted\"; }";
        let source = Source::parse("a.rs", text).unwrap();
        assert!(source.tokens.iter().any(|token| token.is("inner")));
        assert!(!source.tokens.iter().any(|token| token.is("quoted")));
    }

    #[test]
    fn a_file_that_does_not_parse_is_named() {
        let error = Source::parse("bad.rs", "fn (").err().unwrap();
        assert!(error.starts_with("bad.rs does not parse"), "{error}");
    }
}
