//! The phase in which a rule is asked.

use crate::rules::Rule;
use crate::rules::action::Action;
use crate::value::field::Layer;

/// When a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Once a connection, before anything of it is decrypted or parsed.
    Raw,
    /// Once a request.
    Http,
}

impl Phase {
    /// A tunnel is raw, and so is a `close` that asks nothing of a request.
    pub(crate) fn of(rule: &Rule) -> Self {
        match rule.action {
            Action::Tunnel(_) => Self::Raw,
            Action::Close if rule.layer() < Layer::Request => Self::Raw,
            _ => Self::Http,
        }
    }
}
