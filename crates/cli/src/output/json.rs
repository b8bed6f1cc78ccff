//! Results for programs.

use serde_json::Value;

/// The result as the daemon gave it, on a line of its own.
pub(crate) fn line(result: &Value) -> String {
    format!("{result}\n")
}
