//! What a request or a connection meets between a client and an origin.

mod endings;
mod expect;
mod fields;
mod forwarding;
mod http1;
mod http2;
mod interim;
mod limits;
mod rig;
mod rules;
mod smuggling;
mod streaming;
mod streams;
mod timeouts;
mod tunnels;
mod upgrades;
mod upstream_tls;
mod upstreams;
