//! The functions of a file, and how long those of a crate are on the whole.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::repository::Repository;
use crate::source::Source;
use crate::violation::Violation;

/// Finds crates whose functions are too long in the median or at the 90th percentile. Test
/// functions do not count.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let crates = repository.crates().into_iter();
    crates.flat_map(|dir| check_crate(dir, repository.sources())).collect()
}

/// Both figures of every crate, in words.
pub(crate) fn figures(repository: &Repository) -> Vec<String> {
    let crates = repository.crates().into_iter().map(|dir| {
        let lengths = crate_lengths(dir, repository.sources());
        let (median, p90) = (percentile(&lengths, 50), percentile(&lengths, 90));
        format!(
            "{dir}: {} functions, median {median} lines (aim {}), 90th percentile {p90} (aim {})",
            lengths.len(),
            MEDIAN.aim,
            P90.aim,
        )
    });
    crates.collect()
}

fn check_crate(dir: &str, sources: &[Source]) -> Vec<Violation> {
    let lengths = crate_lengths(dir, sources);
    let (median, p90) = (percentile(&lengths, 50), percentile(&lengths, 90));
    let measures = [("median", median, MEDIAN), ("90th percentile", p90, P90)];
    let over = measures.into_iter().filter(|(_, lines, limit)| *lines > limit.stop);
    over.map(|(what, lines, limit)| Violation {
        path: format!("{dir}/Cargo.toml"),
        line: 1,
        rule: "function-length",
        message: format!("the {what} of function lengths is {lines} lines, over {}", limit.stop),
        way_out: format!("aim at {}: one level of detail in each function", limit.aim),
    })
    .collect()
}

/// Sorted.
fn crate_lengths(dir: &str, sources: &[Source]) -> Vec<usize> {
    let src = format!("{dir}/src/");
    let files = sources.iter().filter(|source| source.path.starts_with(&src));
    let mut lengths: Vec<_> = files.flat_map(product_lengths).collect();
    lengths.sort_unstable();
    lengths
}

fn product_lengths(source: &Source) -> Vec<usize> {
    let mut functions = Functions::default();
    functions.visit_file(&source.syntax);
    let product = functions.found.into_iter().filter(|function| !source.is_test(function.line));
    product.map(|function| function.lines).collect()
}

/// The nearest-rank percentile of sorted figures; 0 of none.
fn percentile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Of the signature.
    pub(crate) line: usize,
    /// From the signature to the closing brace.
    pub(crate) lines: usize,
    /// 0 where a trait says what they are: they are counted where the trait is ours to write.
    pub(crate) arguments: usize,
}

/// Collects every function of a file, nested ones and methods included.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    pub(crate) found: Vec<Function>,
    implements_a_trait: bool,
}

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.span().start().line;
        self.found.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: body.span().end().line + 1 - line,
            arguments: signature.inputs.len(),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let outer = std::mem::replace(&mut self.implements_a_trait, item.trait_.is_some());
        visit::visit_item_impl(self, item);
        self.implements_a_trait = outer;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        if let Some(added) = self.found.last_mut().filter(|_| self.implements_a_trait) {
            added.arguments = 0;
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.add(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Lines that a crate should keep to, and lines that fail the test.
#[derive(Clone, Copy)]
struct Limit {
    aim: usize,
    stop: usize,
}

const MEDIAN: Limit = Limit { aim: 10, stop: 12 };
const P90: Limit = Limit { aim: 30, stop: 34 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_tail_are_judged_apart() {
        assert_eq!(count(&[5; 10]), 0);
        assert_eq!(count(&[13; 10]), 1);
        assert_eq!(count(&[5, 5, 5, 5, 5, 5, 5, 5, 35, 35]), 1);
        assert_eq!(count(&[35; 10]), 2);
    }

    #[test]
    fn test_functions_do_not_count() {
        let text = format!("#[cfg(test)] mod tests {{ fn f() {{{}}} }}", "\n".repeat(40));
        let source = Source::parse("crates/x/src/a.rs", &text).unwrap();
        assert!(check_crate("crates/x", &[source]).is_empty());
    }

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[1, 2, 3], 50), 2);
        assert_eq!(percentile(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 90), 9);
    }

    #[test]
    fn attributes_and_docs_are_not_part_of_the_length() {
        let source = Source::parse("crates/x/src/a.rs", "/// A\n#[inline]\nfn f() {\n}\n").unwrap();
        assert_eq!(product_lengths(&source), [2]);
    }

    fn count(lengths: &[usize]) -> usize {
        let functions =
            lengths.iter().map(|lines| format!("fn f() {{{}}}\n", "\n".repeat(lines - 1)));
        let source = Source::parse("crates/x/src/a.rs", &functions.collect::<String>()).unwrap();
        check_crate("crates/x", &[source]).len()
    }
}
