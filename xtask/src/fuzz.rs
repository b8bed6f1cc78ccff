//! `cargo xtask fuzz`: every target under `fuzz/fuzz_targets` for a while, with cargo-fuzz on
//! nightly.

use std::io;
use std::path::{Path, PathBuf};

use crate::command::{self, Program};
use crate::report::{Outcome, Report};
use crate::tools::{self, Tool};

/// Runs each target for `seconds`; one line in the report for each.
pub(crate) fn run(seconds: u32) -> Report {
    let mut report = Report::default();
    let targets = match targets(&command::repository().join("fuzz/fuzz_targets")) {
        Ok(targets) => targets,
        Err(error) => {
            report.step("targets", |_| {
                Outcome::Skipped(format!("fuzz/fuzz_targets cannot be read: {error}"))
            });
            return report;
        }
    };
    match cargo_fuzz() {
        Ok(cargo_fuzz) => {
            for target in targets {
                report.step(&target, |_| fuzz(&cargo_fuzz, &target, seconds));
            }
        }
        Err(missing) => report.step("tools", |_| Outcome::Skipped(missing)),
    }
    report
}

/// The names of the targets in lexical order.
fn targets(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in dir.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn cargo_fuzz() -> Result<PathBuf, String> {
    if !nightly().args(["rustc", "--version"]).answers() {
        return Err("no nightly toolchain; `rustup toolchain install nightly`".to_owned());
    }
    tools::find_or_build(&Tool::FUZZ)
}

fn fuzz(cargo_fuzz: &Path, target: &str, seconds: u32) -> Outcome {
    nightly()
        .args([cargo_fuzz, Path::new("run"), Path::new(target), Path::new("--")])
        .args([format!("-max_total_time={seconds}"), "-timeout=10".to_owned()])
        .run()
        .into()
}

/// `CARGO` names the toolchain of this task, which is not the one wanted below here.
fn nightly() -> Program {
    Program::new("rustup").args(["run", "nightly"]).env_remove("CARGO")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_rust_files_in_lexical_order() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let names = targets(&here).unwrap();
        assert!(names.contains(&"fuzz".to_owned()));
        assert!(names.is_sorted());
    }
}
