#![expect(unreachable_pub, dead_code, reason = "the macros declare what a crate exports")]

use std::collections::BTreeMap;

use super::*;
use crate::{
    diagnostic::{Diagnostics, code::Code},
    json,
    source::{SourceFile, Sources},
    value::units::Duration,
};

object! {
    /// A pool.
    pub struct Pool short "size" {
        /// How many.
        required "size" size: Integer<1, 9>,
        /// How long.
        optional "idle" idle: Duration,
        /// How much it says.
        optional "mode" mode: Mode,
    }
}

keyword! {
    /// Modes.
    pub enum Mode {
        /// Little.
        Quiet = "quiet",
        /// Much.
        Loud = "loud",
    }
}

fn decode<T: Shape>(text: &str, env: &[(&str, &str)], lax: bool) -> (Option<T>, Diagnostics) {
    let mut sources = Sources::default();
    let file = sources.add(SourceFile::new("a.json", text));
    let mut diagnostics = Diagnostics::default();
    let value = json::parse(file, text, &mut diagnostics).unwrap();
    let env: BTreeMap<_, _> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let decoded = T::decode(&value, &mut Decoder::new(&mut diagnostics, &env, lax));
    (decoded, diagnostics)
}

fn codes(diagnostics: &Diagnostics) -> Vec<Code> {
    diagnostics.sorted().iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn all_problems_of_an_object_are_reported() {
    let text = r#"{ "idle": 5, "mode": "lowd", "sise": 1 }"#;
    let (pool, diagnostics) = decode::<Pool>(text, &[], false);
    assert!(pool.is_none());
    let expected = [Code::MissingKey, Code::BadUnit, Code::BadValue, Code::UnknownKey];
    assert_eq!(codes(&diagnostics), expected);
}

#[test]
fn a_bare_value_stands_for_the_object() {
    let (pool, diagnostics) = decode::<Pool>("3", &[], false);
    assert_eq!(pool.unwrap().size.get(), 3);
    assert!(diagnostics.is_empty());
}

#[test]
fn schema_and_comment_are_ignored_everywhere() {
    let text = r#"{ "$schema": "x", "comment": ["y"], "size": 1 }"#;
    assert!(decode::<Pool>(text, &[], false).0.is_some());
}

#[test]
fn variables_are_filled_in_and_can_be_escaped() {
    let env = [("A", "1"), ("EMPTY", "")];
    let text = |written: &str| decode::<String>(written, &env, false).0;
    assert_eq!(text(r#""x${A}y""#).as_deref(), Some("x1y"));
    assert_eq!(text(r#""${B:-2}${A:-3}${EMPTY:-4}""#).as_deref(), Some("214"));
    assert_eq!(text(r#""$${A} $5 $""#).as_deref(), Some("${A} $5 $"));
    assert_eq!(text(r#""${EMPTY}""#).as_deref(), Some(""));
}

#[test]
fn an_unset_variable_is_an_error_or_one_tolerated_warning() {
    let (strict, diagnostics) = decode::<Duration>(r#""${D}""#, &[], false);
    assert!(strict.is_none() && diagnostics.has_errors());
    let (lax, diagnostics) = decode::<Duration>(r#""${D}""#, &[], true);
    assert!(lax.is_some() && !diagnostics.has_errors());
    assert_eq!(codes(&diagnostics), [Code::UnsetVariable]);
    let (lax, _) = decode::<String>(r#""a${D}""#, &[], true);
    assert_eq!(lax.as_deref(), Some("a${D}"));
}

#[test]
fn the_value_of_a_variable_is_never_repeated() {
    for text in [r#"{ "size": 1, "idle": "${S}" }"#, r#"{ "size": 1, "mode": "${S}" }"#] {
        let (_, diagnostics) = decode::<Pool>(text, &[("S", "hunter2")], false);
        assert!(!format!("{:?}", diagnostics.sorted()).contains("hunter2"));
    }
}

#[test]
fn the_schema_describes_keys_and_forbids_others() {
    let schema = schema::document::<Pool>("pool");
    let pool = &schema["$defs"]["Pool"];
    assert_eq!(pool["description"], "A pool.");
    assert_eq!(pool["required"], serde_json::json!(["size"]));
    assert_eq!(pool["additionalProperties"], false);
    assert_eq!(pool["properties"]["idle"]["description"], "How long.");
}
