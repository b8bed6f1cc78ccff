//! The data plane of vane.
//!
//! Modules in flow order; each uses only what stands below it.

pub mod middleware;

pub mod message;

pub mod wire;
