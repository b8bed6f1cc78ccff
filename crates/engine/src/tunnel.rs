//! Copies bytes both ways until both sides have said all they have to say.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

/// Bytes read at once in each direction.
const PIECE: usize = 16 * 1024;

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides closed.
    Closed,
    /// One side broke.
    Broken(io::Error),
    /// No byte came from either side for too long.
    Idle,
}

/// What went through a tunnel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Bytes from the client to the target.
    pub(crate) to_target: u64,
    /// Bytes from the target to the client.
    pub(crate) to_client: u64,
}

/// Copies between `client` and `target`, beginning with what had already been read from either.
/// When one side says that it sends no more, the other is told so, and its own bytes still come
/// through.
///
/// # Cancel safety
/// Dropping the future closes both sides at once; `copied` says what went through until then.
pub(crate) async fn run<C, T>(
    (mut client, from_client): (C, Bytes),
    (mut target, from_target): (T, Bytes),
    idle: Duration,
    copied: &mut Copied,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut there = Direction::new(from_client);
    let mut back = Direction::new(from_target);
    let timer = tokio::time::sleep_until(Instant::now() + idle);
    let mut timer = std::pin::pin!(timer);
    let mut seen = 0;
    std::future::poll_fn(|cx| {
        let one = there.poll(&mut client, &mut target, cx);
        let other = back.poll(&mut target, &mut client, cx);
        *copied = Copied { to_target: there.copied, to_client: back.copied };
        match (one, other) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                return Poll::Ready(End::Broken(error));
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
            _ => {}
        }
        // The timer is asked again only when it fires, not moved with every byte.
        while timer.as_mut().poll(cx).is_ready() {
            if seen == there.copied + back.copied {
                return Poll::Ready(End::Idle);
            }
            seen = there.copied + back.copied;
            timer.as_mut().reset(Instant::now() + idle);
        }
        Poll::Pending
    })
    .await
}

/// One direction of a tunnel.
#[derive(Debug)]
struct Direction {
    buffer: BytesMut,
    ended: bool,
    closed: bool,
    unflushed: bool,
    copied: u64,
}

impl Direction {
    fn new(first: Bytes) -> Self {
        Self {
            buffer: BytesMut::from(first),
            ended: false,
            closed: false,
            unflushed: false,
            copied: 0,
        }
    }

    fn poll<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_write(writer, cx))?;
            if self.ended {
                return self.poll_close(writer, cx);
            }
            self.buffer.reserve(PIECE);
            match poll_read_buf(Pin::new(&mut *reader), cx, &mut self.buffer)? {
                Poll::Ready(count) => self.ended = count == 0,
                Poll::Pending => {
                    ready!(self.poll_flush(writer, cx))?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.buffer.has_remaining() {
            let count = ready!(Pin::new(&mut *writer).poll_write(cx, &self.buffer))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(count);
            self.copied += count as u64;
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.closed {
            match ready!(Pin::new(writer).poll_shutdown(cx)) {
                // The other side is already gone, which is what was to be said.
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn one_side_may_still_speak_after_the_other_has_ended() {
        let (mut client, client_side) = duplex(64);
        let (mut target, target_side) = duplex(64);
        let mut copied = Copied::default();
        let talk = async {
            client.write_all(b"question").await.expect("open");
            client.shutdown().await.expect("open");
            let mut question = String::new();
            target.read_to_string(&mut question).await.expect("text");
            target.write_all(b"answer").await.expect("open");
            drop(target);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("text");
            (question, answer)
        };
        let tunnel = run(
            (client_side, Bytes::from_static(b"early ")),
            (target_side, Bytes::new()),
            HOUR,
            &mut copied,
        );
        let (end, (question, answer)) = tokio::join!(tunnel, talk);
        assert!(matches!(end, End::Closed), "{end:?}");
        assert_eq!((question.as_str(), answer.as_str()), ("early question", "answer"));
        assert_eq!(copied, Copied { to_target: 14, to_client: 6 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_without_a_byte_ends_after_its_idle_time() {
        let (_client, client_side) = duplex(64);
        let (_target, target_side) = duplex(64);
        let mut copied = Copied::default();
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let sides = ((client_side, Bytes::new()), (target_side, Bytes::new()));
        let end = run(sides.0, sides.1, minute, &mut copied).await;
        assert!(matches!(end, End::Idle), "{end:?}");
        assert_eq!(start.elapsed(), minute);
    }
}
