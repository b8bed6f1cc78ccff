//! The lints of the workspace hold in every package only if each manifest takes them.

use toml::Table;

use crate::repository::Repository;
use crate::violation::Violation;

/// Finds packages that do not inherit the lints, and a workspace that does not forbid unsafe code.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let manifests = repository
        .texts
        .iter()
        .filter(|text| text.path.ends_with("/Cargo.toml") && !text.path.starts_with(OUTSIDE));
    let packages = manifests.filter(|text| !inherits(&table(&text.text)));
    let mut violations: Vec<_> = packages
        .map(|text| {
            let message = "the package does not inherit the lints of the workspace";
            violation(&text.path, message, "add `[lints]` with `workspace = true`")
        })
        .collect();
    let root = table(repository.text("Cargo.toml").unwrap_or_default());
    if value(&root, &["workspace", "lints", "rust", "unsafe_code"]) != Some(&"forbid".into()) {
        let message = "the workspace does not forbid unsafe code";
        let way_out = "set `unsafe_code = \"forbid\"` in `[workspace.lints.rust]`";
        violations.push(violation("Cargo.toml", message, way_out));
    }
    violations
}

fn inherits(manifest: &Table) -> bool {
    value(manifest, &["lints", "workspace"]) == Some(&true.into())
}

/// A manifest; a broken one reads as empty, since cargo has refused it before any test.
pub(crate) fn table(text: &str) -> Table {
    text.parse().unwrap_or_default()
}

/// The value at a path of keys.
pub(crate) fn value<'a>(table: &'a Table, path: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn violation(path: &str, message: &str, way_out: &str) -> Violation {
    let (message, way_out) = (message.to_owned(), way_out.to_owned());
    Violation { path: path.to_owned(), line: 1, rule: "lints", message, way_out }
}

/// cargo-fuzz wants a workspace of its own, which has no lints to inherit from.
const OUTSIDE: &str = "fuzz/";

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: (&str, &str) = ("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"forbid\"");

    #[test]
    fn a_package_that_takes_the_lints_is_fine() {
        assert_eq!(count([ROOT, ("a/Cargo.toml", "[lints]\nworkspace = true")]), 0);
        assert_eq!(count([ROOT, ("a/Cargo.toml", "lints.workspace = true")]), 0);
    }

    #[test]
    fn a_package_with_lints_of_its_own_is_refused() {
        assert_eq!(count([ROOT, ("a/Cargo.toml", "[package]\nname = \"a\"")]), 1);
        assert_eq!(count([ROOT, ("a/Cargo.toml", "[lints.rust]\nunsafe_code = \"allow\"")]), 1);
    }

    #[test]
    fn a_workspace_that_only_denies_unsafe_code_is_refused() {
        let root = ("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"deny\"");
        assert_eq!(count([root, ("fuzz/Cargo.toml", "")]), 1);
    }

    fn count<const N: usize>(files: [(&str, &str); N]) -> usize {
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        check(&Repository::of(files)).len()
    }
}
