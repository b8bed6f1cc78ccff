//! Any line from a management client is understood or refused, and any answer line is read or
//! refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vane_mgmt::frame::{Incoming, parse_reply};

fuzz_target!(|line: &[u8]| {
    let incoming = Incoming::parse(line);
    if let Ok(request) = &incoming.request {
        assert!(!request.method().is_empty());
    }
    let _ = parse_reply(line);
});
