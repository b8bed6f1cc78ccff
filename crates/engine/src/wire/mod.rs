//! What foreign bytes mean, decided without touching a socket: bytes in, decision out.

pub mod client_hello;
pub mod first_bytes;
pub mod host;
pub mod scanner;
