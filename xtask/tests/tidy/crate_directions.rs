//! Which crate may depend on which, and what no crate may pull in.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::packages::{table, value};
use crate::repository::Repository;
use crate::violation::Violation;

/// Judges the manifests under `crates/` and the lock file.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let mut violations = Vec::new();
    for dir in repository.crates() {
        let path = format!("{dir}/Cargo.toml");
        let text = repository.text(&path).unwrap_or_default();
        violations.extend(check_manifest(&path, text));
    }
    violations.extend(check_lock(repository.text("Cargo.lock").unwrap_or_default()));
    violations
}

fn check_manifest(path: &str, text: &str) -> Vec<Violation> {
    let manifest = table(text);
    let package = value(&manifest, &["package", "name"]).and_then(Value::as_str).unwrap_or(path);
    let Some((_, allowed)) = DIRECTIONS.iter().find(|(name, _)| *name == package) else {
        let message = format!("no direction is agreed for the package `{package}`");
        return vec![violation(path, 1, message, "give it a line in DIRECTIONS of this rule")];
    };
    let climbs = workspace_dependencies(&manifest).into_iter().filter(|(dependency, is_dev)| {
        let for_tests = *is_dev && dependency == FIXTURES;
        !for_tests && !allowed.contains(&dependency.as_str())
    });
    climbs
        .map(|(dependency, _)| {
            let message = format!("`{package}` depends on `{dependency}`, against the directions");
            let way_out = "pass data or a trait of `vane-core`; only `vaned` knows all crates";
            violation(path, line_of(text, &dependency), message, way_out)
        })
        .collect()
}

/// Our own packages among the dependencies of a manifest, and whether only tests use them.
fn workspace_dependencies(manifest: &Table) -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    let targets = value(manifest, &["target"]).and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(|targets| targets.values());
    for table in targets.filter_map(Value::as_table).chain([manifest]) {
        for (kind, is_dev) in KINDS {
            let dependencies = table.get(kind).and_then(Value::as_table);
            for (key, dependency) in dependencies.into_iter().flatten() {
                let renamed = dependency.get("package").and_then(Value::as_str);
                let name = renamed.unwrap_or(key);
                if OURS.contains(&name) || DIRECTIONS.iter().any(|(package, _)| *package == name) {
                    found.insert((name.to_owned(), is_dev));
                }
            }
        }
    }
    found
}

fn check_lock(text: &str) -> Vec<Violation> {
    let lock = Lock::read(text);
    let mut violations = Vec::new();
    for banned in NOWHERE {
        if lock.dependencies.contains_key(banned) {
            let message = format!("`{banned}` is in the tree");
            let way_out = "TLS is rustls alone; turn off the feature that brings it";
            violations.push(violation("Cargo.lock", lock.line_of(banned), message, way_out));
        }
    }
    for banned in NOT_IN_CORE {
        if let Some(chain) = lock.chain(CORE, banned) {
            let message = format!("`{CORE}` pulls in `{banned}`: {}", chain.join(" -> "));
            let way_out = "core does no I/O: take the data as an argument";
            violations.push(violation("Cargo.lock", lock.line_of(banned), message, way_out));
        }
    }
    violations
}

/// Names of locked packages with the names they depend on; versions do not matter here.
struct Lock<'a> {
    text: &'a str,
    dependencies: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Lock<'a> {
    fn read(text: &'a str) -> Self {
        let lock = table(text);
        let packages = lock.get("package").and_then(Value::as_array);
        let mut dependencies: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for package in packages.into_iter().flatten() {
            let Some(name) = package.get("name").and_then(Value::as_str) else { continue };
            let needs = package.get("dependencies").and_then(Value::as_array);
            let needs = needs.into_iter().flatten().filter_map(Value::as_str);
            let names = needs.filter_map(|need| need.split(' ').next()).map(str::to_owned);
            dependencies.entry(name.to_owned()).or_default().extend(names);
        }
        Self { text, dependencies }
    }

    /// How `from` comes to depend on `to`.
    fn chain(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut seen = BTreeSet::from([from.to_owned()]);
        let mut chains = vec![vec![from.to_owned()]];
        while let Some(chain) = chains.pop() {
            let last = chain.last()?;
            if last == to {
                return Some(chain);
            }
            for next in self.dependencies.get(last).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    chains.push(chain.iter().chain([next]).cloned().collect());
                }
            }
        }
        None
    }

    fn line_of(&self, package: &str) -> usize {
        line_of(self.text, &format!("name = \"{package}\""))
    }
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).map_or(1, |at| at + 1)
}

fn violation(path: &str, line: usize, message: String, way_out: &str) -> Violation {
    let way_out = way_out.to_owned();
    Violation { path: path.to_owned(), line, rule: "crate-direction", message, way_out }
}

const CORE: &str = "vane-core";
const FIXTURES: &str = "integration";
const OURS: [&str; 3] = [FIXTURES, "bench", "xtask"];
const DIRECTIONS: [(&str, &[&str]); 6] = [
    (CORE, &[]),
    ("vane-mgmt", &[]),
    ("vane-engine", &[CORE]),
    ("vane-wasm", &[CORE]),
    ("vaned", &[CORE, "vane-engine", "vane-mgmt", "vane-wasm"]),
    ("vane", &[CORE, "vane-mgmt"]),
];
const KINDS: [(&str, bool); 3] =
    [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
const NOWHERE: [&str; 3] = ["openssl", "openssl-sys", "native-tls"];
const NOT_IN_CORE: [&str; 2] = ["tokio", "mio"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agreed_directions_are_fine() {
        assert_eq!(manifest("vaned", "[dependencies]\nvane-engine.workspace = true"), [""; 0]);
        assert_eq!(manifest("vane-mgmt", "[dev-dependencies]\nintegration = {}"), [""; 0]);
    }

    #[test]
    fn a_dependency_against_the_direction_is_refused() {
        let message = "`vane-engine` depends on `vane-mgmt`, against the directions";
        let engine = |text| manifest("vane-engine", text);
        assert_eq!(engine("[dependencies]\nvane-mgmt.workspace = true"), [message]);
        assert_eq!(engine("[dependencies]\nm = { package = \"vane-mgmt\" }"), [message]);
        assert_eq!(engine("[target.'cfg(unix)'.dependencies]\nvane-mgmt = {}"), [message]);
        assert_eq!(engine("[dependencies]\nintegration = {}").len(), 1);
    }

    #[test]
    fn a_new_crate_wants_a_direction() {
        assert_eq!(
            manifest("vane-extra", ""),
            ["no direction is agreed for the package `vane-extra`"]
        );
    }

    #[test]
    fn the_core_pulls_in_no_runtime_however_far_away() {
        let lock = [("vane-core", "a"), ("a", "b 1.0.0"), ("b", "tokio"), ("tokio", "b 1.0.0")];
        assert_eq!(locked(&lock), ["`vane-core` pulls in `tokio`: vane-core -> a -> b -> tokio"]);
        assert_eq!(locked(&[("vane-core", "a"), ("vaned", "tokio"), ("tokio", "a")]), [""; 0]);
    }

    #[test]
    fn openssl_is_nowhere() {
        assert_eq!(locked(&[("openssl-sys", "cc")]), ["`openssl-sys` is in the tree"]);
    }

    fn manifest(name: &str, text: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n{text}");
        messages(check_manifest("crates/x/Cargo.toml", &text))
    }

    fn locked(packages: &[(&str, &str)]) -> Vec<String> {
        let package = |(name, needs): &(&str, &str)| {
            format!("[[package]]\nname = \"{name}\"\ndependencies = [\"{needs}\"]\n")
        };
        messages(check_lock(&packages.iter().map(package).collect::<String>()))
    }

    fn messages(violations: Vec<Violation>) -> Vec<String> {
        violations.into_iter().map(|violation| violation.message).collect()
    }
}
