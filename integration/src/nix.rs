//! Nix with a store of its own, which is gone with it. It needs neither root nor a daemon, fetches
//! nothing, and builds with the programs of this machine.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary;
use crate::tools::Tool;

/// Nix, and the built programs in the form of a package.
#[derive(Debug)]
pub struct Nix {
    place: TempDir,
}

impl Nix {
    /// `None` where it is not installed: the calling test is skipped, and is then to return.
    ///
    /// # Panics
    /// When the programs are not built, or Nix is missing and must not be.
    pub fn find() -> Option<Self> {
        Tool::NIX.find()?;
        let nix = Self { place: tempfile::tempdir().expect("a temporary directory can be made") };
        let programs = nix.package().join("bin");
        std::fs::create_dir_all(&programs).expect("a directory can be made");
        for program in ["vaned", "vane"] {
            symlink(binary::path(program), programs.join(program)).expect("a link can be made");
        }
        Some(nix)
    }

    /// A directory with `bin/vaned` and `bin/vane`.
    pub fn package(&self) -> PathBuf {
        self.place.path().join("vane")
    }

    /// What is wrong with the syntax of a file.
    pub fn parse(&self, file: &Path) -> Result<(), String> {
        said(self.command("nix-instantiate").arg("--parse").arg(file)).map(drop)
    }

    /// The value of an expression, whose relative paths begin at the repository. What it throws is
    /// the error.
    pub fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let mut command = self.command("nix-instantiate");
        let printed = said(command.args(["--eval", "--strict", "--json", "-E", expression]))?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    }

    /// Builds what an expression stands for, and tells where it is. What the builder said is in the
    /// error.
    pub fn build(&self, expression: &str) -> Result<PathBuf, String> {
        let mut command = self.command("nix-build");
        let printed = said(command.args(["--no-out-link", "-E", expression]))?;
        Ok(PathBuf::from(printed.trim()))
    }

    /// Has Nix evaluate all that a flake offers, with another flake in place of its nixpkgs. Both
    /// are directories, and are read as a whole.
    pub fn check_flake(&self, flake: &Path, nixpkgs: &Path) -> Result<(), String> {
        let as_input = |directory: &Path| format!("path:{}", directory.display());
        let mut command = self.command("nix");
        command.args(["--extra-experimental-features", "nix-command flakes", "flake", "check"]);
        command.args(["--no-build", "--no-write-lock-file", "--override-input", "nixpkgs"]);
        said(command.args([as_input(nixpkgs), as_input(flake)])).map(drop)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let own = |name: &str| self.place.path().join(name);
        command
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("HOME", self.place.path())
            .env("NIX_STORE_DIR", own("store"))
            .env("NIX_STATE_DIR", own("state"))
            .env("NIX_LOG_DIR", own("log"))
            .env("NIX_CONF_DIR", own("settings"))
            .env("NIX_CONFIG", SETTINGS)
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH");
        command
    }
}

fn said(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| format!("cannot be started: {error}"))?;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&stderr).into_owned()),
    }
}

const SETTINGS: &str = "\
build-users-group =
sandbox = false
substitute = false
";
