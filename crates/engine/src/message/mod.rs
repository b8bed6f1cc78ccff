//! The fields and the target of a message: what is taken away, put in and read before it is
//! passed on. Everything here works on values; nothing is sent.

pub mod forwarded;

pub mod authority;

pub mod hop_by_hop;

pub mod proxy_status;

pub mod versions;
