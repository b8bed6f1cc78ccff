//! What the compiler makes of a directory, and what serves: `compile_dry_run`, `plan`,
//! `get_config`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of `compile_dry_run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompileView {
    /// Whether there is a graph: no diagnostic is an error.
    pub ok: bool,
    /// The graph's content hash in hexadecimal, if there is a graph.
    pub graph_hash: Option<String>,
    /// The graph's text form, if there is a graph.
    pub text: Option<String>,
    /// The graph's JSON form, if there is a graph.
    pub graph: Option<Value>,
    /// What the compiler said, an array in its own form.
    pub diagnostics: Value,
    /// The same for people, without colour.
    pub rendered: String,
}

/// The result of `plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// Whether the directory compiles, so that there is a plan.
    pub ok: bool,
    /// What a reload would change, in the compiler's form.
    pub plan: Option<Value>,
    /// The same for people.
    pub text: Option<String>,
    /// What the compiler said, an array in its own form.
    pub diagnostics: Value,
    /// The same for people, without colour.
    pub rendered: String,
}

/// The result of `get_config`: what serves now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigView {
    /// The number of the installed graph.
    pub generation: u64,
    /// Its content hash in hexadecimal.
    pub graph_hash: String,
    /// Its text form.
    pub text: String,
    /// Its JSON form.
    pub graph: Value,
}
