//! One broken rule: where, which, and the way out.

use std::fmt;
use std::io::{self, Write};

/// A place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// From 1; 1 where the whole file is meant.
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    pub(crate) way_out: String,
}

/// Fails the running test with every violation, in order of files and lines.
pub(crate) fn refuse(mut violations: Vec<Violation>) {
    violations.sort();
    let count = violations.len();
    let text: String = violations.iter().map(|violation| format!("\n{violation}")).collect();
    assert!(violations.is_empty(), "{count} places break the rules of the house:\n{text}");
}

/// Tells the reader something that breaks no rule; seen even when the test passes.
pub(crate) fn note(text: &str) {
    // A reader that went away breaks no rule either.
    let _ = writeln!(io::stderr(), "note: {text}");
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message, way_out } = self;
        write!(f, "{path}:{line}: [{rule}] {message}\n    way out: {way_out}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_place_rule_and_way_out() {
        assert_eq!(
            example().to_string(),
            "crates/core/src/a.rs:7: [sleep] it sleeps\n    way out: wait for something"
        );
    }

    #[test]
    #[should_panic(expected = "1 places break the rules")]
    fn one_violation_fails_the_test() {
        refuse(vec![example()]);
    }

    #[test]
    fn no_violation_fails_nothing() {
        refuse(Vec::new());
    }

    fn example() -> Violation {
        Violation {
            path: "crates/core/src/a.rs".to_owned(),
            line: 7,
            rule: "sleep",
            message: "it sleeps".to_owned(),
            way_out: "wait for something".to_owned(),
        }
    }
}
