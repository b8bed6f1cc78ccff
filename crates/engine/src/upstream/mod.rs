//! The far side: servers, connections to them, and one exchange over one of them.

pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod connect;
mod connecting;
pub(crate) mod failure;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod interim;
pub(crate) mod origin;
pub(crate) mod pool;
pub(crate) mod secured;
