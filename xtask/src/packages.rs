//! Programs that some integration tests need, from Debian's packages. Whoever may install them
//! gets them installed; everybody else is told the line to type.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::command::{self, Program};
use crate::report::Outcome;

/// Sees to it that the programs are there.
pub(crate) fn provide() -> Outcome {
    let lacking = lacking();
    if !lacking.is_empty() && may_install() {
        install(&lacking);
    }
    outcome(&self::lacking(), is_required())
}

/// A package, and what the tests run of it.
#[derive(Debug)]
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
}

fn lacking() -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| !package.programs.iter().all(|name| is_there(name))).collect()
}

/// The directories of daemons are searched as well: they are not on everybody's path.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(daemons);
    places.any(|place| place.join(program).is_file())
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
    let names: Vec<_> = lacking.iter().map(|package| package.name).collect();
    let reason = format!("some tests need `sudo apt-get install {}`", names.join(" "));
    if required { Outcome::Failed(reason) } else { Outcome::Skipped(reason) }
}

const PACKAGES: [Package; 6] = [
    Package { name: "pebble", programs: &["pebble", "pebble-challtestsrv"] },
    Package { name: "knot", programs: &["knotd"] },
    Package { name: "testssl.sh", programs: &["testssl"] },
    Package { name: "nix-bin", programs: &["nix", "nix-instantiate", "nix-build"] },
    Package {
        name: "systemd",
        programs: &["systemd", "systemd-analyze", "systemd-socket-activate", "systemd-sysusers"],
    },
    Package { name: "python3", programs: &["python3"] },
];
const LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_skipped_with_the_line_to_type_or_fails_where_it_is_required() {
        let lacking: Vec<_> = PACKAGES.iter().skip(1).collect();
        let line = "some tests need `sudo apt-get install knot testssl.sh nix-bin systemd python3`";
        assert!(matches!(outcome(&lacking, false), Outcome::Skipped(reason) if reason == line));
        assert!(matches!(outcome(&lacking, true), Outcome::Failed(reason) if reason == line));
        assert!(matches!(outcome(&[], true), Outcome::Passed));
    }

    #[test]
    fn a_program_is_looked_for_on_the_path() {
        assert!(is_there("sh"));
        assert!(!is_there("no-such-program-here"));
    }
}
