//! Configurations of any size.

use std::fmt::Write as _;

use vane_core::compile::{Compiled, Families, Options, compile};
use vane_core::load::{Files, RawContent, RawFile};

/// The text of a rules file with `count` rules over half as many hosts, each host with one rule
/// for a path prefix and one for the rest.
pub(crate) fn text(count: usize) -> String {
    let mut text = String::from("[\n");
    for index in 0..count {
        let host = format!("host{}.example.com", index / 2);
        let matching = if index % 2 == 0 {
            format!(
                r#"{{ "http.host": "{host}", "http.path": {{ "prefix": "/api/v{}" }} }}"#,
                index % 7
            )
        } else {
            format!(r#"{{ "http.host": "{host}" }}"#)
        };
        let comma = if index + 1 == count { "" } else { "," };
        writeln!(
            text,
            r#"  {{ "name": "rule{index}", "listen": "127.0.0.1:8080", "match": {matching}, "forward": "http://127.0.0.1:{}" }}{comma}"#,
            9000 + index % 100,
        )
        .expect("writing to a String cannot fail");
    }
    text.push_str("]\n");
    text
}

/// Compiles one rules file.
pub(crate) fn compiled(text: &str) -> Compiled {
    let content = RawContent::Bytes(text.as_bytes().to_vec());
    let file = RawFile { path: "rules/generated.json".to_owned(), content };
    let files = Files { rules: vec![file], ..Files::default() };
    let families = Families { ipv4: true, ipv6: true };
    compile(&files, &Options { families, ..Options::default() })
}
