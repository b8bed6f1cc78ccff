//! A stream over TLS that keeps the alert by which the server ended it.
//!
//! In TLS 1.3 a server refuses our certificate when the handshake is over for us and requests are
//! on their way: writing fails as well, and HTTP/2 hands on neither failure as it was.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The alert that came on a stream, if one did.
pub(crate) type Alert = Arc<OnceLock<AlertDescription>>;

/// The stream after its handshake.
#[derive(Debug)]
pub(crate) struct Secured {
    stream: TlsStream<TcpStream>,
    alert: Alert,
}

impl Secured {
    /// Nothing has been read from the stream.
    pub(crate) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, alert: Alert::default() }
    }

    /// The alert that it has ended with.
    pub(crate) fn alert(&self) -> Alert {
        Arc::clone(&self.alert)
    }

    /// The connection below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.stream.get_ref().0
    }

    fn noted(&self, error: io::Error) -> io::Error {
        if let Some(rustls::Error::AlertReceived(alert)) = tls_error(&error) {
            // Only the first counts.
            let _ = self.alert.set(*alert);
        }
        error
    }

    /// What a failed write comes from: the server's last word, where it has come.
    fn explained(&mut self, error: io::Error) -> io::Error {
        let (tcp, tls) = self.stream.get_mut();
        let mut left = Left(tcp);
        while let Ok(1..) = tls.read_tls(&mut left) {
            if let Err(last) = tls.process_new_packets() {
                return self.noted(io::Error::new(io::ErrorKind::InvalidData, last));
            }
        }
        error
    }
}

/// What the kernel still has of a connection that is over. The runtime may not know of it yet.
struct Left<'a>(&'a TcpStream);

impl io::Read for Left<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (_, length) = rustix::net::recv(self.0, buf, RecvFlags::DONTWAIT)?;
        Ok(length)
    }
}

/// What TLS says was wrong, where that is what was.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        Poll::Ready(read.map_err(|error| self.noted(error)))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(written.map_err(|error| self.explained(error)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.explained(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(written.map_err(|error| self.explained(error)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
