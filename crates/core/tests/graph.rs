//! What holds for every compiled graph.

use std::collections::HashMap;

use vane_core::{
    compile::{Options, compile},
    graph::{FlowGraph, dump},
    load::{Files, RawContent, RawFile},
};

#[test]
fn compiling_twice_gives_the_same_graph_byte_for_byte() {
    let text = r#"[
        { "name": "a", "listen": ":80", "match": [{ "http.host": ["a.example", "*.b.example", "c.example"] }, { "http.path": ["/1", "/2", "/3"] }], "forward": "http://127.0.0.1:1" },
        { "name": "b", "listen": [":80", ":81"], "match": { "http.path": { "prefix": ["/x", "/y", "/z"] }, "http.method": "GET" }, "respond": {} } ]"#;
    let (one, two) = (graph("rules/a.json", text), graph("rules/a.json", text));
    assert_eq!(dump::text(&one), dump::text(&two));
    assert_eq!(dump::json(&one).to_string(), dump::json(&two).to_string());
}

#[test]
fn every_meaning_has_its_own_hash() {
    let mut seen = HashMap::new();
    for text in VARIATIONS {
        let hash = graph("rules/a.json", text).hash;
        assert_eq!(seen.insert(hash, text), None, "{text}");
    }
}

#[test]
fn a_hash_knows_no_files_lines_or_spellings() {
    let one = graph(
        "rules/a.json",
        r#"{ "name": "a", "listen": ":80", "match": { "http.host": "a.example" }, "redirect": "/x" }"#,
    );
    let two = graph(
        "rules/other.json",
        "\n\n[ { \"comment\": \"the same\", \"redirect\": { \"status\": 308, \"to\": \"/x\" },
            \"match\": [ { \"http.host\": [\"A.Example\"] } ], \"name\": \"a\", \"listen\": [\"tcp/:80\"] } ]",
    );
    assert_eq!(one.hash, two.hash);
}

#[test]
fn both_families_of_one_entry_enter_at_one_node() {
    let graph = graph("rules/a.json", r#"{ "name": "a", "listen": ":443", "respond": {} }"#);
    let addresses: Vec<_> =
        graph.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses, ["0.0.0.0:443", "[::]:443"]);
    assert_eq!(graph.listeners[0].entry, graph.listeners[1].entry);
}

#[test]
fn an_error_leaves_no_graph_and_a_warning_does() {
    let none = compiled("rules/a.json", r#"{ "name": "a", "listen": ":80" }"#);
    assert!(none.graph.is_none() && none.diagnostics.has_errors());
    let some = compiled(
        "rules/a.json",
        r#"{ "name": "a", "listen": ":80", "match": { "http.method": "get" }, "respond": {} }"#,
    );
    assert!(some.graph.is_some() && some.diagnostics.warnings() == 1);
}

fn graph(path: &str, text: &str) -> FlowGraph {
    let compiled = compiled(path, text);
    let rendered =
        vane_core::diagnostic::render::text(&compiled.diagnostics, &compiled.sources, false);
    compiled.graph.unwrap_or_else(|| panic!("{rendered}"))
}

fn compiled(path: &str, text: &str) -> vane_core::compile::Compiled {
    let config = r#"{ "upstreams": { "app": "http://10.0.0.1", "api": "http://10.0.0.2" } }"#;
    let file = |path: &str, text: &str| RawFile {
        path: path.to_owned(),
        content: RawContent::Bytes(text.as_bytes().to_vec()),
    };
    let config = Some(file("config.json", config));
    let files = Files { config, rules: vec![file(path, text)], ..Files::default() };
    compile(&files, &Options::default())
}

const VARIATIONS: &[&str] = &[
    r#"{ "name": "a", "listen": ":80", "respond": {} }"#,
    r#"{ "name": "b", "listen": ":80", "respond": {} }"#,
    r#"{ "name": "a", "listen": ":81", "respond": {} }"#,
    r#"{ "name": "a", "listen": "0.0.0.0:80", "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "priority": 1, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "max_body": "1KiB", "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "b" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "c" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "b", "names": "x" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "b", "default": true }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "b", "min_version": "1.3" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "b", "client_auth": { "mode": "require", "ca_files": "c" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "tls": { "cert_file": "a", "key_file": "b", "client_auth": { "mode": "request", "ca_files": "c" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":81", "tls": { "names": "x", "acme": { "agree_tos": true } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":81", "tls": { "names": "x", "acme": { "agree_tos": true, "key_type": "rsa-2048" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":81", "tls": { "names": "x", "acme": { "agree_tos": true, "eab": { "key_id": "k", "hmac_key": "1" } } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":81", "tls": { "names": "x", "acme": { "agree_tos": true, "eab": { "key_id": "k", "hmac_key": "2" } } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "respond": { "status": 201 } }"#,
    r#"{ "name": "a", "listen": ":80", "respond": { "body": "x" } }"#,
    r#"{ "name": "a", "listen": ":80", "respond": { "body_file": "x" } }"#,
    r#"{ "name": "a", "listen": ":80", "respond": { "headers": { "x": "y" } } }"#,
    r#"{ "name": "a", "listen": ":80", "redirect": "/x" }"#,
    r#"{ "name": "a", "listen": ":80", "redirect": { "to": "/x", "status": 302 } }"#,
    r#"{ "name": "a", "listen": ":80", "close": true }"#,
    r#"{ "name": "a", "listen": ":80", "tunnel": "a:1" }"#,
    r#"{ "name": "a", "listen": ":80", "tunnel": { "to": "a:1", "timeout": { "idle": "1s" } } }"#,
    r#"{ "name": "a", "listen": ":80", "tunnel": { "to": "a:1", "timeout": { "connect": "1s" } } }"#,
    r#"{ "name": "a", "listen": ":80", "forward": "app" }"#,
    r#"{ "name": "a", "listen": ":80", "forward": "api" }"#,
    r#"{ "name": "a", "listen": ":80", "forward": "http://10.0.0.1" }"#,
    r#"{ "name": "a", "listen": ":80", "forward": { "to": "app", "host": "upstream" } }"#,
    r#"{ "name": "a", "listen": ":80", "forward": { "to": "app", "host": "{http.host}" } }"#,
    r#"{ "name": "a", "listen": ":80", "forward": { "to": "app", "version": "2" } }"#,
    r#"{ "name": "a", "listen": ":80", "forward": { "to": "app", "timeout": { "connect": "1s" } } }"#,
    r#"{ "name": "a", "listen": ":80", "forward": { "to": "app", "timeout": { "response": "1s" } } }"#,
    r#"{ "name": "a", "listen": ":80", "forward": { "to": "app", "timeout": { "idle": "1s" } } }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": "x" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": "*.x" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": { "prefix": "x" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": { "suffix": "x" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": { "contains": "x" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": { "regex": "x" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.host": { "not_equals": "x" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.path": "/x" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.path": { "prefix": "/x" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.header.x": { "exists": true } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.header.x": { "exists": false } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "http.query.x": { "exists": true } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "remote.ip": "10.0.0.1" }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "remote.ip": { "cidr": "10.0.0.0/8" } }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "remote.port": 1 }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "match": { "local.port": 1 }, "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rate_limit": { "rate": "1/s" } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rate_limit": { "rate": "1/m" } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rate_limit": { "rate": "1/s", "burst": 2 } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rate_limit": { "rate": "1/s", "status": 503 } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rate_limit": { "rate": "1/s", "per": "http.host" } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rewrite": { "path": "/x" } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rewrite": { "strip_prefix": "/x" } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rewrite": { "add_prefix": "/x" } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rewrite": { "replace": { "regex": "x", "with": "y" } } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "rewrite": { "replace": { "regex": "x", "with": "z" } } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "request_headers": { "set": { "x": "y" } } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "request_headers": { "add": { "x": "y" } } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "request_headers": { "remove": ["x"] } }], "respond": {} }"#,
    r#"{ "name": "a", "listen": ":80", "use": [{ "response_headers": { "remove": ["x"] } }], "respond": {} }"#,
];
