//! From an invocation to the daemon, and with its answer to the person.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use vane_mgmt::client::{Client, result_view};
use vane_mgmt::error::ClientError;
use vane_mgmt::path::daemon_path;
use vane_mgmt::request::Request;

use crate::error::CommandError;
use crate::output::palette::Palette;
use crate::output::{Output, json};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// The management socket.
    pub(crate) socket: PathBuf,
    /// Where to write.
    pub(crate) output: Output,
    /// The variables of the environment.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Context {
    /// The socket is the given one, or the one that the environment leads to.
    pub(crate) fn new(
        socket: Option<PathBuf>,
        json: bool,
        environment: &BTreeMap<String, String>,
    ) -> Self {
        let socket = socket.unwrap_or_else(|| daemon_path(environment, Path::exists));
        let output = Output::new(json, environment);
        Self { socket, output, variables: environment.clone() }
    }

    /// Asks the daemon and shows its answer, to people as `render` has it.
    ///
    /// # Errors
    /// When there is no answer, when it is no, or when it cannot be written.
    pub(crate) fn show<V: DeserializeOwned>(
        &self,
        request: &Request,
        render: impl FnOnce(&V, Palette) -> String,
    ) -> Result<(), CommandError> {
        let result = self.ask(request)?;
        if self.output.json {
            return self.print(&json::line(&result));
        }
        let view = result_view(request.method(), result)?;
        self.print(&render(&view, self.output.results))
    }

    /// Asks the daemon and answers its result as the daemon wrote it.
    ///
    /// Questions are given up after ten seconds, a ping after three. Compiling and reloading wait
    /// for as long as the daemon takes, because what they wait for may be another person's reload.
    ///
    /// # Errors
    /// Every [`ClientError`]. The details of a no are written to stdout if JSON is wanted.
    pub(crate) fn ask(&self, request: &Request) -> Result<Value, CommandError> {
        let answer = runtime()?.block_on(self.call(request));
        match &answer {
            Err(ClientError::No { data, .. }) if self.output.json && !data.is_null() => {
                self.print(&json::line(data))?;
            }
            _ => {}
        }
        Ok(answer?)
    }

    /// Writes a result to stdout.
    ///
    /// # Errors
    /// When stdout does not take it, for another reason than that its reader has gone.
    pub(crate) fn print(&self, text: &str) -> Result<(), CommandError> {
        let written = self.output.result(text.as_bytes());
        written.map_err(|error| CommandError::System("cannot write the result".to_owned(), error))
    }

    async fn call(&self, request: &Request) -> Result<Value, ClientError> {
        let client = Client::connect(&self.socket).await?;
        let mut client = match request {
            Request::Reload | Request::CompileDryRun(_) | Request::Plan(_) => client,
            Request::Ping => client.with_limit(PING_LIMIT),
            _ => client.with_limit(QUESTION_LIMIT),
        };
        client.call(request.method(), request.params()).await
    }
}

fn runtime() -> Result<Runtime, CommandError> {
    let built: io::Result<Runtime> = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| CommandError::System("cannot start the runtime".to_owned(), error))
}

/// Less than what watches by `vane ping` waits for it, so that it is the one to say what is wrong.
const PING_LIMIT: Duration = Duration::from_secs(3);
const QUESTION_LIMIT: Duration = Duration::from_secs(10);
