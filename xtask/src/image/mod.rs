//! `cargo xtask image`: the container image of the product, and the one of the ACME server that its
//! tests run beside it. Both are built without a registry, from what this machine has.
//!
//! `context` gathers the files that each Dockerfile is given, `docker` is the engine.

mod context;
mod docker;

use std::path::Path;

use crate::command::{self, Program};
use crate::packages::{self, Package};
use crate::report::{Outcome, Report};

/// The name that the product's image has unless another is given, and that tests know.
pub(crate) const PRODUCT: &str = "vane:dev";

/// Builds both images, tries the product's, and holds it to [`MOST_BYTES`].
pub(crate) fn run(tag: &str) -> Report {
    let mut report = Report::default();
    report.step("packages", |_| packages());
    report.step("engine", |_| docker::engine());
    if report.failed() {
        return report;
    }
    report.step("programs", |_| programs());
    report.step("builder", |_| builder());
    if !report.failed() {
        report.step("image", |_| image(tag));
    }
    if !report.failed() {
        report.step("try", |_| docker::tries(tag, &["--check"]).into());
        report.step("size", |_| size(tag));
    }
    report.step("example", |_| docker::reads("examples/compose/compose.yaml"));
    report.step("pebble", |_| pebble());
    report
}

/// Builds both images under the names that the tests know. Without an engine they are skipped, or
/// fail where it is required.
pub(crate) fn provide_for_tests() -> Outcome {
    if let Outcome::Failed(reason) = docker::engine() {
        return without_engine(reason, is_required());
    }
    match run(PRODUCT).failed() {
        false => Outcome::Passed,
        true => Outcome::Failed("an image cannot be built, see above".to_owned()),
    }
}

fn is_required() -> bool {
    std::env::var_os("VANE_TEST_REQUIRE_DOCKER").is_some_and(|value| value == "1")
}

fn without_engine(reason: String, required: bool) -> Outcome {
    if required { Outcome::Failed(reason) } else { Outcome::Skipped(reason) }
}

fn packages() -> Outcome {
    match packages::provide(&PACKAGES).as_slice() {
        [] => Outcome::Passed,
        lacking => Outcome::Failed(packages::line_to_type(lacking)),
    }
}

/// With the script that the Dockerfile has for it where it builds from source.
fn programs() -> Outcome {
    Program::new("sh").args([Path::new("container/programs.sh"), &context::programs()]).run().into()
}

/// An image with a shell, for the Dockerfile's build stage.
fn builder() -> Outcome {
    let built = context::builder().map_err(|error| error.to_string()).and_then(|context| {
        docker::build("container/builder/Dockerfile", BUILDER, &[], &context)
            .map_err(|failure| format!("{failure}; is {BUSYBOX} that of busybox-static?"))
    });
    match built {
        Ok(()) => Outcome::Passed,
        Err(reason) => Outcome::Failed(reason),
    }
}

fn image(tag: &str) -> Outcome {
    let context = match context::product() {
        Ok(context) => context,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let arguments = [format!("BUILDER={BUILDER}"), format!("REVISION={}", revision())];
    docker::build("Dockerfile", tag, &arguments, &context).into()
}

/// The commit that is built, or that it is not known.
fn revision() -> String {
    let described = Program::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .stdout();
    described.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn size(tag: &str) -> Outcome {
    match docker::size(tag) {
        Ok(bytes) => {
            command::say(&format!("{tag} has {bytes} bytes"));
            fits(bytes)
        }
        Err(reason) => Outcome::Failed(reason),
    }
}

fn fits(bytes: u64) -> Outcome {
    if bytes <= MOST_BYTES {
        return Outcome::Passed;
    }
    Outcome::Failed(format!("the image has {bytes} bytes, and may have {MOST_BYTES}"))
}

fn pebble() -> Outcome {
    let lacking = packages::provide(&[&packages::PEBBLE]);
    if !lacking.is_empty() {
        return Outcome::Skipped(packages::line_to_type(&lacking));
    }
    match context::pebble() {
        Ok(context) => docker::build("container/pebble/Dockerfile", PEBBLE, &[], &context).into(),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Debian's packages with what goes into the images.
const PACKAGES: [&Package; 3] = [&packages::BUSYBOX, &packages::CA_CERTIFICATES, &packages::PEBBLE];
const BUSYBOX: &str = "/bin/busybox";
const BUILDER: &str = "vane-builder:local";
const PEBBLE: &str = "vane-pebble:local";
/// What the product's image may take, by the engine's own count.
const MOST_BYTES: u64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_above_the_limit_fails_with_both_figures() {
        assert!(matches!(fits(20_000_000), Outcome::Passed));
        let reason = "the image has 20000001 bytes, and may have 20000000";
        assert!(matches!(fits(20_000_001), Outcome::Failed(said) if said == reason));
    }

    #[test]
    fn without_an_engine_images_are_skipped_or_fail_where_one_is_required() {
        let reason = || "no container engine answers: exit status: 1".to_owned();
        assert!(matches!(without_engine(reason(), false), Outcome::Skipped(_)));
        assert!(matches!(without_engine(reason(), true), Outcome::Failed(_)));
    }

    #[test]
    fn the_builder_by_default_has_the_pinned_toolchain() {
        let channel = value("rust-toolchain.toml", "channel = ");
        assert_eq!(format!("rust:{channel}-bookworm"), value("Dockerfile", "ARG BUILDER="));
    }

    #[test]
    fn the_image_says_the_version_of_the_programs() {
        assert_eq!(env!("CARGO_PKG_VERSION"), value("Dockerfile", "ARG VERSION="));
    }

    /// The rest of the line of the file that begins like this, without quotes.
    fn value(file: &str, begin: &str) -> String {
        let text = std::fs::read_to_string(command::repository().join(file)).unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(begin));
        found.unwrap_or_else(|| panic!("{file}: {begin}")).trim_matches('"').to_owned()
    }
}
