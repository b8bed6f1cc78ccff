//! What foreign bytes mean, decided without touching a socket: bytes in, decision out.

pub mod first_bytes;

pub mod client_hello;

pub mod dns;

pub mod scanner;

pub mod host;
