//! `vane man`: the command line as manual pages.

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Args;
use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, of: &[String]) -> Result<(), CommandError> {
    let page = page(of)?;
    context.print(&String::from_utf8_lossy(&page))
}

fn page(of: &[String]) -> Result<Vec<u8>, CommandError> {
    let mut command = Args::command();
    command.build();
    for name in of {
        command = match command.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return Err(CommandError::Usage(format!("there is no command `{name}`"))),
        };
    }
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(|error| CommandError::System("cannot write the page".to_owned(), error))?;
    Ok(page)
}
