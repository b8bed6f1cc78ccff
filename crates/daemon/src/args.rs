//! What may be typed behind `vaned`.

use std::path::PathBuf;

use clap::Parser;

/// Serve traffic as a configuration directory says.
#[derive(Debug, Parser)]
#[command(name = "vaned", version, after_long_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// The configuration directory
    ///
    /// Without it: VANE_CONFIG_DIR, else /etc/vaned.
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,

    /// Compile the configuration, say what is wrong with it or what would be served, and end
    #[arg(long)]
    pub(crate) check: bool,

    /// Take a variable that is not set as a warning
    #[arg(long, requires = "check")]
    pub(crate) allow_unset: bool,
}

const AFTER_HELP: &str = "\
Signals:
  SIGHUP            read the configuration directory again
  SIGTERM, SIGINT   finish what is in flight and end; a second one ends at once

Exit status:
  0  ended as told, or the configuration is valid
  1  the configuration is invalid, or a socket or file that is needed was refused
  2  the command line or the environment is wrong
  3  a second signal ended it before what was in flight had finished

Every setting of the environment is listed in docs/environment.md.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_daemon_that_serves_takes_no_unset_variables() {
        assert!(Args::try_parse_from(["vaned", "--allow-unset"]).is_err());
        assert!(Args::try_parse_from(["vaned", "--check", "--allow-unset"]).is_ok());
    }
}
