//! A host that is accepted is read by the `http` crate with the same host and port.

#![no_main]

use http::uri::Authority;
use libfuzzer_sys::fuzz_target;
use vane_engine::wire::host;

fuzz_target!(|text: &[u8]| {
    if let Some(read) = host::parse(text) {
        let authority = Authority::try_from(text).expect("legal for everyone");
        assert_eq!(authority.host(), read.host);
        assert_eq!(authority.port_u16(), read.port);
    }
});
