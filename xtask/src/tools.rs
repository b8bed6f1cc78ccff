//! Cargo subcommands that the tasks need: found in `target/tools` or on the search path, else
//! built from crates.io into `target/tools`, once.

use std::path::{Path, PathBuf};

use crate::command::{self, Program};

/// A program published on crates.io.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    /// Pinned, so that a new release cannot change what a check means.
    version: &'static str,
}

impl Tool {
    pub(crate) const DENY: Self = Self { name: "cargo-deny", version: "0.20.2" };
    pub(crate) const DEB: Self = Self { name: "cargo-deb", version: "3.8.0" };
    pub(crate) const FUZZ: Self = Self { name: "cargo-fuzz", version: "0.13.2" };
}

/// The path of the tool, or why it cannot be had.
pub(crate) fn find_or_build(tool: &Tool) -> Result<PathBuf, String> {
    let tools = command::target_dir().join("tools");
    let built = tools.join("bin").join(tool.name);
    if answers(&built) {
        return Ok(built);
    }
    if answers(Path::new(tool.name)) {
        return Ok(tool.name.into());
    }
    build(tool, &tools)?;
    Ok(built)
}

fn answers(program: &Path) -> bool {
    Program::at(program).args(["--version"]).answers()
}

/// Without optimisation: a check that runs for a second does not repay minutes of compiling.
fn build(tool: &Tool, tools: &Path) -> Result<(), String> {
    let scratch = tools.join("build");
    Program::cargo()
        .args(["install", "--locked", "--debug", tool.name, "--version", tool.version])
        .args([Path::new("--root"), tools, Path::new("--target-dir"), &scratch])
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .run()
        .map_err(|failure| format!("{} is missing and cannot be built: {failure}", tool.name))?;
    // What is left behind costs disk only.
    let _ = std::fs::remove_dir_all(scratch);
    Ok(())
}
