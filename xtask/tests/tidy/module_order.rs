//! Inside a crate, data flows down the list of modules in the crate root, and so do uses.

use std::collections::HashMap;

use crate::repository::Repository;
use crate::source::{Kind, Source, Token, behind_group, reads};
use crate::violation::Violation;

/// Finds uses that climb: of a module listed above, or of the crate root.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let mut violations = Vec::new();
    for dir in repository.crates() {
        let src = format!("{dir}/src/");
        let files: Vec<_> =
            repository.sources().iter().filter(|source| source.path.starts_with(&src)).collect();
        for root in ["lib.rs", "main.rs"] {
            let root = format!("{src}{root}");
            if let Some(root) = files.iter().find(|source| source.path == root) {
                check_crate(root, &src, &files, &mut violations);
            }
        }
    }
    violations
}

fn check_crate(root: &Source, src: &str, files: &[&Source], violations: &mut Vec<Violation>) {
    let order = Order::of(root, src, files);
    for file in files {
        let Some(path) = module_path(file.path.trim_start_matches(src)) else { continue };
        if let Some(&place) = order.modules.get(&path[0]) {
            let climbs = uses(file, path.clone()).into_iter();
            violations.extend(climbs.filter_map(|(line, target)| {
                order.refusal(&path[0], place, &target).map(|message| Violation {
                    path: file.path.clone(),
                    line,
                    rule: "module-order",
                    message,
                    way_out: format!(
                        "move the item down, or list the modules of {} in the order \
                                      in which data flows; a cycle wants a third module",
                        root.path
                    ),
                })
            }));
        }
    }
}

/// What the crate root says about its modules.
struct Order {
    /// Module to its place in the list, 0 on top.
    modules: HashMap<String, usize>,
    /// Macro exported to the crate root, to the module that defines it.
    macros: HashMap<String, String>,
}

impl Order {
    fn of(root: &Source, src: &str, files: &[&Source]) -> Self {
        let names = root.syntax.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        });
        let modules = names.enumerate().map(|(place, name)| (name, place)).collect();
        let mut macros = HashMap::new();
        for file in files {
            if let Some(path) = module_path(file.path.trim_start_matches(src)) {
                let names = exported_macros(&file.syntax);
                macros.extend(names.map(|name| (name, path[0].clone())));
            }
        }
        Self { modules, macros }
    }

    /// Why `module`, at `place`, may not use `target`.
    fn refusal(&self, module: &str, place: usize, target: &str) -> Option<String> {
        let defining = self.macros.get(target).map_or(target, String::as_str);
        match self.modules.get(defining) {
            Some(&below) if below >= place => None,
            Some(_) => Some(format!("`{module}` uses `{defining}`, which is listed above it")),
            None => Some(format!(
                "`{module}` uses `{target}` from the crate root, which stands above every module"
            )),
        }
    }
}

fn exported_macros(file: &syn::File) -> impl Iterator<Item = String> + '_ {
    file.items.iter().filter_map(|item| match item {
        syn::Item::Macro(item) if item.attrs.iter().any(|a| a.path().is_ident("macro_export")) => {
            item.ident.as_ref().map(ToString::to_string)
        }
        _ => None,
    })
}

/// The module path of a file below `src`; none for a crate root and for further binaries.
fn module_path(file: &str) -> Option<Vec<String>> {
    let path = file.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let is_root = ["lib", "main"].contains(&path) || path.starts_with("bin/");
    (!is_root).then(|| path.split('/').map(str::to_owned).collect())
}

/// Every use of something at the top of the crate: line, and the first name below `crate`.
fn uses(file: &Source, module: Vec<String>) -> Vec<(usize, String)> {
    let mut walk =
        Walk { tokens: &file.tokens, scope: module, closes: Vec::new(), found: Vec::new() };
    for at in 0..file.tokens.len() {
        walk.step(at);
    }
    walk.found
}

struct Walk<'a> {
    tokens: &'a [Token],
    /// Names from the crate root to the module that the walk is in.
    scope: Vec<String>,
    /// Where each inline module that the walk is in ends.
    closes: Vec<usize>,
    found: Vec<(usize, String)>,
}

impl Walk<'_> {
    fn step(&mut self, at: usize) {
        if self.closes.last().is_some_and(|&end| at >= end) {
            self.closes.pop();
            self.scope.pop();
        }
        let tokens = self.tokens;
        if tokens[at].is("mod") && tokens.get(at + 2).is_some_and(|token| token.is("{")) {
            self.closes.push(behind_group(tokens, at + 2));
            self.scope.push(tokens[at + 1].text.clone());
        }
        // `pub(in crate::x)`: who may see an item is no use of one.
        let is_visibility = at > 2 && reads(tokens, at - 3, &["pub", "(", "in"]);
        if is_visibility || follows_path(tokens, at) {
            return;
        }
        if let Some(below) = self.climb_to_root(at) {
            self.take_names(below);
        }
    }

    /// Behind `crate::`, or behind as many `super::` as lead out of the top-level module.
    fn climb_to_root(&self, at: usize) -> Option<usize> {
        if reads(self.tokens, at, &["crate", ":", ":"]) {
            return Some(at + 3);
        }
        let mut supers = 0;
        while reads(self.tokens, at + supers * 3, &["super", ":", ":"]) {
            supers += 1;
        }
        (supers > 0 && supers >= self.scope.len()).then_some(at + supers * 3)
    }

    /// The name at `at`, or each first name of the group there.
    fn take_names(&mut self, at: usize) {
        let Some(token) = self.tokens.get(at) else { return };
        match token.kind {
            Kind::Ident => self.found.push((token.line(), token.text.clone())),
            Kind::Punct if token.is("*") => self.found.push((token.line(), "*".to_owned())),
            Kind::Open => {
                for first in self.firsts(at) {
                    self.take_names(first);
                }
            }
            _ => {}
        }
    }

    /// Where each part of the group at `open` begins.
    fn firsts(&self, open: usize) -> Vec<usize> {
        let end = behind_group(self.tokens, open) - 1;
        let mut firsts = Vec::new();
        let mut at = open + 1;
        let mut begins = true;
        while at < end {
            if begins {
                firsts.push(at);
            }
            begins = self.tokens[at].is(",");
            let is_open = self.tokens[at].kind == Kind::Open;
            at = if is_open { behind_group(self.tokens, at) } else { at + 1 };
        }
        firsts
    }
}

/// Whether the token continues a path, as the second `super` of `super::super` does.
fn follows_path(tokens: &[Token], at: usize) -> bool {
    at >= 2 && reads(tokens, at - 2, &[":", ":"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_of_a_module_below_is_fine() {
        assert_eq!(
            messages("top.rs", "use crate::middle::A; fn f() { crate::low::g(); }"),
            [""; 0]
        );
        assert_eq!(messages("middle/part.rs", "use super::other::B; use crate::low::C;"), [""; 0]);
    }

    #[test]
    fn a_use_of_a_module_above_is_refused() {
        let message = "`low` uses `middle`, which is listed above it";
        assert_eq!(messages("low.rs", "use crate::middle::A;"), [message]);
        assert_eq!(messages("low.rs", "use crate::{low::X, middle::{A, B}};"), [message]);
        assert_eq!(messages("low.rs", "fn f() { call!(crate::middle::a()); }"), [message]);
        assert_eq!(messages("low.rs", "fn f() { for a in crate::middle::all() {} }"), [message]);
    }

    #[test]
    fn climbing_by_super_counts_as_well() {
        let message = "`low` uses `top`, which is listed above it";
        assert_eq!(messages("low.rs", "use super::top::A;"), [message]);
        assert_eq!(messages("low/part.rs", "use super::super::top::A;"), [message]);
        assert_eq!(
            messages("low.rs", "mod tests { use super::*; use super::super::top::A; }"),
            [message]
        );
    }

    #[test]
    fn the_end_of_an_inline_module_is_seen() {
        let text = "mod inner { use super::x; } use super::top::A;";
        assert_eq!(messages("low.rs", text), ["`low` uses `top`, which is listed above it"]);
    }

    #[test]
    fn the_crate_root_is_above_every_module() {
        let message = "`low` uses `Error` from the crate root, which stands above every module";
        assert_eq!(messages("low.rs", "use crate::Error;"), [message]);
        assert_eq!(messages("low.rs", "use super::*;").len(), 1);
    }

    #[test]
    fn an_exported_macro_counts_as_its_module() {
        assert_eq!(messages("top.rs", "fn f() { crate::object!(); }"), [""; 0]);
        assert_eq!(messages("low.rs", "fn f() { crate::object!(); }").len(), 1);
    }

    #[test]
    fn visibility_is_no_use() {
        assert_eq!(
            messages("low.rs", "pub(in crate::top) fn f() {} pub(super) fn g() {}"),
            [""; 0]
        );
    }

    fn messages(file: &str, text: &str) -> Vec<String> {
        let given = [
            ("Cargo.toml", ""),
            ("src/lib.rs", "mod top;\npub mod middle;\nmod low;\npub use low::Error;"),
            ("src/middle/mod.rs", "#[macro_export] macro_rules! object { () => {}; }"),
            (&format!("src/{file}"), text),
        ];
        let files = given.map(|(path, text)| (format!("crates/x/{path}"), text.to_owned()));
        check(&Repository::of(files)).into_iter().map(|violation| violation.message).collect()
    }
}
