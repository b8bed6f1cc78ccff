//! What a person may type.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Work with the edge proxy daemon vaned.
#[derive(Debug, Parser)]
#[command(name = "vane", version, after_long_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    /// The daemon's management socket
    ///
    /// Without it: VANE_MGMT_UNIX, else vaned.sock in XDG_RUNTIME_DIR if it is there, else
    /// /var/run/vaned.sock.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Print the result as the daemon gave it, one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask whether the daemon is there and none of its serving threads is stuck
    Ping,
    /// Show how the daemon is: generation, connections, requests, the latest reload
    Stats,
    /// Have the configuration directory read again, and wait for the outcome
    Reload,
    /// Have the daemon finish what is in flight and end
    Shutdown {
        /// Seconds that in-flight work gets; the daemon's own setting if absent
        #[arg(long, value_name = "SECONDS")]
        budget_secs: Option<u64>,
    },
    /// Show what a configuration directory compiles to, and install nothing
    Compile {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Say what is wrong with a configuration directory; needs no daemon
    Check {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Take a variable that is not set as a warning
        #[arg(long)]
        allow_unset: bool,
    },
    /// Show what a reload would change, and change nothing
    Plan {
        /// The directory; the daemon's own if absent
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Show a part of what serves now
    #[command(subcommand)]
    Get(Get),
    /// Act on a certificate
    #[command(subcommand)]
    Cert(Cert),
    /// Say which rule takes a request or a connection, and why
    Explain(Explain),
    /// Print the JSON Schema of a kind of configuration file, for editors
    Schema {
        /// The kind of file
        of: FileKind,
    },
    /// List the fields that can be matched
    Fields,
    /// Say what a diagnostic means, how it comes about, and the way out
    ExplainError {
        /// The code in brackets, such as `unknown-field`; all are listed without it
        code: Option<String>,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of vane or of one of its commands, in roff
    Man {
        /// The command, such as `get listeners`
        #[arg(value_name = "COMMAND")]
        of: Vec<String>,
    },
}

/// What `get` can show.
#[derive(Debug, Subcommand)]
pub(crate) enum Get {
    /// The compiled configuration that serves
    Config,
    /// The listeners: addresses, states, connections
    Listeners,
    /// The open connections from clients
    Connections,
    /// The certificates: names, states, ends, when they are renewed and what went wrong
    Certs,
}

/// What can be done about a certificate.
#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// Order a managed certificate now, whatever its schedule says; does not wait for it
    Renew {
        /// The certificate, as `vane get certs` calls it
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What `explain` is asked about.
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The request, such as `GET https://host/path`; absent for a connection alone
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Option<String>,
    /// A header of the request; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", requires = "request")]
    pub(crate) headers: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
    /// The server name of the TLS handshake
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// The listener; those at the port of the request if absent
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listener: Option<String>,
    /// The configuration directory; that of the running daemon if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,
}

/// The kinds of configuration files.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum FileKind {
    /// config.json
    Config,
    /// rules/*.json
    Rules,
}

const AFTER_HELP: &str = "\
Exit status:
  0  done
  1  the answer is no: the configuration is invalid, the reload or the renewal was refused
  2  the command line is wrong
  3  no daemon answers

Environment:
  VANE_MGMT_UNIX   the management socket, where --socket is not given
  XDG_RUNTIME_DIR  where a daemon of one's own has it, which comes before that of the system
  NO_COLOR         any value: no colour on a terminal";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
