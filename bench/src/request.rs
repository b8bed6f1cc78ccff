//! What vaned does in user space for a proxied request, counted by callgrind: the difference
//! between two runs, one of which serves twice as many requests, so that start, compile,
//! connecting and end fall out.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::vaned::Vaned;
use rustix::process::Signal;
use serde_json::json;

use crate::{load, origin};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests in the shorter run.
    #[arg(long, default_value_t = 4000)]
    requests: usize,
    /// Where the profile of the longer run is left for `callgrind_annotate`.
    #[arg(long, default_value = "/dev/null")]
    profile: String,
}

/// What one run took.
struct Counts {
    instructions: u64,
    allocations: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run(args: &Args) {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let profile = place.path().join("callgrind.out");
    let once = counted(args, args.requests, &profile).await;
    let twice = counted(args, 2 * args.requests, &profile).await;
    let each = |twice: u64, once: u64| (twice as f64 - once as f64) / args.requests as f64;
    println!(
        "a proxied request takes {:.0} instructions and {:.1} allocations",
        each(twice.instructions, once.instructions),
        each(twice.allocations, once.allocations),
    );
    if args.profile != "/dev/null" {
        std::fs::copy(profile, &args.profile).expect("the profile can be copied there");
    }
}

async fn counted(args: &Args, requests: usize, profile: &Path) -> Counts {
    let origin = origin::start().await;
    let config = ConfigDir::new()
        .rule("all", json!({ "listen": "127.0.0.1:0", "forward": format!("http://{origin}") }));
    let out = format!("--callgrind-out-file={}", profile.display());
    let mut vaned = Vaned::builder(&config)
        .within(&["valgrind", "--tool=callgrind", &out])
        .env("VANE_WORKERS", "1")
        .env("VANE_LOG", "warn")
        .start()
        .await;
    load::run(vaned.only_addr().await, args.connections, requests).await;
    vaned.signal(Signal::TERM);
    let status = vaned.exit_status(END_LIMIT).await;
    assert!(status.success(), "vaned ends well: {status}");
    read(&std::fs::read_to_string(profile).expect("callgrind leaves a profile"))
}

/// Reads a profile, see the manual of callgrind for its format. A name is written out where it is
/// met first and has only its number afterwards.
fn read(profile: &str) -> Counts {
    let mut counts = Counts { instructions: 0, allocations: 0 };
    let mut allocates: HashMap<&str, bool> = HashMap::new();
    let mut called = "";
    for line in profile.lines() {
        if let Some(total) = line.strip_prefix("totals: ") {
            counts.instructions = total.parse().expect("a total is a number");
        } else if let Some((_, name)) = line.split_once("fn=(") {
            let (number, name) = name.split_once(')').expect("a number stands in parentheses");
            if !name.is_empty() {
                allocates.insert(number, ALLOCATORS.contains(&name.trim()));
            }
            called = number;
        } else if let Some(calls) = line.strip_prefix("calls=")
            && allocates.get(called) == Some(&true)
        {
            let count = calls.split(' ').next().expect("a split yields something");
            counts.allocations += count.parse::<u64>().expect("a count is a number");
        }
    }
    counts
}

/// What Rust's allocator calls in mimalloc.
const ALLOCATORS: [&str; 3] = ["mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"];

/// A program is slow within callgrind.
const END_LIMIT: Duration = Duration::from_secs(60);
