//! The normal form of a path is a legal path, and its own normal form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vane_core::value::path::normalise;

fuzz_target!(|text: &str| {
    if let Ok(normal) = normalise(text) {
        assert!(normal.starts_with('/'));
        assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
        assert_eq!(normalise(&normal).as_deref(), Ok(&*normal));
    }
});
