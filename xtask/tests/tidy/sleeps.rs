//! A sleep waits for nothing in particular: too short on a slow machine, too long on a fast one.

use crate::repository::Repository;
use crate::source::{Source, Token, reads};
use crate::violation::Violation;

/// Finds sleeps outside [`ALLOWED`].
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let files = repository.sources().iter().filter(|source| source.path != ALLOWED);
    files.flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<Violation> {
    let mut in_use = false;
    let mut violations = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        in_use = (in_use || token.is("use")) && !token.is(";");
        if SLEEPS.iter().any(|name| token.is(name)) && is_named(&source.tokens, at, in_use) {
            violations.push(Violation {
                path: source.path.clone(),
                line: token.line(),
                rule: "sleep",
                message: format!("`{}` as a delay", token.text),
                way_out: format!(
                    "wait for what you wait for ({ALLOWED}), use `sleep_until` or \
                                  `timeout` with a deadline, or pause tokio's clock"
                ),
            });
        }
    }
    violations
}

/// Whether the word means the function: in a path, an import or a call, and not as a method, a
/// field, a local or a function of our own.
fn is_named(tokens: &[Token], at: usize, in_use: bool) -> bool {
    let behind = |word| at > 0 && tokens[at - 1].is(word);
    let is_path = at > 1 && reads(tokens, at - 2, &[":", ":"]);
    let is_call = reads(tokens, at + 1, &["("]);
    in_use || is_path || (is_call && !behind(".") && !behind("fn"))
}

const ALLOWED: &str = "integration/src/wait.rs";
const SLEEPS: [&str; 4] = ["sleep", "sleep_ms", "park_timeout", "park_timeout_ms"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_found_under_each_spelling() {
        assert_eq!(count("fn f() { std::thread::sleep(d); }"), 1);
        assert_eq!(count("async fn f() { tokio::time::sleep(d).await; }"), 1);
        assert_eq!(count("use tokio::time::{self, sleep};"), 1);
        assert_eq!(count("fn f() { sleep(d); }"), 1);
        assert_eq!(count("fn f() { thread::park_timeout(d); }"), 1);
        assert_eq!(count("async fn f() { tokio::select! { _ = time::sleep(d) => {} } }"), 1);
    }

    #[test]
    fn other_things_of_that_name_are_not_meant() {
        assert_eq!(count("fn f() { let sleep = time::sleep_until(at); drop(sleep); }"), 0);
        assert_eq!(count("fn f(this: X) { this.sleep(1); this.sleep.reset(); }"), 0);
        assert_eq!(count("const WORDS: &str = \"thread::sleep(d)\"; // sleep(d)"), 0);
    }

    #[test]
    fn the_waiting_helper_may() {
        let files = [(ALLOWED.to_owned(), "fn f() { tokio::time::sleep(d); }".to_owned())];
        assert!(check(&Repository::of(files)).is_empty());
    }

    fn count(text: &str) -> usize {
        let files = [("crates/x/src/a.rs".to_owned(), text.to_owned())];
        check(&Repository::of(files)).len()
    }
}
