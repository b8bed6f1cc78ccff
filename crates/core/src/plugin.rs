//! What a host of plugins has to do. Plain data and one boxed future: neither side knows the
//! other's runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// Runs plugins by name. Implemented beside the engine, called by it.
pub trait PluginHost: fmt::Debug + Send + Sync {
    /// Asks the plugin `name` about a request before its action runs.
    ///
    /// A plugin that is missing, traps, or uses up its time is a [`Verdict::Fail`]; this never
    /// panics. Dropping the future ends the call, and the plugin keeps no state of it.
    fn on_request<'a>(
        &'a self,
        name: &'a str,
        request: PluginRequest<'a>,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
}

/// What a plugin sees of a request.
#[derive(Debug, Clone, Copy)]
pub struct PluginRequest<'a> {
    /// As sent, case and all.
    pub method: &'a str,
    /// Path and query, the path normalised by RFC 3986 §6.2.2.
    pub uri: &'a str,
    /// Field lines in order, names in lower case; values are bytes, not necessarily text.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body, where the rule has it buffered; else empty.
    pub body: &'a [u8],
}

/// What a plugin decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The walk goes on, after these edits in order.
    Continue(Vec<PluginEdit>),
    /// The walk ends with this answer.
    Respond(PluginAnswer),
    /// The plugin did not decide; the client is answered 500 and the log has the message.
    Fail {
        /// Lower case, no full stop, nothing secret.
        message: String,
    },
}

/// A change to the header fields of a request. Illegal names and values are the host's to refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginEdit {
    /// Replaces every field line of that name by one.
    Set(String, Vec<u8>),
    /// Appends a field line.
    Add(String, Vec<u8>),
    /// Takes every field line of that name away.
    Remove(String),
}

/// An answer that a plugin gives in place of the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginAnswer {
    /// 200 to 599.
    pub status: u16,
    /// Field lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// May be empty.
    pub body: Vec<u8>,
}
