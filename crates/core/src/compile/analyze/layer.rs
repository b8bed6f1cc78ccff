//! The phase in which a rule is asked.

use crate::rules::Rule;
use crate::rules::action::Action;
use crate::value::field::Layer;

/// When a rule is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Once a connection, before anything of it is decrypted or parsed.
    Raw,
    /// Once a connection, when TLS has been terminated.
    Decrypted,
    /// Once a request.
    Http,
}

impl Phase {
    /// A tunnel acts on connections, and so does a `close` that asks nothing of a request: on
    /// decrypted ones where it wants TLS terminated or asks about the handshake.
    pub(crate) fn of(rule: &Rule) -> Self {
        let (tunnels, layer) = (matches!(rule.action, Action::Tunnel(_)), rule.layer());
        let closes = rule.action == Action::Close && layer < Layer::Request;
        match tunnels || closes {
            true if layer >= Layer::Handshake || (tunnels && rule.tls.is_some()) => Self::Decrypted,
            true => Self::Raw,
            false => Self::Http,
        }
    }
}
