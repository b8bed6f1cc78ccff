//! The management protocol of vane: the wire types, the client that every tool uses, and the
//! server loop that the daemon runs.
//!
//! The protocol is JSON-RPC 2.0, one message a line, over a Unix stream socket. Requests may be
//! pipelined on one connection; they are answered in order, and answers carry the id.
//!
//! ```text
//! tool -> client -> request -> frame ~~ socket ~~ frame -> request -> server -> Handler
//!                                                                                  |
//! tool <- client <-  reply  <- frame ~~ socket ~~ frame <-  reply  <-  views   <---+
//! ```
//!
//! This crate depends on no other crate of the workspace: what the compiler says about graphs,
//! plans and diagnostics travels as JSON values. Modules are listed in flow order, and each uses
//! only those below it.

pub mod server;
pub mod socket;

pub mod client;

pub mod frame;
pub mod path;
pub mod request;

pub mod reply;
pub mod views;

pub mod error;
