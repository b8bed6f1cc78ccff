//! How long a compile takes.

use std::time::Instant;

use crate::rules;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules in the configuration.
    #[arg(long, default_value_t = 10_000)]
    rules: usize,
    /// How often it is compiled.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

pub(crate) fn run(args: &Args) {
    let text = rules::text(args.rules);
    let mut times: Vec<_> = (0..args.rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            let compiled = rules::compiled(&text);
            let time = start.elapsed();
            assert!(compiled.graph.is_some(), "the generated configuration is valid");
            time
        })
        .collect();
    times.sort();
    let (least, median) = (times[0], times[times.len() / 2]);
    println!("compile of {} rules: median {median:?}, least {least:?}", args.rules);
}
