//! Calls on the management socket, spelled out here so that the suite checks the wire itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// A management socket by its path; each call makes its own connection.
#[derive(Debug, Clone)]
pub struct Management {
    path: PathBuf,
}

impl Management {
    /// The socket at that path, whether or not anything listens there yet.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One call, bounded by 30 seconds.
    ///
    /// # Errors
    /// The error object of the answer; or, when there was no answer, an object whose one member
    /// `no_answer` says why.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let called = timeout(LIMIT, self.exchange(method, params)).await;
        let answer = match called {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(json!({ "no_answer": error.to_string() })),
            Err(_) => return Err(json!({ "no_answer": format!("nothing within {LIMIT:?}") })),
        };
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }

    async fn exchange(&self, method: &str, params: Value) -> std::io::Result<Value> {
        let mut stream = UnixStream::connect(&self.path).await?;
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        let answer: Value = serde_json::from_str(&line)?;
        let right = answer["jsonrpc"] == "2.0" && answer["id"] == 1;
        right.then_some(answer).ok_or_else(|| std::io::Error::other(format!("answered {line}")))
    }
}

const LIMIT: Duration = Duration::from_secs(30);
