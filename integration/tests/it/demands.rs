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
    let known: BTreeSet<&str> = DEMANDS.iter().map(|(id, _)| *id).collect();
    let missing: Vec<_> = known.iter().filter(|id| !shown.contains_key(**id)).collect();
    assert!(missing.is_empty(), "no test shows {missing:?}");
    let unknown: Vec<_> = shown.keys().filter(|id| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} is no demand");
}

/// The tests that name each demand, by their paths in this binary.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&root) {
        let module = module_of(path.strip_prefix(&root).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        for (id, test) in named_in(&text) {
            shown.entry(id).or_default().insert(format!("{module}::{test}"));
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
fn named_in(text: &str) -> Vec<(String, String)> {
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
            found.extend(waiting.drain(..).map(|id| (id, name.to_owned())));
        }
    }
    found
}

/// The demands at the head of a comment.
fn ids(comment: &str) -> Vec<String> {
    let id = |word: &str| {
        let id = word.strip_suffix('.')?;
        id.strip_prefix(['S', 'T'])?.parse::<u32>().ok()?;
        Some(id.to_owned())
    };
    comment.split(' ').map_while(id).collect()
}

fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
    rest.split('(').next()
}

fn page(shown: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut page = HEAD.to_owned();
    for (id, demand) in DEMANDS {
        write!(page, "\n## {id}\n\n{demand}\n\n").unwrap();
        for test in shown.get(*id).into_iter().flatten() {
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

const DEMANDS: &[(&str, &str)] = &[
    ("S1", "Two binaries: `vaned`, the daemon, and `vane`, the command line."),
    ("S2", "The command line talks to the daemon through the one client of the management crate."),
    (
        "S3",
        "The configuration directory: `config.json`, `rules/*.json` merged, `.env` below the environment.",
    ),
    ("S4", "The state directory holds what outlives the daemon and nothing else."),
    ("S5", "The management socket's place and mode; the log goes to a file when told to."),
    ("S6", "Compiled graphs are never persisted: each boot and reload compiles."),
    ("S7", "A directory's compiled form is shown without installing it, and so is the live one."),
    ("S8", "The order of the boot, and how it fails."),
    (
        "S9",
        "Reload by watcher, signal and call; success is atomic, failure leaves everything serving and is told.",
    ),
    (
        "S10",
        "SIGTERM: accept no more, finish within the budget, cut off the rest, end at once when idle.",
    ),
    ("S11", "One independent listener per address; only boot and reload change the set."),
    ("S12", "SO_REUSEADDR is on and SO_REUSEPORT is off."),
    ("S13", "Binds are retried with exponential backoff; a listener gives up alone."),
    (
        "S14",
        "A reload keeps unchanged listeners, starts added ones, and lets the connections of removed ones finish.",
    ),
    ("S15", "No connection in flight ever observes a graph that is torn down."),
    ("S16", "State of a graph is fresh after a reload; state of the daemon survives it."),
    (
        "S17",
        "A port alone is both families on two sockets with one entry; no address is ever v4-mapped.",
    ),
    ("S18", "A suppressed family is skipped in silence, or refused where an address asks for it."),
    ("S19", "One family of two is one warning and service; none is a failed bind."),
    (
        "S20",
        "Sockets are inherited from the service manager, kept by it, and never closed for good.",
    ),
    (
        "S21",
        "The same crates ship as a container image; a suite boots it against Pebble and has it reload, drain and serve both families.",
    ),
    (
        "T1",
        "TLS 1.2 and 1.3 by rustls, HTTP/2 and HTTP/1.1 by ALPN, X25519MLKEM768 where it is offered, no OpenSSL.",
    ),
    (
        "T2",
        "A handshake gets the certificate of its exact name, of a wildcard, or the default, and is refused otherwise.",
    ),
    ("T3", "ECDSA, RSA and Ed25519 keys in PKCS#8, SEC1 and PKCS#1."),
    (
        "T4",
        "Files are read again on reload and when they change, through swapped links too; a bad pair keeps the one from before and is told.",
    ),
    ("T5", "Session tickets survive reloads, and restarts with the same state directory."),
    (
        "T6",
        "Certificates of clients: asked for or required, authorities, revocation lists, predicates, refusals with their reasons.",
    ),
    (
        "T7",
        "Names and protocols of a ClientHello are told without decrypting; tunnels before and behind TLS.",
    ),
    (
        "T8",
        "421 where the connection's certificate does not cover the host, or a handshake for it would have had other terms.",
    ),
    ("T9", "Handshakes are bounded by rate, number and time before any rule."),
    ("T10", "Nothing secret is in a log, an error, a compiled form or an answer of management."),
    ("T11", "What passes in clear passes over TLS, and both ends learn that it did."),
    (
        "T12",
        "Handshakes succeed across replacements of their certificate, each with one that is valid at that moment.",
    ),
    ("T13", "A public scanner for weaknesses of TLS finds none above low on a site as it comes."),
    (
        "T14",
        "TLS towards servers: roots of the system or a file, names, a certificate of ours, versions by ALPN; what is not verified is said.",
    ),
];
