//! The container engine, by its command line.

use std::path::Path;

use crate::command::{Failure, Program};
use crate::report::Outcome;

/// Whether an engine answers.
pub(super) fn engine() -> Outcome {
    let said = docker(&["version", "--format={{.Server.Version}}"]).stdout();
    match said {
        Ok(_) => Outcome::Passed,
        Err(Failure::NotStarted(error)) => {
            Outcome::Failed(format!("`docker` cannot be run: {error}; `apt-get install docker.io`"))
        }
        Err(failure) => Outcome::Failed(format!("no container engine answers: {failure}")),
    }
}

/// Builds an image from what `context` holds, without a network.
pub(super) fn build(
    dockerfile: &str,
    tag: &str,
    arguments: &[String],
    context: &Path,
) -> Result<(), Failure> {
    let mut build = docker(&["build", "--quiet", "--network=none", "--file", dockerfile])
        .args(["--tag", tag])
        // The newer builder asks a registry even for images that are there.
        .env("DOCKER_BUILDKIT", "0");
    for argument in arguments {
        build = build.args(["--build-arg", argument]);
    }
    build.args([context]).run()
}

/// Runs the image once, allowed as little as there is.
pub(super) fn tries(tag: &str, command: &[&str]) -> Result<(), Failure> {
    docker(&["run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"])
        .args(["--security-opt=no-new-privileges", tag])
        .args(command)
        .run()
}

/// Whether a file for Docker Compose is understood.
pub(super) fn reads(file: &str) -> Outcome {
    let compose = if docker(&["compose", "version"]).answers() {
        docker(&["compose"])
    } else if Program::new("docker-compose").args(["version"]).answers() {
        Program::new("docker-compose")
    } else {
        return Outcome::Skipped("no Docker Compose: `apt-get install docker-compose`".to_owned());
    };
    compose.args(["--file", file, "config", "--quiet"]).run().into()
}

/// The bytes of an image.
pub(super) fn size(tag: &str) -> Result<u64, String> {
    let said = docker(&["image", "inspect", "--format={{.Size}}", tag]).stdout();
    let text = said.map_err(|failure| failure.to_string())?;
    text.trim().parse().map_err(|error| format!("`{}` is no size: {error}", text.trim()))
}

fn docker(args: &[&str]) -> Program {
    Program::new("docker").args(args)
}
