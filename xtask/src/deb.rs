//! `cargo xtask deb`: the two programs with their units as a package for Debian, with cargo-deb.

use crate::command::{self, Program};
use crate::report::{Outcome, Report};
use crate::tools::{self, Tool};

/// Builds the programs as they are released, and packs them.
pub(crate) fn run() -> Report {
    let mut report = Report::default();
    report.step(PROGRAMS, |_| build());
    report.step(PAGES, |report| if report.has_failed(PROGRAMS) { lacks() } else { pages(RELEASE) });
    report.step(PACKAGE, |report| {
        if report.has_failed(PAGES) { lacks() } else { pack(&["--profile", RELEASE]) }
    });
    report
}

/// Packs the programs that tests drive, for the tests to install: beside the programs, as `vaned.deb`.
pub(crate) fn for_tests() -> Outcome {
    if !Program::new("dpkg-deb").args(["--version"]).answers() {
        return Outcome::Skipped("this is no Debian: there is no dpkg-deb".to_owned());
    }
    match pages(DEBUG) {
        Outcome::Passed => {}
        other => return other,
    }
    let package = command::target_dir().join(DEBUG).join("vaned.deb");
    let output = package.to_string_lossy();
    pack(&["--profile", "dev", "--fast", "--no-dbgsym", "--output", &output])
}

fn lacks() -> Outcome {
    Outcome::Failed("the step before failed".to_owned())
}

fn build() -> Outcome {
    Program::cargo().args(["build", "--release", "-p", "vaned", "-p", "vane"]).run().into()
}

/// The manual page and the completions, as the program of that profile itself writes them.
fn pages(profile: &str) -> Outcome {
    let programs = command::target_dir().join(profile);
    for (file, args) in PRINTED {
        let printed = Program::at(&programs.join("vane")).args(args).stdout();
        let text = match printed {
            Ok(text) => text,
            Err(failure) => return Outcome::Failed(failure.to_string()),
        };
        if let Err(error) = std::fs::write(programs.join(file), text) {
            return Outcome::Failed(format!("{file}: {error}"));
        }
    }
    Outcome::Passed
}

fn pack(options: &[&str]) -> Outcome {
    let cargo_deb = match tools::find_or_build(&Tool::DEB) {
        Ok(path) => path,
        Err(missing) => return Outcome::Skipped(missing),
    };
    Program::at(&cargo_deb).args(["--no-build", "-p", "vaned"]).args(options).run().into()
}

/// What `vane` prints, by the file that the package takes it from.
const PRINTED: [(&str, &[&str]); 4] = [
    ("vane.1", &["man"]),
    ("vane.bash", &["completions", "bash"]),
    ("vane.zsh", &["completions", "zsh"]),
    ("vane.fish", &["completions", "fish"]),
];
/// Directories of `target`.
const RELEASE: &str = "release";
const DEBUG: &str = "debug";
const PROGRAMS: &str = "programs";
const PAGES: &str = "pages";
const PACKAGE: &str = "package";
