//! Every configuration under `examples/`, and the one that the container image comes with, compiles.

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use vane_core::{
    compile::{Options, compile},
    diagnostic::render,
    load::{Files, RawContent, RawFile},
};

#[test]
fn every_example_compiles_without_a_warning() {
    let examples = configurations();
    assert!(examples.len() >= 9, "{examples:?}");
    for example in examples {
        let compiled = compile(&files(&example), &Options::default());
        let said = render::text(&compiled.diagnostics, &compiled.sources, false);
        let errors = compiled.diagnostics.has_errors();
        assert!(!errors, "{}:\n{said}", example.display());
        assert!(said.is_empty(), "{}:\n{said}", example.display());
    }
}

#[test]
fn every_file_that_an_example_answers_with_is_beside_it() {
    for example in configurations() {
        for file in rule_files(&example) {
            let text = fs::read_to_string(example.join(&file)).unwrap();
            let named = text.split("\"body_file\": \"").skip(1);
            for name in named.filter_map(|rest| rest.split('"').next()) {
                assert!(example.join(name).is_file(), "{file}: {name}");
            }
        }
    }
}

/// The directories with rules. An example of several daemons has one for each.
fn configurations() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let examples = directories(&root.join("examples"));
    let parts: Vec<_> = examples.iter().flat_map(|example| directories(example)).collect();
    let candidates = examples.into_iter().chain(parts).chain([root.join("container/etc/vaned")]);
    candidates.filter(|candidate| candidate.join("rules").is_dir()).collect()
}

fn files(example: &Path) -> Files {
    let rules = rule_files(example).into_iter().map(|path| raw(example, &path).unwrap()).collect();
    Files { config: raw(example, "config.json"), rules, env_file: None, env_problems: Vec::new() }
}

fn rule_files(example: &Path) -> Vec<String> {
    let entries = fs::read_dir(example.join("rules")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("rules/{name}")).collect()
}

fn raw(example: &Path, path: &str) -> Option<RawFile> {
    let bytes = fs::read(example.join(path)).ok()?;
    Some(RawFile { path: path.to_owned(), content: RawContent::Bytes(bytes) })
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut directories: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    directories.sort();
    directories
}
