//! Keeps the table of demands true: which test shows which demand.
//!
//! A test names the demands that it shows at the head of its documentation, `/// S14. S9.`.
//! `UPDATE_GOLDEN=1` writes the table anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[test]
fn the_table_of_demands_names_the_tests_that_show_them() {
    let current = page(&shown());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PAGE, &current).unwrap();
    }
    let kept = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(kept == current, "{PAGE} is not current; UPDATE_GOLDEN=1 writes it");
}

#[test]
fn every_demand_is_shown_by_a_test() {
    let shown = shown();
    let missing = |number: &u32| !shown.contains_key(number);
    let missing: Vec<u32> = DEMANDS.iter().map(|(number, _)| *number).filter(missing).collect();
    assert!(missing.is_empty(), "no test shows S{missing:?}");
    let known: BTreeSet<u32> = DEMANDS.iter().map(|(number, _)| *number).collect();
    let unknown: Vec<_> = shown.keys().filter(|number| !known.contains(number)).collect();
    assert!(unknown.is_empty(), "S{unknown:?} is no demand");
}

/// The tests that name each demand, by their paths in this binary.
fn shown() -> BTreeMap<u32, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut shown: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&root) {
        let module = module_of(path.strip_prefix(&root).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, test) in named_in(&text) {
            shown.entry(number).or_default().insert(format!("{module}::{test}"));
        }
    }
    shown
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    files.chain(directories.iter().flat_map(|each| sources(each))).collect()
}

fn module_of(path: &Path) -> String {
    let path = path.with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy());
    let parts: Vec<_> = parts.filter(|part| part != "mod").collect();
    parts.join("::")
}

/// Demand and function of each documentation comment that begins with demands.
fn named_in(text: &str) -> Vec<(u32, String)> {
    let (mut found, mut waiting) = (Vec::new(), Vec::new());
    let mut inside = false;
    for line in text.lines().map(str::trim_start) {
        if let Some(comment) = line.strip_prefix("/// ") {
            if !inside {
                waiting = ids(comment);
            }
            inside = true;
            continue;
        }
        inside = false;
        if let Some(name) = function(line) {
            found.extend(waiting.drain(..).map(|number| (number, name.to_owned())));
        }
    }
    found
}

/// The demands at the head of a comment.
fn ids(comment: &str) -> Vec<u32> {
    let words = comment.split(' ');
    let numbers = words.map_while(|word| word.strip_prefix('S')?.strip_suffix('.')?.parse().ok());
    numbers.collect()
}

fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
    rest.split('(').next()
}

fn page(shown: &BTreeMap<u32, BTreeSet<String>>) -> String {
    let mut page = HEAD.to_owned();
    for (number, demand) in DEMANDS {
        write!(page, "\n## S{number}\n\n{demand}\n\n").unwrap();
        for test in shown.get(number).into_iter().flatten() {
            writeln!(page, "- `{test}`").unwrap();
        }
    }
    page
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/demands.md");

const HEAD: &str = "\
# Demands and the tests that show them

Each demand has at least one test in `integration/tests/it` that fails without it. A test names its
demands at the head of its documentation comment, and a test keeps this page current:
`UPDATE_GOLDEN=1 cargo test -p integration --test it demands` writes it.
";

const DEMANDS: &[(u32, &str)] = &[
    (1, "Two binaries: `vaned`, the daemon, and `vane`, the command line."),
    (2, "The command line talks to the daemon through the one client of the management crate."),
    (
        3,
        "The configuration directory: `config.json`, `rules/*.json` merged, `.env` below the environment.",
    ),
    (4, "The state directory holds what outlives the daemon and nothing else."),
    (5, "The management socket's place and mode; the log goes to a file when told to."),
    (6, "Compiled graphs are never persisted: each boot and reload compiles."),
    (7, "A directory's compiled form is shown without installing it, and so is the live one."),
    (8, "The order of the boot, and how it fails."),
    (
        9,
        "Reload by watcher, signal and call; success is atomic, failure leaves everything serving and is told.",
    ),
    (
        10,
        "SIGTERM: accept no more, finish within the budget, cut off the rest, end at once when idle.",
    ),
    (11, "One independent listener per address; only boot and reload change the set."),
    (12, "SO_REUSEADDR is on and SO_REUSEPORT is off."),
    (13, "Binds are retried with exponential backoff; a listener gives up alone."),
    (
        14,
        "A reload keeps unchanged listeners, starts added ones, and lets the connections of removed ones finish.",
    ),
    (15, "No connection in flight ever observes a graph that is torn down."),
    (16, "State of a graph is fresh after a reload; state of the daemon survives it."),
    (
        17,
        "A port alone is both families on two sockets with one entry; no address is ever v4-mapped.",
    ),
    (18, "A suppressed family is skipped in silence, or refused where an address asks for it."),
    (19, "One family of two is one warning and service; none is a failed bind."),
    (20, "Sockets are inherited from the service manager, kept by it, and never closed for good."),
];
