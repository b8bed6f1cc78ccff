//! Polls a future only when it has been woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake as _, Waker};

use crate::bell::Bell;

/// A future that is seldom ready and shares its task with one that is polled often. Being asked
/// for nothing costs two loads.
pub(super) struct Seldom<'a, F> {
    future: Pin<&'a mut F>,
    bell: Arc<Bell>,
    waker: Waker,
    task: Option<Waker>,
}

impl<'a, F: Future> Seldom<'a, F> {
    /// Polls `future` once, and from then on when it has been woken.
    pub(super) fn new(future: Pin<&'a mut F>) -> Self {
        let bell = Arc::new(Bell::default());
        bell.wake_by_ref();
        Self { future, waker: Waker::from(Arc::clone(&bell)), bell, task: None }
    }
}

impl<F: Future> Future for Seldom<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if !this.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            this.task = Some(cx.waker().clone());
            this.bell.ring_for(cx.waker());
        }
        if !this.bell.has_rung() {
            return Poll::Pending;
        }
        this.bell.hush();
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts its calls.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_polled_once_and_then_only_when_woken() {
        let polls = AtomicUsize::new(0);
        let (said, mut hears) = tokio::sync::watch::channel(0);
        let rare = async {
            let mut changed = pin!(hears.wait_for(|said| *said == 2));
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                changed.as_mut().poll(cx).map(drop)
            })
            .await;
        };
        let rare = pin!(rare);
        let mut seldom = Seldom::new(rare);
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut ask = || Pin::new(&mut seldom).poll(&mut Context::from_waker(&waker));
        for _ in 0..3 {
            assert_eq!(ask(), Poll::Pending);
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        for (value, polled) in [(1, Poll::Pending), (2, Poll::Ready(()))] {
            said.send(value).unwrap();
            assert_eq!(task.0.swap(0, Ordering::Relaxed), 1);
            assert_eq!(ask(), polled);
        }
        assert_eq!(polls.load(Ordering::Relaxed), 3);
    }
}
