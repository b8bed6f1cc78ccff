//! The compiler of vane: configuration text to rules to a flow graph.
//!
//! This crate is pure. It reads no file, opens no socket, asks no clock and no environment; the
//! daemon hands it bytes and a map of variables and gets values and diagnostics back.
//!
//! ```text
//! load::Files --load--> config --compile--> rules --compile--> graph --plan, explain--> answers
//! ```
//!
//! Modules stand in flow order and use only what stands below them.

pub mod plan;

pub mod explain;

pub mod compile;

pub mod graph;

pub mod rules;

pub mod load;

pub mod config;

pub mod shape;

pub mod json;

pub mod value;

pub mod diagnostic;

pub mod source;

pub mod plugin;

pub mod table;
