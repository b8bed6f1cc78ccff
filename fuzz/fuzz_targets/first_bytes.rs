//! A verdict on first bytes never panics, and never changes once it is known.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vane_engine::wire::first_bytes::{Verdict, classify};

fuzz_target!(|input: &[u8]| {
    let Some((&cut, stream)) = input.split_first() else { return };
    let whole = classify(stream);
    let part = classify(&stream[..usize::from(cut).min(stream.len())]);
    assert!(part == Verdict::NeedMore || part == whole);
    if let Verdict::Known(known) = whole {
        let sni = known.sni.as_deref().unwrap_or_default();
        assert!(!sni.bytes().any(|byte| byte.is_ascii_uppercase()));
    }
});
