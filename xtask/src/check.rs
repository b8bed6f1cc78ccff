//! `cargo xtask test`: everything that can be checked on this machine, one step after another.
//!
//! A failing step does not stop the later ones, except that tests need a build. A step that this
//! machine cannot run is skipped with the reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{self, Program};
use crate::report::{Outcome, Report};
use crate::tools::{self, Tool};
use crate::{deb, image, packages};

/// One thing to check. The order here is the order of a run: what answers fastest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The code is formatted.
    Fmt,
    /// No lint of the workspace fires, in any target.
    Clippy,
    /// The documentation builds without a warning.
    Docs,
    /// Dependencies keep to the licences, bans and sources of `deny.toml`.
    Deny,
    /// No dependency has a known vulnerability; needs the advisory database from the network.
    Advisories,
    /// Programs that tests need are installed, where they may be.
    Tools,
    /// The two binaries build.
    Build,
    /// The package for Debian is made of them, for tests to install.
    Package,
    /// The container images that tests start are built, where there is an engine.
    Images,
    /// Unit, golden, tidy and integration tests.
    Test,
}

/// Runs the steps in `only`, or all of them when it is empty.
pub(crate) fn run(only: &[Step]) -> Report {
    let mut report = Report::default();
    for step in Step::ALL.into_iter().filter(|step| step.is_wanted(only)) {
        report.step(step.name(), |so_far| match step {
            Step::Fmt => cargo(&["fmt", "--all", "--check"]).into(),
            Step::Clippy => clippy(),
            Step::Docs => docs(),
            Step::Deny => deny(),
            Step::Advisories => advisories(so_far),
            Step::Tools => packages::provide_for_tests(),
            Step::Build => cargo(&["build", "--locked", "-p", "vaned", "-p", "vane"]).into(),
            Step::Package => package(so_far),
            Step::Images => image::provide_for_tests(),
            Step::Test => tests(so_far),
        });
    }
    if Step::Test.is_wanted(only) {
        report.skipped_tests(notes_of(&skips()));
    }
    report
}

impl Step {
    pub(crate) const ALL: [Self; 10] = [
        Self::Fmt,
        Self::Clippy,
        Self::Docs,
        Self::Deny,
        Self::Advisories,
        Self::Tools,
        Self::Build,
        Self::Package,
        Self::Images,
        Self::Test,
    ];

    /// The step with this name on the command line.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Deny => "deny",
            Self::Advisories => "advisories",
            Self::Tools => "tools",
            Self::Build => "build",
            Self::Package => "package",
            Self::Images => "images",
            Self::Test => "test",
        }
    }

    /// The integration tests drive the two binaries, as processes and in containers, and run other
    /// programs beside them, so wanting tests means wanting these.
    fn is_wanted(self, only: &[Self]) -> bool {
        let is_for_tests = matches!(self, Self::Tools | Self::Build | Self::Package | Self::Images);
        only.is_empty() || only.contains(&self) || (is_for_tests && only.contains(&Self::Test))
    }
}

fn clippy() -> Outcome {
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]).into()
}

fn docs() -> Outcome {
    Program::cargo()
        .args(["doc", "--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
        .into()
}

fn deny() -> Outcome {
    match tools::find_or_build(&Tool::DENY) {
        Ok(path) => Program::at(&path)
            .args(["--all-features", "check", "bans", "licenses", "sources"])
            .run()
            .into(),
        Err(reason) => Outcome::Skipped(reason),
    }
}

fn advisories(so_far: &Report) -> Outcome {
    if so_far.has_skipped(Step::Deny.name()) {
        return Outcome::Skipped("cargo-deny cannot be had, see above".to_owned());
    }
    let path = match tools::find_or_build(&Tool::DENY) {
        Ok(path) => path,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let fetch = Program::at(&path).args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0");
    if let Err(error) = fetch.run_within(FETCH_LIMIT) {
        return Outcome::Skipped(format!("the advisory database cannot be fetched: {error}"));
    }
    Program::at(&path)
        .args(["--all-features", "check", "--disable-fetch", "advisories"])
        .run()
        .into()
}

fn package(so_far: &Report) -> Outcome {
    if so_far.has_failed(Step::Build.name()) {
        return Outcome::Skipped("the build failed".to_owned());
    }
    deb::for_tests()
}

fn tests(so_far: &Report) -> Outcome {
    if so_far.has_failed(Step::Build.name()) {
        return Outcome::Skipped("the build failed".to_owned());
    }
    let skips = skips();
    // Only those of this run are to be read; most often there is no such file.
    let _ = fs::remove_file(&skips);
    Program::cargo()
        .args(["test", "--locked", "--workspace", "--no-fail-fast"])
        .env("VANE_TEST_SKIPS", &skips.to_string_lossy())
        .run()
        .into()
}

/// Where tests note that they were skipped, since what they print is seen only when they fail.
fn skips() -> PathBuf {
    command::target_dir().join("skipped-tests")
}

/// The lines of that file, each once.
fn notes_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn cargo(args: &[&str]) -> Result<(), command::Failure> {
    Program::cargo().args(args.iter().copied()).run()
}

const FETCH_LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_found_by_its_name() {
        for step in Step::ALL {
            assert_eq!(Some(step), Step::named(step.name()));
        }
    }

    #[test]
    fn asking_for_tests_asks_for_what_they_start_too() {
        assert!(Step::Build.is_wanted(&[Step::Test]));
        assert!(Step::Tools.is_wanted(&[Step::Test]));
        assert!(Step::Package.is_wanted(&[Step::Test]));
        assert!(Step::Images.is_wanted(&[Step::Test]));
        assert!(!Step::Build.is_wanted(&[Step::Fmt]));
        assert!(!Step::Fmt.is_wanted(&[Step::Test]));
    }

    #[test]
    fn tests_are_not_run_after_a_failed_build() {
        let mut report = Report::default();
        report.add("build", Outcome::Failed("exit status: 101".to_owned()), Duration::ZERO);
        assert!(matches!(tests(&report), Outcome::Skipped(_)));
    }

    #[test]
    fn what_tests_noted_is_read_once_each_and_in_order() {
        let file = command::target_dir().join(format!("notes-{}", std::process::id()));
        fs::create_dir_all(command::target_dir()).unwrap();
        fs::write(&file, "skipped: b\nskipped: a\nskipped: b\n").unwrap();
        assert_eq!(["skipped: a", "skipped: b"], notes_of(&file).as_slice());
        fs::remove_file(&file).unwrap();
        assert!(notes_of(&file).is_empty());
    }

    #[test]
    fn a_tool_that_could_not_be_built_is_not_built_again() {
        let mut report = Report::default();
        report.add("deny", Outcome::Skipped("offline".to_owned()), Duration::ZERO);
        assert!(matches!(advisories(&report), Outcome::Skipped(_)));
    }
}
