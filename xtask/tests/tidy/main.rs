//! The rules of the house, as tests over the repository itself.
//!
//! Each rule is a module with one function from what was read to its violations, and with unit
//! tests that show it failing when it should. Flow: `repository` reads once, `source` gives a Rust
//! file as tokens and syntax, the rules judge, `violation` says file, line, rule and way out.

mod bans;
mod budgets;
mod comments;
mod crate_directions;
mod diagnostics;
mod functions;
mod links;
mod module_order;
mod packages;
mod sleeps;

mod repository;

mod source;

mod violation;

use repository::Repository;

#[test]
fn modules_use_only_what_the_crate_root_lists_below_them() {
    violation::refuse(module_order::check(&Repository::read()));
}

#[test]
fn files_functions_and_arguments_keep_to_their_budgets() {
    let repository = Repository::read();
    budgets::near_misses(&repository).iter().for_each(|text| violation::note(text));
    violation::refuse(budgets::check(&repository));
}

#[test]
fn functions_of_a_crate_are_short_on_the_whole() {
    let repository = Repository::read();
    functions::figures(&repository).iter().for_each(|text| violation::note(text));
    violation::refuse(functions::check(&repository));
}

#[test]
fn comments_stay_short_below_the_module_header() {
    violation::refuse(comments::check(&Repository::read()));
}

#[test]
fn nothing_sleeps_but_the_one_waiting_helper() {
    violation::refuse(sleeps::check(&Repository::read()));
}

#[test]
fn every_diagnostic_code_owns_a_golden_file_and_a_page() {
    violation::refuse(diagnostics::check(&Repository::read()));
}

#[test]
fn banned_words_do_not_appear() {
    violation::refuse(bans::check(&Repository::read()));
}

#[test]
fn every_package_inherits_the_lints_of_the_workspace() {
    violation::refuse(packages::check(&Repository::read()));
}

#[test]
fn crates_depend_only_in_the_agreed_directions() {
    violation::refuse(crate_directions::check(&Repository::read()));
}

#[test]
fn relative_links_in_documents_resolve() {
    violation::refuse(links::check(&Repository::read()));
}
