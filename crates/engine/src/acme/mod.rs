//! Certificates that look after themselves, by ACME (RFC 8555).

#[cfg_attr(not(test), expect(dead_code, reason = "nothing orders certificates yet"))]
pub(crate) mod storage;

#[cfg_attr(not(test), expect(dead_code, reason = "nothing orders certificates yet"))]
pub(crate) mod schedule;
