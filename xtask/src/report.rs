//! What came of each step, and the table at the end of a run.

use std::fmt;
use std::time::{Duration, Instant};

use crate::command::{self, Failure};

/// The end of one step.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// With what the failing program said last about itself, such as its exit status.
    Failed(String),
    /// With what this machine lacks.
    Skipped(String),
}

/// The steps of one run in order.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    skipped_tests: Vec<String>,
}

#[derive(Debug)]
struct Line {
    step: String,
    outcome: Outcome,
    took: Duration,
}

impl Report {
    /// Announces a step, runs it, says how it ended and after what time, and keeps the outcome.
    /// `run` is given the report so far.
    pub(crate) fn step(&mut self, step: &str, run: impl FnOnce(&Self) -> Outcome) {
        command::say(&format!("\n==> {step}"));
        let start = Instant::now();
        let outcome = run(self);
        let took = start.elapsed();
        command::say(&format!("<== {step}: {} in {:.1} s", outcome.word(), took.as_secs_f64()));
        self.add(step, outcome, took);
    }

    /// Keeps the outcome of a step that was run elsewhere.
    pub(crate) fn add(&mut self, step: &str, outcome: Outcome, took: Duration) {
        self.lines.push(Line { step: step.to_owned(), outcome, took });
    }

    /// Keeps what single tests said of why they did not run, a line for each.
    pub(crate) fn skipped_tests(&mut self, notes: Vec<String>) {
        self.skipped_tests = notes;
    }

    /// Whether any step failed.
    pub(crate) fn failed(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)))
    }

    /// Whether this step was run and failed.
    pub(crate) fn has_failed(&self, step: &str) -> bool {
        matches!(self.outcome(step), Some(Outcome::Failed(_)))
    }

    /// Whether this step was wanted and skipped.
    pub(crate) fn has_skipped(&self, step: &str) -> bool {
        matches!(self.outcome(step), Some(Outcome::Skipped(_)))
    }

    fn outcome(&self, step: &str) -> Option<&Outcome> {
        self.lines.iter().find(|line| line.step == step).map(|line| &line.outcome)
    }

    fn count(&self, word: &str) -> usize {
        self.lines.iter().filter(|line| line.outcome.word() == word).count()
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(reason) | Self::Skipped(reason) => reason,
        }
    }
}

impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(failure) => Self::Failed(failure.to_string()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.step.len()).max().unwrap_or(0);
        writeln!(f)?;
        for Line { step, outcome, took } in &self.lines {
            let (word, seconds) = (outcome.word(), took.as_secs_f64());
            let row = format!("{step:width$}  {word:7}  {seconds:7.1} s  {}", outcome.reason());
            writeln!(f, "{}", row.trim_end())?;
        }
        if !self.skipped_tests.is_empty() {
            writeln!(f, "\n{}", self.skipped_tests.join("\n"))?;
        }
        let (passed, failed) = (self.count("passed"), self.count("FAILED"));
        write!(f, "\n{passed} passed, {failed} failed, {} skipped", self.count("skipped"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_and_gives_reasons() {
        let report = three_outcomes().to_string();
        assert!(report.contains("cannot be fetched"), "{report}");
        assert!(report.ends_with("1 passed, 1 failed, 1 skipped"), "{report}");
    }

    #[test]
    fn one_failed_step_fails_the_run() {
        assert!(three_outcomes().failed());
        assert!(three_outcomes().has_failed("clippy"));
        assert!(!three_outcomes().has_failed("fmt"));
        assert!(three_outcomes().has_skipped("advisories"));
    }

    #[test]
    fn a_skipped_step_fails_nothing() {
        let mut report = Report::default();
        report.add("deny", Outcome::Skipped("offline".to_owned()), Duration::ZERO);
        assert!(!report.failed());
    }

    #[test]
    fn tests_that_were_skipped_are_listed_below_the_table() {
        let mut report = three_outcomes();
        report.skipped_tests(vec!["skipped: a: no b".to_owned(), "skipped: c: no d".to_owned()]);
        let text = report.to_string();
        assert!(text.contains("\n\nskipped: a: no b\nskipped: c: no d\n\n1 passed"), "{text}");
        assert!(!report.has_skipped("a"));
    }

    fn three_outcomes() -> Report {
        let mut report = Report::default();
        let (failed, skipped) = ("exit status: 101".to_owned(), "cannot be fetched".to_owned());
        report.add("fmt", Outcome::Passed, Duration::ZERO);
        report.add("clippy", Outcome::Failed(failed), Duration::ZERO);
        report.add("advisories", Outcome::Skipped(skipped), Duration::ZERO);
        report
    }
}
