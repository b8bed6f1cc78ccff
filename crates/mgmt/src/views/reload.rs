//! How a reload went.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of `reload`. A refused reload is an error answer whose `data` is this view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReloadView {
    /// What became of it.
    pub outcome: ReloadOutcome,
    /// The generation that serves after it.
    pub generation: u64,
    /// The content hash of the graph that serves after it, in hexadecimal.
    pub graph_hash: String,
    /// Who asked for it.
    pub trigger: ReloadTrigger,
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// Milliseconds from reading the first file to the end.
    pub duration_ms: u64,
    /// What changed, in the compiler's form; absent when nothing was installed.
    pub plan: Option<Value>,
    /// The plan for people; absent when nothing was installed.
    pub text: Option<String>,
    /// What the compiler said, an array in its own form.
    pub diagnostics: Value,
    /// What the compiler said, for people, without colour; empty when it said nothing.
    pub rendered: String,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// A new generation serves.
    Installed,
    /// The directory compiles to the graph that already serves.
    Unchanged,
    /// The directory does not compile; the old generation goes on serving.
    Refused,
}

/// Who asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadTrigger {
    /// The start of the daemon.
    Boot,
    /// A change in the configuration directory.
    Watch,
    /// The signal SIGHUP.
    Sighup,
    /// The management method `reload`.
    Manage,
}

impl fmt::Display for ReloadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Installed => "installed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        })
    }
}

impl fmt::Display for ReloadTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boot => "boot",
            Self::Watch => "watch",
            Self::Sighup => "sighup",
            Self::Manage => "manage",
        })
    }
}
