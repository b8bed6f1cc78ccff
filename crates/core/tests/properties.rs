//! Invariants that hold for any input.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::{borrow::Cow, collections::BTreeMap, fmt::Display};

use proptest::prelude::*;
use vane_core::{
    diagnostic::{Diagnostics, render},
    json::{self, Value, ValueKind},
    load::{self, Files, LoadOptions, RawContent, RawFile},
    source::{SourceFile, Sources},
    value::{
        cidr::Cidr,
        endpoint::Endpoint,
        host_pattern::HostPattern,
        listen_addr::ListenAddr,
        path,
        rate::Rate,
        template::Template,
        units::{ByteSize, Duration},
        url::UpstreamUrl,
    },
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_agrees_with_serde_json_on_what_json_is(text in nearly_json()) {
        let ours = parse(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Some(ours), Ok(theirs)) => prop_assert_eq!(&plain(ours), theirs, "{}", text),
            (None, Err(_)) => {}
            // A number too large for a double is still JSON, and so is a key that stands twice.
            (Some(_), Err(error)) => {
                prop_assert!(error.to_string().contains("out of range"), "{} {}", text, error);
            }
            (None, Ok(_)) => prop_assert!(false, "refused {text}"),
        }
    }

    #[test]
    fn the_parser_gives_the_value_that_serde_json_wrote(value in json_value()) {
        let compact = serde_json::to_string(&value).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(&plain(&parse(&compact).unwrap()), &value);
        prop_assert_eq!(&plain(&parse(&pretty).unwrap()), &value);
    }

    #[test]
    fn every_place_is_in_its_text_and_reads_as_the_value(value in json_value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let parsed = parse(&text).unwrap();
        let again = parse(&text[parsed.span.range()]).unwrap();
        prop_assert_eq!(plain(&again), value);
    }

    #[test]
    fn normalising_twice_is_normalising_once(path in "(/|%2[efEF]|%[0-9a-f]{2}|\\.|[a-z%é]){0,12}") {
        if let Ok(once) = path::normalise(&path) {
            let twice = path::normalise(&once);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
            prop_assert!(matches!(twice, Ok(Cow::Borrowed(_))));
        }
    }

    #[test]
    fn a_normal_path_has_no_dot_segments_and_starts_with_a_slash(path in "/(%2[eE]|\\.|/|a){0,12}") {
        let normal = path::normalise(&path).unwrap();
        prop_assert!(normal.starts_with('/'));
        prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
    }

    #[test]
    fn what_is_printed_parses_back(
        number in 1u64..100_000,
        unit in "ms|s|m|h|d|B|KiB|MiB|GiB",
        per in "[smh]",
        v4 in any::<std::net::Ipv4Addr>(),
        v6 in any::<std::net::Ipv6Addr>(),
        port in any::<u16>(),
        prefix in 0u8..=32,
    ) {
        round_trip(&format!("{number}{unit}"), |text| Duration::parse(text).ok())?;
        round_trip(&format!("{number}{unit}"), |text| ByteSize::parse(text).ok())?;
        round_trip(&format!("{number}/{per}"), |text| Rate::parse(text).ok())?;
        for host in [String::new(), v4.to_string(), format!("[{v6}]")] {
            for transport in ["", "tcp/", "udp/"] {
                round_trip(&format!("{transport}{host}:{port}"), |text| ListenAddr::parse(text).ok())?;
            }
            round_trip(&format!("{host}:{port}"), |text| Endpoint::parse(text).ok())?;
            round_trip(&format!("https://{host}:{port}/"), |text| UpstreamUrl::parse(text).ok())?;
            round_trip(&host, |text| HostPattern::parse(text).ok())?;
        }
        round_trip(&format!("{v4}/{prefix}"), |text| Cidr::parse(text).ok())?;
    }

    #[test]
    fn any_text_either_parses_to_what_prints_the_same_or_is_refused(text in ".{0,24}") {
        round_trip(&text, |text| Template::parse(text).ok())?;
        round_trip(&text, |text| HostPattern::parse(text).ok())?;
        round_trip(&text, |text| ListenAddr::parse(text).ok())?;
        round_trip(&text, |text| UpstreamUrl::parse(text).ok())?;
        round_trip(&text, |text| Duration::parse(text).ok())?;
    }

    #[test]
    fn any_bytes_as_rules_end_in_a_result_and_a_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        compile_and_render(bytes);
    }

    #[test]
    fn any_json_as_rules_ends_in_a_result_and_a_text(value in json_value()) {
        compile_and_render(serde_json::to_vec(&value).unwrap());
    }
}

fn compile_and_render(bytes: Vec<u8>) {
    let file = RawFile { path: "rules/a.json".into(), content: RawContent::Bytes(bytes) };
    let files = Files { rules: vec![file], ..Files::default() };
    let mut diagnostics = Diagnostics::default();
    let options = LoadOptions::default();
    let written = load::written(&files, &BTreeMap::new(), options, &mut diagnostics);
    render::text(&diagnostics, &written.sources, true);
    render::json(&diagnostics, &written.sources);
}

fn parse(text: &str) -> Option<Value<'_>> {
    let mut sources = Sources::default();
    let file = sources.add(SourceFile::new("a.json", text));
    json::parse(file, text, &mut Diagnostics::default())
}

fn plain(value: &Value) -> serde_json::Value {
    match &value.kind {
        ValueKind::Null => serde_json::Value::Null,
        ValueKind::Bool(value) => (*value).into(),
        ValueKind::Number(number) => serde_json::from_str(number).unwrap(),
        ValueKind::String(text) => (**text).into(),
        ValueKind::Array(items) => items.iter().map(plain).collect(),
        ValueKind::Object(members) => {
            members.iter().map(|member| (member.key.value.clone(), plain(&member.value))).collect()
        }
    }
}

fn round_trip<T: Display + PartialEq + std::fmt::Debug>(
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), TestCaseError> {
    if let Some(value) = parse(text) {
        prop_assert_eq!(parse(&value.to_string()), Some(value));
    }
    Ok(())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let keys = "name|listen|match|http\\.host|forward|to|use|close|.{0,6}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        keys.prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(keys, inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// JSON with up to three bytes changed, removed or added at places that matter.
fn nearly_json() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..3u8, "[\\[\\]{}\",:\\\\u0-9eE.+ \\-a-f\t\n]");
    (json_value(), prop::collection::vec(edit, 0..=3)).prop_map(|(value, edits)| {
        let mut characters: Vec<char> = value.to_string().chars().collect();
        for (place, kind, with) in edits {
            let at = place.index(characters.len() + 1);
            let with = with.chars().next().unwrap_or(' ');
            match (kind, at < characters.len()) {
                (0, true) => characters[at] = with,
                (1, true) => drop(characters.remove(at)),
                _ => characters.insert(at, with),
            }
        }
        without_duplicate_keys(characters.into_iter().collect())
    })
}

/// The two differ on keys that stand twice, on purpose: the first one is kept, and reported.
fn without_duplicate_keys(text: String) -> String {
    let mut sources = Sources::default();
    let file = sources.add(SourceFile::new("a.json", &*text));
    let mut diagnostics = Diagnostics::default();
    match json::parse(file, &text, &mut diagnostics) {
        Some(_) if !diagnostics.is_empty() => "{}".to_owned(),
        _ => text,
    }
}
