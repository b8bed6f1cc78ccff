//! Certificates that look after themselves, [RFC 8555](https://www.rfc-editor.org/rfc/rfc8555).

#![cfg_attr(not(test), expect(dead_code, reason = "nothing asks for a managed certificate yet"))]

pub(crate) mod dns;
pub(crate) mod http;
