//! Every diagnostic code is shown by a golden file and explained on a page.

use crate::repository::Repository;
use crate::source::{Kind, Source, Token};
use crate::violation::Violation;

/// Compares the codes of the compiler with its golden files and with the pages.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let codes = codes(repository);
    let mut violations = Vec::new();
    let goldens: Vec<_> =
        stems(repository, GOLDEN, ".golden").filter_map(|stem| owner(&codes, stem)).collect();
    for code in &codes {
        if !goldens.contains(&code.name.as_str()) {
            let way_out = format!("show it in {GOLDEN}{}.golden", code.name);
            violations.push(code.violation("no golden file", way_out));
        }
        if !repository.has(&format!("{PAGES}{}.md", code.name)) {
            let way_out = format!("explain it in {PAGES}{}.md", code.name);
            violations.push(code.violation("no page", way_out));
        }
    }
    violations.extend(orphans(repository, &codes));
    violations
}

/// A diagnostic code and where it is declared.
struct Code {
    name: String,
    line: usize,
}

impl Code {
    fn violation(&self, lacks: &str, way_out: String) -> Violation {
        let message = format!("the code `{}` has {lacks}", self.name);
        Violation { path: CODES.to_owned(), line: self.line, rule: "diagnostic", message, way_out }
    }
}

/// The declared codes; none while there is no such file.
fn codes(repository: &Repository) -> Vec<Code> {
    let Some(source) = repository.sources().iter().find(|source| source.path == CODES) else {
        return Vec::new();
    };
    let named = named_codes(&source.tokens);
    let codes = if named.is_empty() { variants(source) } else { named };
    assert!(!codes.is_empty(), "{CODES} declares no code that this rule can read");
    codes
}

/// Declarations such as `UnknownKey = "unknown-key"` in the table that makes the enum.
fn named_codes(tokens: &[Token]) -> Vec<Code> {
    let rows = tokens.windows(3).filter(|row| {
        row[0].kind == Kind::Ident && row[0].text.starts_with(char::is_uppercase) && row[1].is("=")
    });
    let codes =
        rows.filter_map(|row| Some(Code { name: kebab_literal(&row[2])?, line: row[0].line() }));
    codes.collect()
}

fn kebab_literal(token: &Token) -> Option<String> {
    let name = token.text.strip_prefix('"')?.strip_suffix('"')?;
    let is_kebab = name.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit());
    (token.kind == Kind::Literal && is_kebab).then(|| name.to_owned())
}

/// The variants of `enum Code`, where the names are derived.
fn variants(source: &Source) -> Vec<Code> {
    let items = source.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Enum(item) if item.ident == "Code" => Some(item),
        _ => None,
    });
    let variants = items.flat_map(|item| &item.variants);
    variants
        .map(|variant| Code {
            name: kebab(&variant.ident.to_string()),
            line: variant.ident.span().start().line,
        })
        .collect()
}

fn kebab(camel: &str) -> String {
    let mut kebab = String::new();
    for c in camel.chars() {
        if c.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

/// The code that a golden file shows: of `bad-unit-size`, `bad-unit`; the longest name wins.
fn owner<'a>(codes: &'a [Code], stem: &str) -> Option<&'a str> {
    let shown = codes.iter().map(|code| code.name.as_str()).filter(|name| {
        stem.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    shown.max_by_key(|name| name.len())
}

fn orphans(repository: &Repository, codes: &[Code]) -> Vec<Violation> {
    let pages = stems(repository, PAGES, ".md").filter(|page| *page != "README");
    let orphans = pages.filter(|page| codes.iter().all(|code| code.name != *page));
    orphans
        .map(|page| Violation {
            path: format!("{PAGES}{page}.md"),
            line: 1,
            rule: "diagnostic",
            message: format!("the page explains `{page}`, which is no code"),
            way_out: "delete the page, or rename it with its code".to_owned(),
        })
        .collect()
}

fn stems<'a>(
    repository: &'a Repository,
    dir: &'a str,
    suffix: &'a str,
) -> impl Iterator<Item = &'a str> {
    let paths = repository.texts.iter().map(|text| text.path.as_str());
    paths.filter_map(move |path| path.strip_prefix(dir)?.strip_suffix(suffix))
}

const CODES: &str = "crates/core/src/diagnostic/code.rs";
const GOLDEN: &str = "crates/core/tests/golden/";
const PAGES: &str = "docs/diagnostics/";

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "codes! { BadUnit = \"bad-unit\", Error, \"A unit is missing.\"; }";
    const GOLDEN_FILE: &str = "crates/core/tests/golden/bad-unit-size.golden";
    const PAGE: &str = "docs/diagnostics/bad-unit.md";

    #[test]
    fn a_code_with_golden_file_and_page_is_fine() {
        assert_eq!(messages([(CODES, TABLE), (GOLDEN_FILE, ""), (PAGE, "")]), [""; 0]);
    }

    #[test]
    fn a_code_without_them_is_refused() {
        let no_golden = "the code `bad-unit` has no golden file";
        assert_eq!(messages([(CODES, TABLE), (PAGE, "")]), [no_golden]);
        assert_eq!(
            messages([(CODES, TABLE), (GOLDEN_FILE, "")]),
            ["the code `bad-unit` has no page"]
        );
    }

    #[test]
    fn names_are_derived_where_no_table_gives_them() {
        let text = "pub enum Code { BadUnit } impl Code { fn f(self) -> &str { match self { \
                    Self::BadUnit => \"bad-unit\" } } }";
        assert_eq!(
            messages([(CODES, text), (PAGE, "")]),
            ["the code `bad-unit` has no golden file"]
        );
    }

    #[test]
    fn other_names_in_the_file_are_no_codes() {
        let text = format!("{TABLE} fn f(s: S) -> &str {{ match s {{ S::Error => \"error\" }} }}");
        assert_eq!(messages([(CODES, &text), (GOLDEN_FILE, ""), (PAGE, "")]), [""; 0]);
    }

    #[test]
    fn a_longer_code_does_not_lend_its_golden_file() {
        let table = "codes! { Bad = \"bad\"; BadUnit = \"bad-unit\"; }";
        let files =
            [(CODES, table), (GOLDEN_FILE, ""), (PAGE, ""), ("docs/diagnostics/bad.md", "")];
        assert_eq!(messages(files), ["the code `bad` has no golden file"]);
    }

    #[test]
    fn a_page_without_a_code_is_refused() {
        assert_eq!(
            messages([(PAGE, ""), ("docs/diagnostics/README.md", "")]),
            ["the page explains `bad-unit`, which is no code"]
        );
    }

    fn messages<const N: usize>(files: [(&str, &str); N]) -> Vec<String> {
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        check(&Repository::of(files)).into_iter().map(|violation| violation.message).collect()
    }
}
