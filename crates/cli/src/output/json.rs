//! Results for programs.

use serde::Serialize;
use serde_json::Value;

/// The result as the daemon gave it, on a line of its own.
pub(crate) fn line(result: &Value) -> String {
    format!("{result}\n")
}

/// A result of this process, on a line of its own.
pub(crate) fn text(result: &impl Serialize) -> String {
    let text = serde_json::to_string(result).expect("views have only text keys");
    text + "\n"
}
