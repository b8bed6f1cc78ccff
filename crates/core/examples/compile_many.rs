//! How long ten thousand rules over five thousand hosts take to compile. Run with
//! `--profile fast` or `--release`, and with the number of rounds if it is not fifteen.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use vane_core::compile::{Compiled, Options, compile};
use vane_core::load::{Files, RawContent, RawFile};

fn main() -> std::io::Result<()> {
    let many = files(10_000, 5_000);
    let options = Options::default();
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let mut times: Vec<_> = (0..rounds).map(|_| timed(&many, &options)).collect();
    times.sort_by(f64::total_cmp);
    let compiled = compile(&many, &options);
    let nodes = compiled.graph.as_ref().map_or(0, |graph| graph.nodes.len());
    let (best, median) = (times[0], times[times.len() / 2]);
    writeln!(
        std::io::stdout(),
        "10,000 rules over 5,000 hosts, {nodes} nodes: best {best:.1} ms, median {median:.1} ms"
    )
}

fn timed(files: &Files, options: &Options) -> f64 {
    let start = Instant::now();
    let Compiled { graph, .. } = compile(files, options);
    let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
    assert!(graph.is_some(), "the rules are well");
    milliseconds
}

/// Each host has an API below a prefix and everything else, in files of a hundred rules.
fn files(rules: usize, hosts: usize) -> Files {
    let texts: Vec<_> = (0..rules).map(|at| rule(at, hosts)).collect();
    let files = texts.chunks(100).enumerate().map(|(at, chunk)| RawFile {
        path: format!("rules/{at:04}.json"),
        content: RawContent::Bytes(format!("[{}]", chunk.join(",\n")).into_bytes()),
    });
    Files { rules: files.collect(), ..Files::default() }
}

fn rule(at: usize, hosts: usize) -> String {
    let host = at % hosts;
    let mut text = format!("{{ \"name\": \"rule-{at}\", \"listen\": \":8080\", ");
    let narrowed = if at < hosts {
        r#""http.path": { "prefix": "/v1" }, "http.method": ["GET", "POST"]"#
    } else {
        r#""remote.ip": { "cidr": ["10.0.0.0/8", "fd00::/8"] }"#
    };
    write!(text, "\"match\": {{ \"http.host\": \"host-{host}.example.com\", {narrowed} }}, ")
        .expect("a String takes every write");
    text.push_str(
        "\"use\": [{ \"request_headers\": { \"set\": { \"X-Start\": \"{time.unix_ms}\" } } }], ",
    );
    write!(text, "\"forward\": \"http://10.0.0.{}:8080\" }}", host % 250 + 1)
        .expect("a String takes every write");
    text
}

const ROUNDS: usize = 15;
