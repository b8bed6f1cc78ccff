//! Whatever stands in a configuration directory, the compiler answers with a graph or with
//! problems, both of which can be shown, and the same way each time.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use vane_core::compile::{Compiled, Families, Options, compile};
use vane_core::diagnostic::render;
use vane_core::load::{Files, RawContent, RawFile};

fuzz_target!(|bytes: &[u8]| {
    // The first NUL parts config.json from a rules file.
    let (config, rules) = match bytes.iter().position(|&byte| byte == 0) {
        Some(at) => (Some(&bytes[..at]), &bytes[at + 1..]),
        None => (None, bytes),
    };
    let file = |path: &str, bytes: &[u8]| RawFile {
        path: path.to_owned(),
        content: RawContent::Bytes(bytes.to_vec()),
    };
    let files = Files {
        config: config.map(|bytes| file("config.json", bytes)),
        rules: vec![file("rules/a.json", rules)],
        ..Files::default()
    };
    let (first, second) = (compiled(&files), compiled(&files));
    assert_eq!(first.graph.is_none(), first.diagnostics.has_errors());
    assert_eq!(
        render::text(&first.diagnostics, &first.sources, false),
        render::text(&second.diagnostics, &second.sources, false),
    );
    let hash = |compiled: &Compiled| compiled.graph.as_ref().map(|graph| graph.hash);
    assert_eq!(hash(&first), hash(&second));
});

fn compiled(files: &Files) -> Compiled {
    let env = BTreeMap::from([("NAME".to_owned(), "value".to_owned())]);
    let families = Families { ipv4: true, ipv6: true };
    compile(files, &Options { env, families, ..Options::default() })
}
