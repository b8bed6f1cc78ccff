//! Programs that some tests need and not every machine has.
//!
//! A test without its program is skipped and says so: as a line of its output, and in the file
//! that `cargo xtask test` names and reads. Where `VANE_TEST_REQUIRE_TOOLS` is 1 it fails instead;
//! for what a Docker engine is needed for, `VANE_TEST_REQUIRE_DOCKER` says so.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A program of a Debian package.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name on the search path.
    pub program: &'static str,
    /// The package that brings it.
    pub package: &'static str,
}

impl Tool {
    /// The ACME server.
    pub const PEBBLE: Self = Self { program: "pebble", package: "pebble" };
    /// The DNS server whose answers a test says, beside [`Tool::PEBBLE`].
    pub const CHALLTESTSRV: Self = Self { program: "pebble-challtestsrv", package: "pebble" };
    /// A DNS server that takes dynamic updates.
    pub const KNOTD: Self = Self { program: "knotd", package: "knot" };
    /// What judges units.
    pub const SYSTEMD_ANALYZE: Self = Self { program: "systemd-analyze", package: "systemd" };
    /// What starts a program with sockets, at the first connection.
    pub const SOCKET_ACTIVATE: Self =
        Self { program: "systemd-socket-activate", package: "systemd" };
    /// What takes a lease on a file.
    pub const PYTHON: Self = Self { program: "python3", package: "python3" };
    /// What is process 1 of a machine.
    pub const SYSTEMD: Self = Self { program: "systemd", package: "systemd" };
    /// What creates the users of services.
    pub const SYSUSERS: Self = Self { program: "systemd-sysusers", package: "systemd" };
    /// What evaluates the NixOS module, beside `nix` and `nix-build`.
    pub const NIX: Self = Self { program: "nix-instantiate", package: "nix-bin" };
    /// What looks for weaknesses of a TLS server.
    pub const TESTSSL: Self = Self { program: "testssl", package: "testssl.sh" };

    /// Where it is; `None` skips the calling test, which is then to return.
    ///
    /// # Panics
    /// When it is missing and must not be.
    pub fn find(self) -> Option<PathBuf> {
        self.find_or(&Policy::of_this_run())
    }

    /// As [`Tool::find`], by rules of the caller's own.
    ///
    /// # Panics
    /// When it is missing and the policy requires it.
    pub fn find_or(self, policy: &Policy) -> Option<PathBuf> {
        let found = self.search();
        if found.is_none() {
            let Self { program, package } = self;
            policy.lacks(&format!("no {program}: `apt-get install {package}`"));
        }
        found
    }

    /// The directories of daemons are searched as well: they are not on everybody's path.
    fn search(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        let mut places = std::env::split_paths(&path).chain(daemons);
        places.find_map(|place| Some(place.join(self.program)).filter(|path| path.is_file()))
    }
}

/// What becomes of a test that lacks something.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// It fails, and this variable says so.
    pub required_by: Option<&'static str>,
    /// Where it is noted otherwise.
    pub notes: Option<PathBuf>,
}

impl Policy {
    /// The policy for programs that the environment states.
    pub fn of_this_run() -> Self {
        Self::by("VANE_TEST_REQUIRE_TOOLS")
    }

    /// The policy for containers that the environment states.
    pub fn for_containers() -> Self {
        Self::by("VANE_TEST_REQUIRE_DOCKER")
    }

    /// The calling test lacks that, and is to return.
    ///
    /// # Panics
    /// When nothing may be lacking.
    pub fn lacks(&self, what: &str) {
        if let Some(variable) = self.required_by {
            panic!("{what} ({variable}=1)");
        }
        note(self.notes.as_deref(), what);
    }

    fn by(variable: &'static str) -> Self {
        let is_set = std::env::var_os(variable).is_some_and(|value| value == "1");
        let notes = std::env::var_os(NOTES).map(PathBuf::from);
        Self { required_by: is_set.then_some(variable), notes }
    }
}

/// Notes that the calling test is skipped, or a part of it, and why.
pub fn skipped(why: &str) {
    note(Policy::of_this_run().notes.as_deref(), why);
}

#[expect(clippy::print_stderr, reason = "belongs to the report of the test")]
fn note(notes: Option<&Path>, why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}", thread.name().unwrap_or("a test"));
    eprintln!("{line}");
    if let Some(path) = notes {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    }
}

const NOTES: &str = "VANE_TEST_SKIPS";
