//! Any description of a request is understood or refused, and what is understood is explained.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vane_core::compile::{Families, Options, compile};
use vane_core::explain::{Described, explain};

use vane_core::graph::FlowGraph;
use vane_core::load::{Files, RawContent, RawFile};

const RULES: &[u8] = br#"[
  { "name": "a", "listen": ":80", "match": { "http.host": "*.example.com", "http.path": { "prefix": "/v1" } },
    "use": [ { "rewrite": { "strip_prefix": "/v1" } } ], "forward": "http://127.0.0.1:1" },
  { "name": "b", "listen": ":80", "match": { "http.query.q": { "regex": "^x" } }, "redirect": "https://{http.host}{http.uri}" },
  { "name": "c", "listen": ":80", "respond": { "body": "{http.cookie.a} {remote.ip}" } }
]"#;

fuzz_target!(|words: &str| {
    if let Ok(described) = Described::parse(words) {
        let _ = explain(graph(), &described);
    }
});

fn graph() -> &'static FlowGraph {
    static GRAPH: OnceLock<FlowGraph> = OnceLock::new();
    GRAPH.get_or_init(|| {
        let content = RawContent::Bytes(RULES.to_vec());
        let file = RawFile { path: "rules/a.json".to_owned(), content };
        let files = Files { rules: vec![file], ..Files::default() };
        let families = Families { ipv4: true, ipv6: true };
        let options = Options { families, ..Options::default() };
        compile(&files, &options).graph.expect("the rules above are valid")
    })
}
