use super::*;

fn file(path: &str, text: &str) -> RawFile {
    RawFile { path: path.into(), content: RawContent::Bytes(text.into()) }
}

fn load(files: &Files) -> (Written, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let options = LoadOptions::default();
    let written = written(files, &BTreeMap::new(), options, &mut diagnostics);
    (written, diagnostics)
}

#[test]
fn rules_come_in_the_lexical_order_of_their_files() {
    let rule = |name: &str| format!(r#"{{ "name": "{name}", "close": true }}"#);
    let rules = vec![
        file("rules/b.json", &format!("[{}, {}]", rule("two"), rule("three"))),
        file("rules/a.json", &rule("one")),
    ];
    let (written, diagnostics) = load(&Files { rules, ..Files::default() });
    assert!(diagnostics.is_empty());
    let names: Vec<_> = written.rules.iter().map(|rule| rule.value.name.value.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
}

#[test]
fn a_rule_with_a_problem_leaves_the_others_in_place() {
    let text = r#"[{ "name": "a", "close": true }, { "name": "b", "close": 1 }]"#;
    let rules = vec![file("rules/a.json", text)];
    let (written, diagnostics) = load(&Files { rules, ..Files::default() });
    assert_eq!(written.rules.len(), 1);
    assert!(written.incomplete && diagnostics.has_errors());
}

#[test]
fn a_directory_without_rules_is_a_warning() {
    let (written, diagnostics) = load(&Files::default());
    assert!(!diagnostics.has_errors() && !diagnostics.is_empty());
    assert!(!written.incomplete);
}

#[test]
fn a_line_of_the_env_file_is_never_quoted() {
    let files = Files {
        env_file: Some(file(".env", "A=1\nhunter2 secret\n")),
        env_problems: vec![EnvProblem { line: "hunter2 secret".into() }],
        ..Files::default()
    };
    let (written, diagnostics) = load(&files);
    let text = crate::diagnostic::render::text(&diagnostics, &written.sources, false);
    assert!(text.contains(".env:2:1"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn sixteen_mebibytes_of_brackets_commas_or_keys_end_in_a_diagnostic() {
    for unit in ["[", "{\"a\":", "[],", "{},", "\"a\":1,"] {
        let text = unit.repeat(MAX_FILE_BYTES as usize / unit.len() / 8);
        let rules = vec![file("rules/a.json", &text)];
        let (_, diagnostics) = load(&Files { rules, ..Files::default() });
        assert!(diagnostics.has_errors());
    }
}

#[test]
fn nothing_long_is_repeated_in_full() {
    let long = "x".repeat(100_000);
    for text in [
        format!(r#"{{ "name": "a", "{long}": 1, "{long}": 2 }}"#),
        format!(r#"{{ "name": "{long} " }}"#),
        format!(r#"{{ "name": "a", "listen": "{long}" }}"#),
        format!(r#"{{ "name": "a", "max_body": "1{long}" }}"#),
        format!(r#"{{ "name": "a", "match": {{ "http.headers.{long}": {{ "{long}": 1 }} }} }}"#),
        format!(r#"{{ "name": "a", "redirect": "{{http.headers.{long}}}" }}"#),
        format!(r#"{{ "name": "${{{long}}}${{a.{long}}}" }}"#),
        format!(r#"{{ "name": "a", "match": {{ "http.path": {{ "regex": "({long}" }} }} }}"#),
        format!("[ {long} ]"),
    ] {
        let rules = vec![file("rules/a.json", &text)];
        let (written, diagnostics) = load(&Files { rules, ..Files::default() });
        assert!(diagnostics.has_errors());
        let shown = crate::diagnostic::render::text(&diagnostics, &written.sources, false);
        assert!(shown.len() < 5000, "{} of {}", shown.len(), &text[..40]);
    }
}
