//! Waiting for something observable. The only place of the suite that sleeps.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// What one look at the awaited thing found: the value, or the state it is in instead.
///
/// Implemented for `Option<T>`, `bool` and `Result<T, state>`; prefer the last where the state
/// helps the reader of a failed test.
pub trait Look {
    /// What the wait yields in the end.
    type Found;

    /// The value, or a description of the present state.
    fn found(self) -> Result<Self::Found, String>;
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl Look for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "not so yet".to_owned())
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|state| state.to_string())
    }
}

/// Looks again and again until the thing is found, and yields it.
///
/// # Panics
/// After `limit`, with `what` was awaited and the state that the last look found. A look that
/// hangs is ended at the limit as well.
pub async fn until<L: Look>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> L,
) -> L::Found {
    let deadline = tokio::time::Instant::now() + limit;
    let mut steps = Steps::new();
    let mut state = "not looked at yet".to_owned();
    loop {
        match tokio::time::timeout_at(deadline, look()).await.map(Look::found) {
            Ok(Ok(found)) => return found,
            Ok(Err(now)) => state = now,
            Err(_) => give_up(what, limit, &format!("{state}, and the last look hung")),
        }
        if tokio::time::Instant::now() >= deadline {
            give_up(what, limit, &state);
        }
        pass(steps.next()).await;
    }
}

/// The blocking twin of [`until`], for destructors and plain threads.
///
/// # Panics
/// As [`until`], but cannot end a look that hangs.
pub fn until_blocking<L: Look>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> L,
) -> L::Found {
    let deadline = Instant::now() + limit;
    let mut steps = Steps::new();
    loop {
        let state = match look().found() {
            Ok(found) => return found,
            Err(state) => state,
        };
        if Instant::now() >= deadline {
            give_up(what, limit, &state);
        }
        pass_blocking(steps.next());
    }
}

/// Lets time pass: the latency of an origin, the pace of a slow client. Never a barrier: to wait
/// for something to have happened, use [`until`].
#[expect(clippy::disallowed_methods, reason = "latency is what the caller plays")]
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
fn pass_blocking(time: Duration) {
    std::thread::sleep(time);
}

fn give_up(what: &str, limit: Duration, state: &str) -> ! {
    panic!("waited {limit:?} for {what}; last state: {state}")
}

/// Pauses between looks: short at first, so that a fast test stays fast, then bounded.
struct Steps(Duration);

impl Steps {
    fn new() -> Self {
        Self(Duration::from_millis(1))
    }

    fn next(&mut self) -> Duration {
        let step = self.0;
        self.0 = (step * 2).min(Duration::from_millis(40));
        step
    }
}
