//! `cargo xtask deb`: the two programs with their units as a package for Debian, with cargo-deb.

use crate::command::{self, Program};
use crate::report::{Outcome, Report};
use crate::tools::{self, Tool};

/// Builds the programs as they are released, and packs them.
pub(crate) fn run() -> Report {
    let mut report = Report::default();
    report.step(PROGRAMS, |_| build());
    report.step(PAGES, |report| if report.has_failed(PROGRAMS) { lacks() } else { pages() });
    report.step(PACKAGE, |report| if report.has_failed(PAGES) { lacks() } else { pack() });
    report
}

fn lacks() -> Outcome {
    Outcome::Failed("the step before failed".to_owned())
}

fn build() -> Outcome {
    Program::cargo().args(["build", "--release", "-p", "vaned", "-p", "vane"]).run().into()
}

/// The manual page and the completions, as the program itself writes them.
fn pages() -> Outcome {
    let release = command::target_dir().join("release");
    for (file, args) in PRINTED {
        let printed = Program::at(&release.join("vane")).args(args).stdout();
        let text = match printed {
            Ok(text) => text,
            Err(failure) => return Outcome::Failed(failure.to_string()),
        };
        if let Err(error) = std::fs::write(release.join(file), text) {
            return Outcome::Failed(format!("{file}: {error}"));
        }
    }
    Outcome::Passed
}

fn pack() -> Outcome {
    let cargo_deb = match tools::find_or_build(&Tool::DEB) {
        Ok(path) => path,
        Err(missing) => return Outcome::Skipped(missing),
    };
    Program::at(&cargo_deb).args(["--no-build", "-p", "vaned"]).run().into()
}

/// What `vane` prints, by the file that the package takes it from.
const PRINTED: [(&str, &[&str]); 4] = [
    ("vane.1", &["man"]),
    ("vane.bash", &["completions", "bash"]),
    ("vane.zsh", &["completions", "zsh"]),
    ("vane.fish", &["completions", "fish"]),
];
const PROGRAMS: &str = "programs";
const PAGES: &str = "pages";
const PACKAGE: &str = "package";
