//! Closes a connection so that what was last written arrives.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::tls::stream::ClientStream;

/// How long a client may say nothing that has not closed yet.
const PAUSE: Duration = Duration::from_secs(2);
/// How long bytes that nobody wants any more are read.
const TIME: Duration = Duration::from_secs(30);
/// How many of them.
const BYTES: usize = 1 << 20;

/// Says that nothing more will be sent, then reads and forgets what the client still sends until
/// it closes as well. Closing a socket with unread bytes resets it, and a reset can destroy an
/// answer on its way to the client; one over HTTP/2 goes on speaking while it takes the answer.
pub(super) async fn close(mut stream: ClientStream) {
    if say_end(&mut stream).await {
        forget(&mut stream.into_socket(), PAUSE, TIME).await;
    }
}

/// Says that nothing more will be sent; whether that could be said. Over TLS it is a message behind
/// whatever TLS still holds: a client that takes nothing of it is not waited for.
pub(super) async fn say_end(stream: &mut ClientStream) -> bool {
    let last = Instant::now() + TIME;
    let mut timer = pin!(sleep_until(Instant::now() + PAUSE));
    let mut sent = stream.sent();
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut *stream).poll_shutdown(cx) {
            return Poll::Ready(ended.is_ok());
        }
        if std::mem::replace(&mut sent, stream.sent()) != sent {
            timer.as_mut().reset(last.min(Instant::now() + PAUSE));
        }
        timer.as_mut().poll(cx).map(|()| false)
    })
    .await
}

async fn forget(stream: &mut TcpStream, pause: Duration, time: Duration) {
    let last = Instant::now() + time;
    // On the heap, and not in the task of every connection from its beginning.
    let mut forgotten = vec![0_u8; 8192];
    let mut count = 0;
    while count < BYTES {
        let end = last.min(Instant::now() + pause);
        match timeout_at(end, stream.read(&mut forgotten)).await {
            Ok(Ok(more)) if more > 0 => count += more,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let client = TcpStream::connect(address).await.expect("somebody listens");
        (listener.accept().await.expect("somebody connects").0, client)
    }

    /// A client that says something every 50 ms, `count` times, and then nothing.
    async fn talk(client: &mut TcpStream, count: usize) {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..count {
            ticks.tick().await;
            client.write_all(b"x").await.expect("somebody reads");
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_on_speaking_is_listened_to() {
        let (mut stream, mut client) = pair().await;
        let begun = Instant::now();
        let (pause, time) = (Duration::from_millis(200), Duration::from_secs(20));
        let forgetting = forget(&mut stream, pause, time);
        tokio::join!(forgetting, talk(&mut client, 10));
        assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_never_stops_is_not_listened_to_for_ever() {
        let (mut stream, mut client) = pair().await;
        let (pause, time) = (Duration::from_secs(20), Duration::from_millis(200));
        let begun = Instant::now();
        tokio::select! {
            () = forget(&mut stream, pause, time) => {}
            () = talk(&mut client, usize::MAX) => {}
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
