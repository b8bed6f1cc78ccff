//! Programs and files from Debian's packages that some tasks need. Whoever may install them gets
//! them installed; everybody else is told the line to type.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::command::{self, Program, which};
use crate::report::Outcome;

/// A package, and the programs by which it is known to be there.
#[derive(Debug)]
pub(crate) struct Package {
    name: &'static str,
    programs: &'static [&'static str],
}

/// Sees to it that what the tests run is there. What cannot be had is skipped with its tests, or
/// fails where it is required.
pub(crate) fn provide_for_tests() -> Outcome {
    outcome(&provide(&FOR_TESTS), is_required())
}

/// Sees to it that the packages are there, and answers those that are not.
pub(crate) fn provide(packages: &[&'static Package]) -> Vec<&'static Package> {
    let missing = lacking(packages);
    if !missing.is_empty() && may_install() {
        install(&missing);
        return lacking(packages);
    }
    missing
}

/// The line to type for what is lacking.
pub(crate) fn line_to_type(lacking: &[&Package]) -> String {
    let names: Vec<_> = lacking.iter().map(|package| package.name).collect();
    format!("`sudo apt-get install {}`", names.join(" "))
}

fn lacking(packages: &[&'static Package]) -> Vec<&'static Package> {
    let is_there = |package: &Package| package.programs.iter().all(|name| which(name).is_some());
    packages.iter().copied().filter(|package| !is_there(package)).collect()
}

fn may_install() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    is_root && Program::new("apt-get").args(["--version"]).answers()
}

/// The lists of packages are fetched only where those at hand do not do.
fn install(lacking: &[&Package]) {
    let install = || {
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(lacking.iter().map(|package| package.name))
            .run_within(LIMIT)
    };
    let installed = install().or_else(|_| {
        apt_get().args(["update"]).run_within(LIMIT)?;
        install()
    });
    if let Err(failure) = installed {
        command::say(&format!("the packages cannot be installed: {failure}"));
    }
}

fn apt_get() -> Program {
    Program::new("apt-get")
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=60"])
        .env("DEBIAN_FRONTEND", "noninteractive")
}

fn is_required() -> bool {
    std::env::var_os("VANE_TEST_REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

fn outcome(lacking: &[&Package], required: bool) -> Outcome {
    if lacking.is_empty() {
        return Outcome::Passed;
    }
    let reason = format!("some tests need {}", line_to_type(lacking));
    if required { Outcome::Failed(reason) } else { Outcome::Skipped(reason) }
}

pub(crate) const BUSYBOX: Package = Package { name: "busybox-static", programs: &["busybox"] };
pub(crate) const CA_CERTIFICATES: Package =
    Package { name: "ca-certificates", programs: &["update-ca-certificates"] };
pub(crate) const PEBBLE: Package =
    Package { name: "pebble", programs: &["pebble", "pebble-challtestsrv"] };
const KNOT: Package = Package { name: "knot", programs: &["knotd"] };
const TESTSSL: Package = Package { name: "testssl.sh", programs: &["testssl"] };
const NIX: Package =
    Package { name: "nix-bin", programs: &["nix", "nix-instantiate", "nix-build"] };
const SYSTEMD: Package = Package {
    name: "systemd",
    programs: &["systemd", "systemd-analyze", "systemd-socket-activate", "systemd-sysusers"],
};
const PYTHON: Package = Package { name: "python3", programs: &["python3"] };
const FOR_TESTS: [&Package; 8] =
    [&PEBBLE, &KNOT, &TESTSSL, &NIX, &SYSTEMD, &PYTHON, &BUSYBOX, &CA_CERTIFICATES];
const LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_skipped_with_the_line_to_type_or_fails_where_it_is_required() {
        let lacking = [&KNOT, &TESTSSL];
        let line = "some tests need `sudo apt-get install knot testssl.sh`";
        assert!(matches!(outcome(&lacking, false), Outcome::Skipped(reason) if reason == line));
        assert!(matches!(outcome(&lacking, true), Outcome::Failed(reason) if reason == line));
        assert!(matches!(outcome(&[], true), Outcome::Passed));
    }
}
