//! What both sides of HTTP/2 have in common, over h2 itself: hyper has no way to send an interim
//! answer over HTTP/2, nor to hear of one.
//!
//! Flow: `received` is a body as the peer sends it, `interim` what is said before an answer, `pipe`
//! sends a body, `alive` asks a silent peer whether it is still there.

pub(crate) mod received;

pub(crate) mod interim;

pub(crate) mod pipe;

pub(crate) mod alive;
