//! Fixtures for the integration suite and the benchmarks: the real binaries as child processes,
//! clients that report exactly how an exchange failed, and origins that a test scripts.
//!
//! Everything lives on loopback addresses and in temporary directories, listens on port 0 or on
//! a loopback address of its own, and is ended when dropped. Modules are listed in flow order: each
//! uses only those below it.

pub mod load;

pub mod handshakes;

pub mod proxies;

pub mod pebble;

pub mod challtestsrv;

pub mod relay;

pub mod front;
pub mod tls_front;

pub mod name_server;

pub mod cpu;

pub mod machine;

pub mod vaned;

pub mod activation;

pub mod vane;

pub mod stuck_file;

pub mod nix;

mod child;

pub mod sockets;

pub mod tools;

pub mod binary;

pub mod management;

pub mod config_dir;

pub mod tls_client;

pub mod websocket;

pub mod h2_client;

pub mod h2_raw;

pub mod raw_client;

pub mod tls_server;

pub mod h2c_origin;

pub mod http_origin;

pub mod tcp_origin;

pub mod ws_frame;

mod h2_body;

pub mod http1;

pub mod certs;

mod der;

pub mod accept;

pub mod gate;

pub mod failure;

pub mod wait;
