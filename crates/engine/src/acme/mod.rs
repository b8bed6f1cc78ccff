//! Certificates that look after themselves, by ACME (RFC 8555).
//!
//! ```text
//! registry -> job, one for each certificate -> schedule (when), office (how)
//!                                              office -> order -> proof -> dns
//!                                                              -> authority -> http
//!                                                     -> storage
//! ```

pub(crate) mod registry;

mod job;

mod office;

mod order;

mod proof;

mod keys;

mod authority;

mod dns;

mod http;

mod failure;

mod storage;

pub(crate) mod schedule;
