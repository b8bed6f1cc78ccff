//! Interim (1xx) answers on their way to the client of one stream.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Context;

use bytes::Buf;
use futures_util::task::AtomicWaker;
use h2::server::SendResponse;
use http::{Response, StatusCode};

/// Interim answers that the task of a stream has still to send.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heads: Mutex<Vec<Response<()>>>,
    pushed: AtomicUsize,
    task: AtomicWaker,
}

impl Queue {
    /// No window holds them back, so a server that does not stop could fill the memory.
    const MOST: usize = 100;

    /// Has `head` sent before the answer; it is dropped where the answer is out already, or where so
    /// many have been sent that nobody needs more.
    pub(crate) fn push(&self, head: Response<()>) {
        if self.pushed.fetch_add(1, Ordering::Relaxed) < Self::MOST {
            self.send_before(head);
        }
    }

    fn send_before(&self, head: Response<()>) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        self.task.wake();
    }

    /// Has the client told to send its body.
    pub(crate) fn ask_for_body(&self) {
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::CONTINUE;
        self.send_before(head);
    }

    /// Sends what there is over a stream that is not answered yet; what comes later wakes the task
    /// of `cx`.
    pub(crate) fn send<B: Buf>(&self, stream: &mut SendResponse<B>, cx: &Context<'_>) {
        self.task.register(cx.waker());
        let heads = std::mem::take(&mut *self.heads.lock().unwrap_or_else(PoisonError::into_inner));
        for head in heads {
            // A stream that is gone says so itself.
            let _ = stream.send_informational(head);
        }
    }
}
