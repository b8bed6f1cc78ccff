//! What hears of the interim (1xx) answers of a server.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Request, StatusCode};

type Hear = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

/// Hears of each interim answer, with status and fields; for both versions.
#[derive(Clone)]
pub(crate) struct Listening {
    hear: Arc<Hear>,
    /// The same, as hyper wants to find it in a request.
    http1: Extensions,
}

impl Listening {
    /// Has `hear` called, which must not wait.
    pub(crate) fn new(hear: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        let hear: Arc<Hear> = Arc::new(hear);
        let heard = Arc::clone(&hear);
        let mut carrier = Request::new(());
        hyper::ext::on_informational(&mut carrier, move |head| {
            heard(head.status(), head.headers());
        });
        Self { hear, http1: carrier.into_parts().0.extensions }
    }

    /// Tells of an answer.
    pub(super) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        (self.hear)(status, headers);
    }

    /// What a request over HTTP/1.1 carries.
    pub(super) fn http1(&self) -> &Extensions {
        &self.http1
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}
