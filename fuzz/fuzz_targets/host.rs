//! A host that is accepted is read by the `http` crate with the same host and port.

#![no_main]

use http::uri::Authority;
use libfuzzer_sys::fuzz_target;
use vane_engine::wire::host;

fuzz_target!(|text: &[u8]| {
    let read = std::str::from_utf8(text).ok().and_then(host::parse);
    assert_eq!(read.is_some(), host::is_legal(text));
    if let Some(read) = read {
        let authority = Authority::try_from(text).expect("legal for everyone");
        assert_eq!(authority.host(), read.host);
        assert_eq!(authority.port_u16(), read.port);
    }
});
