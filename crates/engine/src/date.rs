//! The time of day as answers carry it.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    static LATEST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The value of `Date`, [RFC 9110 §6.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1);
/// written once a second on each thread.
pub(crate) fn now() -> HeaderValue {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LATEST.with_borrow_mut(|latest| match latest {
        Some((of, value)) if *of == second => value.clone(),
        _ => latest.insert((second, written(second))).1.clone(),
    })
}

fn written(second: u64) -> HeaderValue {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    HeaderValue::try_from(date).expect("a date is letters, digits, commas and colons")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_has_it() {
        assert_eq!("Sun, 06 Nov 1994 08:49:37 GMT", written(784_111_777));
        assert!(httpdate::parse_http_date(now().to_str().unwrap()).is_ok());
    }
}
