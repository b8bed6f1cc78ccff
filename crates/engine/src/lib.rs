//! The data plane of vane: sockets, connections, requests, and the walk of each through a graph.
//!
//! Modules stand in flow order and use only what stands below them.

pub mod engine;

mod upkeep;

mod verdict;

mod listener;

mod bind;

mod connection;

mod executor;

mod flow;

mod response;

mod date;

mod worker;

mod shared;

pub mod program;

mod tunnel;

mod acme;

pub mod snapshot;

mod upstream;

mod body;

mod inbound;

mod http2;

pub mod tls;

mod bell;

pub mod middleware;

pub mod message;

pub mod wire;

pub mod floor;

pub mod registry;

mod disk;

pub mod sockets;

pub mod settings;
