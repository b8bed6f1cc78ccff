//! The data plane of vane.
//!
//! Modules in flow order; each uses only what stands below it.

pub mod message;
pub mod wire;
