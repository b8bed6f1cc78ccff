//! What the operator wrote, as types: the whole language, with the place of every item.
//!
//! There is no logic here. What rules mean, which items go together and what their defaults are
//! is decided by the compiler; these types only say what can be written.

pub mod action;
pub mod daemon;
pub mod middleware;
pub mod predicate;
pub mod rule;
pub mod tls;

pub use daemon::DaemonConfig;
pub use rule::Rule;

/// JSON Schemas, draft 2020-12, of the two kinds of file.
pub mod schema {
    use serde_json::Value;

    use super::{DaemonConfig, rule::RuleFile};
    use crate::shape::schema::document;

    /// The schema of `config.json`.
    pub fn config() -> Value {
        document::<DaemonConfig>("vane config.json")
    }

    /// The schema of `rules/*.json`.
    pub fn rules() -> Value {
        document::<RuleFile>("vane rules")
    }
}
