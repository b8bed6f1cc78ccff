//! The data plane of vane: sockets, connections, requests, and the walk of each through a graph.
//!
//! Modules stand in flow order and use only what stands below them.

mod worker;

mod upstream;

mod body;

mod floor;

mod registry;

mod bind;

pub mod settings;
