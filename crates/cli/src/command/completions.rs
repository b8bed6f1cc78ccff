//! `vane completions SHELL`: the command line for shells.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, shell: Shell) -> Result<(), CommandError> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "vane", &mut script);
    context.print(&String::from_utf8_lossy(&script))
}
