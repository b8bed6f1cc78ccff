//! The commands, one file each: what is asked, and how the answer looks to people.

mod cert_renew;
mod check;
mod compile;
mod completions;
mod explain;
mod explain_error;
mod fields;
mod get_certs;
mod get_config;
mod get_connections;
mod get_listeners;
mod man;
mod ping;
mod plan;
mod reload;
mod schema;
mod shutdown;
mod stats;

mod verdict;

use std::collections::BTreeMap;

use crate::args::{Args, Cert, Command, Get};
use crate::connect::Context;
use crate::error::{CommandError, DONE};

/// Carries out one invocation and answers its exit status. An error is said on stderr, once.
pub(crate) fn run(args: Args, environment: &BTreeMap<String, String>) -> u8 {
    let context = Context::new(args.socket, args.json, environment);
    match carry_out(&args.command, &context) {
        Ok(()) => DONE,
        Err(error) => {
            context.output.remark(&error.report(context.output.remarks));
            error.status()
        }
    }
}

fn carry_out(command: &Command, context: &Context) -> Result<(), CommandError> {
    match command {
        Command::Ping => ping::run(context),
        Command::Stats => stats::run(context),
        Command::Reload => reload::run(context),
        Command::Shutdown { budget_secs } => shutdown::run(context, *budget_secs),
        Command::Compile { dir } => compile::run(context, dir),
        Command::Check { dir, allow_unset } => check::run(context, dir, *allow_unset),
        Command::Plan { dir } => plan::run(context, dir.as_deref()),
        Command::Get(Get::Config) => get_config::run(context),
        Command::Get(Get::Listeners) => get_listeners::run(context),
        Command::Get(Get::Connections) => get_connections::run(context),
        Command::Get(Get::Certs) => get_certs::run(context),
        Command::Cert(Cert::Renew { name }) => cert_renew::run(context, name),
        Command::Explain(asked) => explain::run(context, asked),
        Command::Schema { of } => schema::run(context, *of),
        Command::Fields => fields::run(context),
        Command::ExplainError { code } => explain_error::run(context, code.as_deref()),
        Command::Completions { shell } => completions::run(context, *shell),
        Command::Man { of } => man::run(context, of),
    }
}
