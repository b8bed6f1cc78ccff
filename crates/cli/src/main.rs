//! `vane`: how a person works with the edge proxy daemon `vaned`.
//!
//! One invocation is one question: the arguments name it, `connect` puts it to the daemon or
//! `local` to the compiler, and `output` writes the answer, for people or as the daemon gave it. Modules are listed in flow
//! order, and each uses only those below it.

mod command;

mod args;
mod connect;
mod error;
mod local;
mod output;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help on a closed pipe, or a usage error on a closed stderr: nobody is left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::USAGE));
        }
    };
    ExitCode::from(command::run(args, &environment()))
}

/// The variables whose name and value are UTF-8.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
