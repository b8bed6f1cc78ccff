//! Asks a silent peer whether it is still there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

/// How often a silent peer is asked, and how long it may take to answer.
const PERIOD: Duration = Duration::from_secs(20);

/// Whether the peer of a connection is there. Costs a timer for the connection, nothing for what
/// comes over it.
#[derive(Debug)]
pub(crate) struct Alive {
    pings: Option<PingPong>,
    timer: Pin<Box<Sleep>>,
    /// How much the peer had said when it was last looked at.
    heard: u64,
    asked: bool,
}

impl Alive {
    /// Asks over `pings`, which a connection hands out once.
    pub(crate) fn new(pings: Option<PingPong>) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(Instant::now() + PERIOD));
        Self { pings, timer, heard: 0, asked: false }
    }

    /// Ready when the peer is gone. `heard` counts what it has said, in any unit; `matters` says
    /// whether anybody waits for it: else it is not asked.
    pub(crate) fn poll_gone(
        &mut self,
        cx: &mut Context<'_>,
        heard: u64,
        matters: bool,
    ) -> Poll<()> {
        self.poll_answer(cx);
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let has_spoken = std::mem::replace(&mut self.heard, heard) != heard;
            if self.asked && !has_spoken {
                return Poll::Ready(());
            }
            self.asked = matters && !has_spoken && self.ask();
            self.timer.as_mut().reset(Instant::now() + PERIOD);
        }
    }

    /// A question that is still open is asked once only.
    fn ask(&mut self) -> bool {
        let Some(pings) = self.pings.as_mut() else { return false };
        let _ = pings.send_ping(Ping::opaque());
        true
    }

    /// Takes the answer, however late, which counts as having spoken, so that the next question can
    /// be asked.
    fn poll_answer(&mut self, cx: &mut Context<'_>) {
        let Some(pings) = self.pings.as_mut() else { return };
        if pings.poll_pong(cx).is_ready() {
            self.asked = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use h2::server::{Connection, handshake};
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    async fn greeted() -> (DuplexStream, Connection<DuplexStream, Bytes>) {
        let (mut client, server) = duplex(65_536);
        client.write_all(GREETING).await.expect("room for it");
        (client, handshake(server).await.expect("a greeting"))
    }

    /// How long it takes until the peer counts as gone, driving the connection meanwhile.
    async fn gone_after(
        connection: &mut Connection<DuplexStream, Bytes>,
        heard: impl Fn() -> u64,
        matters: bool,
    ) -> Duration {
        let (begun, mut alive) = (Instant::now(), Alive::new(connection.ping_pong()));
        std::future::poll_fn(|cx| {
            let _ = connection.poll_accept(cx);
            alive.poll_gone(cx, heard(), matters)
        })
        .await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_answer_is_gone_after_two_periods() {
        let (_client, mut connection) = greeted().await;
        let patience = gone_after(&mut connection, || 0, true).await;
        assert_eq!(patience.as_secs(), 2 * PERIOD.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_anything_is_there() {
        let (_client, mut connection) = greeted().await;
        let begun = Instant::now();
        let talking = || begun.elapsed().as_secs();
        let gone = gone_after(&mut connection, talking, true);
        assert!(tokio::time::timeout(PERIOD * 20, gone).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_left_a_question_open_and_spoke_of_other_things_is_gone_once_it_is_silent()
    {
        let (_client, mut connection) = greeted().await;
        let begun = Instant::now();
        let spoke_once = || u64::from(begun.elapsed() > PERIOD * 3 / 2);
        let gone = gone_after(&mut connection, spoke_once, true);
        assert!(tokio::time::timeout(PERIOD * 20, gone).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_nobody_waits_for_is_not_asked() {
        let (_client, mut connection) = greeted().await;
        let gone = gone_after(&mut connection, || 0, false);
        assert!(tokio::time::timeout(PERIOD * 20, gone).await.is_err());
    }
}
