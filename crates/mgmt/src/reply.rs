//! What a handler answers: a result, or a fault with a JSON-RPC code.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer to one request. Build it with [`done`], [`no`] or [`internal`].
pub type Reply = Result<Value, Fault>;

/// The request was carried out; `view` is the result of its method.
pub fn done(view: &impl Serialize) -> Reply {
    serde_json::to_value(view)
        .map_err(|error| Fault::new(INTERNAL, format!("the result cannot be written: {error}")))
}

/// The request was understood and the answer is no; `data` has the details that its method
/// promises.
pub fn no(message: impl Into<String>, data: &impl Serialize) -> Reply {
    let data = done(data)?;
    Err(Fault { code: NO, message: message.into(), data: Some(data) })
}

/// The daemon failed at it through no fault of the client.
pub fn internal(message: impl Into<String>) -> Reply {
    Err(Fault::new(INTERNAL, message))
}

/// The `error` member of a JSON-RPC answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// One of the codes of this module.
    pub code: i64,
    /// One sentence for people.
    pub message: String,
    /// What the method promises with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Fault {
    /// A fault without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// The line is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not one JSON-RPC 2.0 request.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters do not fit the method.
pub const INVALID_PARAMS: i64 = -32602;
/// The daemon failed.
pub const INTERNAL: i64 = -32603;
/// The request was understood and the answer is no.
pub const NO: i64 = 1;
