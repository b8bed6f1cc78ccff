use super::*;
use crate::diagnostic::code::Code;
use crate::source::{SourceFile, Sources};

fn parse_text(text: &str) -> (Option<Value<'_>>, Diagnostics) {
    let mut sources = Sources::default();
    let file = sources.add(SourceFile::new("a.json", text));
    let mut diagnostics = Diagnostics::default();
    let value = parse(file, text, &mut diagnostics);
    (value, diagnostics)
}

fn complaint(text: &str) -> String {
    let (value, diagnostics) = parse_text(text);
    assert!(value.is_none(), "{text}");
    let sorted = diagnostics.sorted();
    assert_eq!(sorted.len(), 1, "{text}");
    format!("{} {}", sorted[0].message, sorted[0].help.join(" "))
}

#[test]
fn every_value_knows_its_place() {
    let (value, _) = parse_text(r#" {"a": [1, "x"]} "#);
    let value = value.unwrap();
    assert_eq!(value.span.range(), 1..16);
    let list = value.get("a").unwrap();
    assert_eq!(list.span.range(), 7..15);
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert!(parse_text("\u{feff}[]").0.is_some());
}

#[test]
fn a_place_inside_a_plain_string_is_exact_and_inside_an_escaped_one_is_the_whole() {
    let plain = parse_text(r#""abc""#).0.unwrap();
    assert_eq!(plain.span_within(1..2).range(), 2..3);
    let escaped = parse_text(r#""\u0061bc""#).0.unwrap();
    assert_eq!(escaped.span_within(1..2), escaped.span);
}

#[test]
fn mistakes_from_other_languages_are_recognised() {
    for (text, hint) in [
        ("[1,]", "trailing comma"),
        ("{\"a\": 1,}", "trailing comma"),
        ("// x\n[]", "comments"),
        ("[] // x", "comments"),
        ("['a']", "double quotes only"),
        ("{a: 1}", "keys are written in double quotes"),
        ("{\"a\": 1 \"b\": 2}", "separated by commas"),
        ("[1 2]", "separated by commas"),
        ("[True]", "write `true`"),
        ("[NaN]", "finite"),
        ("[abc]", "double quotes"),
        ("[+1]", "leading `+`"),
        ("[\"a\tb\"]", "`\\t`"),
        ("[\"a\nb\"]", "`\\n`"),
        (r#"["\x"]"#, "backslash"),
        (r#"["\ud800"]"#, "surrogate"),
        (r#"["\ud800\u0041"]"#, "surrogate"),
        (r#"["\u12"]"#, "four hexadecimal"),
        ("{} {}", "several rules"),
        ("", "empty list"),
        ("[01]", "starts with a zero"),
        ("[1.]", "decimal point"),
        ("[1e]", "exponent"),
        ("[-]", "digit"),
    ] {
        let found = complaint(text);
        assert!(found.contains(hint), "{text}: {found}");
    }
}

#[test]
fn surrogate_pairs_and_escapes_are_decoded() {
    let value = parse_text(r#""\ud83d\ude00\n\/""#).0.unwrap();
    assert_eq!(value.kind, ValueKind::String("😀\n/".into()));
}

#[test]
fn sixty_four_levels_are_fine_and_one_more_is_not() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse_text(&nested(MAX_DEPTH)).0.is_some());
    let too_deep = nested(MAX_DEPTH + 1);
    let (value, diagnostics) = parse_text(&too_deep);
    assert!(value.is_none());
    assert_eq!(diagnostics.sorted()[0].code, Code::NestingTooDeep);
    assert!(parse_text(&"[".repeat(1_000_000)).0.is_none());
}

#[test]
fn a_duplicate_key_is_found_in_small_and_in_large_objects() {
    for size in [1, 100] {
        let members: Vec<_> = (0..size).map(|n| format!("\"k{n}\": 1")).collect();
        let text = format!("{{{}, \"k0\": 2}}", members.join(", "));
        let (value, diagnostics) = parse_text(&text);
        assert!(value.is_some());
        assert_eq!(diagnostics.sorted()[0].code, Code::DuplicateKey);
        assert_eq!(diagnostics.sorted()[0].secondary.len(), 1);
    }
}
