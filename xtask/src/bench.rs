//! `cargo xtask bench`: what a compile, a walk and a proxied request cost.

use std::path::PathBuf;

use crate::command::{self, Failure, Program};
use crate::report::{Outcome, Report};

/// The most by which the instructions of a walk may differ between few rules and many.
const MOST_DIFFERENCE: f64 = 0.10;

/// Builds with optimisation and measures; one line in the report for each measurement.
pub(crate) fn run() -> Report {
    let mut report = Report::default();
    report.step("build", |_| {
        Program::cargo()
            .args(["build", "--locked", "--release", "-p", "vaned", "-p", "bench"])
            .run()
            .into()
    });
    if report.has_failed("build") {
        return report;
    }
    report.step("compile", |_| bench().args(["compile"]).run().into());
    report.step("walk", |_| walk());
    report.step("request", |_| request());
    report.step("proxy", |_| bench().args(["proxy"]).run().into());
    report.step("handshake", |_| bench().args(["handshake"]).run().into());
    report
}

fn bench() -> Program {
    Program::at(&bench_path())
}

fn bench_path() -> PathBuf {
    command::target_dir().join("release/bench")
}

fn has_valgrind() -> bool {
    Program::new("valgrind").args(["--version"]).answers()
}

fn no_valgrind() -> Outcome {
    Outcome::Skipped("no valgrind: `apt-get install valgrind`".to_owned())
}

/// Instructions and allocations for one proxied request.
fn request() -> Outcome {
    if has_valgrind() { bench().args(["request"]).run().into() } else { no_valgrind() }
}

/// Instructions for the walk of one request, with few rules and with many.
fn walk() -> Outcome {
    if !has_valgrind() {
        return no_valgrind();
    }
    let (few, many) = match (instructions(10), instructions(10_000)) {
        (Ok(few), Ok(many)) => (few, many),
        (Err(failure), _) | (_, Err(failure)) => return Outcome::Failed(failure.to_string()),
    };
    let difference = (many - few).abs() / few;
    command::say(&format!(
        "instructions for one walk: {few:.0} with 10 rules, {many:.0} with 10,000 \
         (difference {:.1} %)",
        difference * 100.0
    ));
    if difference < MOST_DIFFERENCE {
        Outcome::Passed
    } else {
        Outcome::Failed("a walk costs more with more rules".to_owned())
    }
}

/// What start and compile take falls out of the difference between two runs.
fn instructions(rules: usize) -> Result<f64, Failure> {
    const TIMES: u32 = 10_000;
    let once = collected(rules, TIMES)?;
    let twice = collected(rules, 2 * TIMES)?;
    Ok((twice as f64 - once as f64) / f64::from(TIMES))
}

fn collected(rules: usize, times: u32) -> Result<u64, Failure> {
    let said = Program::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([bench_path()])
        .args(["walk".to_owned(), format!("--rules={rules}"), format!("--times={times}")])
        .stderr()?;
    Ok(counted(&said).unwrap_or(0))
}

/// The number behind `Collected :` in what callgrind says.
fn counted(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_instructions_is_read_from_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(counted(said), Some(123_456));
        assert_eq!(counted("==7== error"), None);
    }
}
