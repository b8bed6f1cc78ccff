//! The project's own tasks, run as `cargo xtask <task>`.
//!
//! Flow: `args` says what is wanted, `bench`, `check`, `deb`, `fuzz` and `image` know the steps,
//! `packages` and `tools` find, install or build the programs they need, `report` keeps what came of each,
//! `command` runs one program in sight of the reader.

mod args;
mod bench;
mod check;
mod deb;
mod fuzz;
mod image;
mod packages;
mod tools;

mod report;

mod command;

use std::process::ExitCode;

use args::Task;

/// Exit code 0 when nothing failed, 1 when a step failed, 2 when the command line is wrong.
fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(Task::Help) => {
            command::say(args::USAGE);
            ExitCode::SUCCESS
        }
        Ok(Task::Test { only }) => finish(&check::run(&only)),
        Ok(Task::Bench) => finish(&bench::run()),
        Ok(Task::Deb) => finish(&deb::run()),
        Ok(Task::Image { tag }) => finish(&image::run(&tag)),
        Ok(Task::Fuzz { seconds }) => finish(&fuzz::run(seconds)),
        Err(error) => {
            command::say(&format!("error: {error}\n\n{}", args::USAGE));
            ExitCode::from(2)
        }
    }
}

fn finish(report: &report::Report) -> ExitCode {
    command::say(&report.to_string());
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
