//! Commands that compile a directory in this process, or show what the compiler knows.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Daemon, Run, run, vane};

fn directory(rules: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    fs::create_dir(dir.path().join("rules")).expect("a directory can be made");
    fs::write(dir.path().join("rules/site.json"), rules).expect("a file can be written");
    dir
}

fn with(dir: &TempDir, args: &[&str]) -> Run {
    let path = dir.path().to_str().expect("a temporary directory has a UTF-8 name");
    let args: Vec<_> = args.iter().map(|arg| if *arg == "DIR" { path } else { arg }).collect();
    run(vane(&args).env("VANE_MGMT_UNIX", dir.path().join("vaned.sock")))
}

#[test]
fn a_valid_directory_is_summed_up() {
    let dir = directory(RULE);
    let run = with(&dir, &["check", "DIR"]);
    let expected = format!("{}: valid: 2 listeners, 1 rule, 0 warnings\n", dir.path().display());
    assert_eq!((0, expected, ""), (run.status, run.stdout, &*run.stderr));
}

#[test]
fn an_invalid_directory_has_status_one_and_says_where() {
    let dir = directory(r#"{ "name": "a", "listen": ":80", "respnd": { "status": 200 } }"#);
    let checked = with(&dir, &["check", "DIR"]);
    assert_eq!(1, checked.status);
    assert!(checked.stderr.contains("error[unknown-key]"), "{checked:?}");
    assert!(checked.stderr.contains("--> rules/site.json:1:33"), "{checked:?}");
    let checked = with(&dir, &["check", "DIR", "--json"]);
    let value: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (&json!(false), &json!("unknown-key")),
        (&value["ok"], &value["diagnostics"][0]["code"])
    );
}

#[test]
fn an_unset_variable_can_be_allowed() {
    let dir = directory(r#"{ "name": "a", "listen": ":80", "respond": { "body": "${NOT_SET}" } }"#);
    assert_eq!(1, with(&dir, &["check", "DIR"]).status);
    let run = with(&dir, &["check", "DIR", "--allow-unset"]);
    assert_eq!(0, run.status);
    assert!(run.stderr.contains("warning[unset-variable]"), "{run:?}");
}

#[test]
fn without_a_daemon_vane_compiles_and_says_so() {
    let dir = directory(RULE);
    let compiled = with(&dir, &["compile", "DIR"]);
    assert_eq!(0, compiled.status);
    assert!(compiled.stderr.starts_with("note: compiled by vane, since no daemon"), "{compiled:?}");
    assert!(compiled.stdout.contains("api"), "{compiled:?}");
    let compiled = with(&dir, &["compile", "DIR", "--json"]);
    let value: Value = serde_json::from_str(&compiled.stdout).unwrap();
    assert_eq!(json!(true), value["ok"]);
    assert_eq!("", compiled.stderr);
}

#[test]
fn a_request_is_explained_from_a_directory() {
    let dir = directory(RULE);
    let asked = &["explain", "GET http://api.example.com/v1/x", "--config", "DIR"];
    let explained = with(&dir, asked);
    assert_eq!((0, ""), (explained.status, &*explained.stderr));
    assert!(explained.stdout.contains("api"), "{explained:?}");
    let explained = with(&dir, &[&asked[..], &["--json", "-H", "X-Id: 7"]].concat());
    let value: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert!(value["walks"].is_array(), "{value}");
}

#[test]
fn what_the_daemon_serves_is_explained_with_a_word_where_its_directory_differs() {
    let dir = directory(RULE);
    let stats = json!({
        "version": "0.1.0", "pid": 1, "uptime_ms": 1, "config_dir": dir.path(), "state": "running",
        "generation": 1, "graph_hash": "00", "last_reload": null, "generations": [],
        "connections": { "open": 0, "total": 0, "refused_by_limit": {} }, "handshakes": {},
        "requests": { "active": 0, "total": 0 }, "bytes": { "received": 0, "sent": 0 },
        "upstream_retries": 0, "unverified_upstreams": [], "rules": 1, "warnings": 0
    });
    let daemon = Daemon::answering(move |_| Ok(stats.clone()));
    let run = daemon.vane(&["explain", "GET http://api.example.com/v1"]);
    assert_eq!(0, run.status, "{run:?}");
    assert!(run.stderr.starts_with("note: the directory compiles to something else"), "{run:?}");
    let run = run_without_daemon(&dir);
    assert_eq!(3, run.status);
}

fn run_without_daemon(dir: &TempDir) -> Run {
    with(dir, &["explain", "GET http://api.example.com/v1"])
}

#[test]
fn schemas_are_json() {
    for kind in ["config", "rules"] {
        let run = run(&mut vane(&["schema", kind]));
        let schema: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(json!("https://json-schema.org/draft/2020-12/schema"), schema["$schema"]);
    }
}

#[test]
fn fields_are_listed_with_their_layers() {
    let listed = run(&mut vane(&["fields"]));
    assert!(listed.stdout.contains("http.host"), "{listed:?}");
    let listed = run(&mut vane(&["fields", "--json"]));
    let fields: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(json!("connection"), fields[0]["layer"]);
}

#[test]
fn a_diagnostic_is_explained_and_a_slip_is_pointed_out() {
    let page = run(&mut vane(&["explain-error", "unknown-field"]));
    assert_eq!((0, ""), (page.status, &*page.stderr));
    assert!(page.stdout.contains("unknown-field"), "{page:?}");
    let slip = run(&mut vane(&["explain-error", "unknown-filed"]));
    assert_eq!(2, slip.status);
    assert!(slip.stderr.contains("did you mean `unknown-field`?"), "{slip:?}");
    let all = run(&mut vane(&["explain-error"]));
    assert!(all.stdout.contains("empty-config"), "{all:?}");
}

const RULE: &str = r#"
{ "name": "api", "listen": ":80", "match": { "http.path": { "prefix": "/v1" } },
  "respond": { "body": "ok" } }
"#;
