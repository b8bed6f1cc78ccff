//! Hard limits: lines of a file, lines of a function, arguments.

use syn::visit::Visit;

use crate::functions::Functions;
use crate::repository::Repository;
use crate::source::Source;
use crate::violation::Violation;

/// Finds what is over a limit in any Rust file.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    repository.sources().iter().flat_map(check_file).collect()
}

/// The files that come near the limit, in words.
pub(crate) fn near_misses(repository: &Repository) -> Vec<String> {
    let lengths = repository.sources().iter().map(|source| (&source.path, lines(source)));
    lengths
        .filter(|(_, lines)| (NOTED_FILE_LINES + 1..=FILE_LINES).contains(lines))
        .map(|(path, lines)| format!("{path} has {lines} lines of {FILE_LINES}"))
        .collect()
}

fn check_file(source: &Source) -> Vec<Violation> {
    let mut violations: Vec<_> = file_length(source).into_iter().collect();
    let mut functions = Functions::default();
    functions.visit_file(&source.syntax);
    for function in functions.found {
        let refuse = |message, way_out: &str| Violation {
            path: source.path.clone(),
            line: function.line,
            rule: "budget",
            message,
            way_out: way_out.to_owned(),
        };
        let (name, lines, arguments) = (&function.name, function.lines, function.arguments);
        if lines > FUNCTION_LINES {
            let message = format!("`{name}` has {lines} lines, over {FUNCTION_LINES}");
            violations.push(refuse(message, "split it into steps that can be named"));
        }
        if arguments > ARGUMENTS {
            let message = format!("`{name}` takes {arguments} arguments, over {ARGUMENTS}");
            violations.push(refuse(message, "gather what belongs together in a struct"));
        }
    }
    violations
}

fn file_length(source: &Source) -> Option<Violation> {
    let lines = lines(source);
    (lines > FILE_LINES).then(|| Violation {
        path: source.path.clone(),
        line: 1,
        rule: "budget",
        message: format!("the file has {lines} lines, over {FILE_LINES}"),
        way_out: "move tests to a sibling `tests.rs`, then one idea to a file of its own"
            .to_owned(),
    })
}

fn lines(source: &Source) -> usize {
    source.text.lines().count()
}

const FILE_LINES: usize = 600;
const NOTED_FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 80;
const ARGUMENTS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_600_lines_is_the_longest() {
        assert_eq!(count(&"\n".repeat(600)), 0);
        assert_eq!(count(&"\n".repeat(601)), 1);
    }

    #[test]
    fn files_over_500_lines_are_noted() {
        let noted = |lines: usize| {
            let files = [("a.rs".to_owned(), "\n".repeat(lines))];
            near_misses(&Repository::of(files)).len()
        };
        assert_eq!([noted(500), noted(501), noted(600), noted(601)], [0, 1, 1, 0]);
    }

    #[test]
    fn a_function_of_80_lines_is_the_longest() {
        let function = |lines: usize| format!("fn f() {{{}}}", "\n".repeat(lines - 1));
        assert_eq!(count(&function(80)), 0);
        assert_eq!(count(&function(81)), 1);
    }

    #[test]
    fn methods_and_tests_keep_to_the_limit_too() {
        let body = "\n".repeat(90);
        assert_eq!(count(&format!("impl X {{ fn f() {{{body}}} }}")), 1);
        assert_eq!(count(&format!("trait X {{ fn f() {{{body}}} }}")), 1);
        assert_eq!(count(&format!("#[test] fn f() {{{body}}}")), 1);
    }

    #[test]
    fn five_arguments_are_the_most_and_self_is_one() {
        assert_eq!(count("fn f(a: u8, b: u8, c: u8, d: u8, e: u8) {}"), 0);
        assert_eq!(count("fn f(a: u8, b: u8, c: u8, d: u8, e: u8, g: u8) {}"), 1);
        assert_eq!(count("impl X { fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {} }"), 1);
    }

    #[test]
    fn what_a_trait_dictates_is_not_counted_where_it_is_implemented() {
        let six = "fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {}";
        assert_eq!(count(&format!("impl T for X {{ {six} }}")), 0);
        assert_eq!(count(&format!("impl T for X {{}} impl X {{ {six} }}")), 1);
        assert_eq!(count(&format!("trait T {{ {six} }}")), 1);
    }

    fn count(text: &str) -> usize {
        check_file(&Source::parse("crates/x/src/a.rs", text).unwrap()).len()
    }
}
