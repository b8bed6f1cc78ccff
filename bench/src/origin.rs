//! An origin that costs next to nothing: it answers each request with the same kilobyte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: [u8; 1024] = [b'x'; 1024];

/// Starts the origin on the current runtime.
pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: Mon, 23 Nov 2026 00:00:00 GMT\r\ncontent-length: 1024\r\n\r\n".to_vec();
    answer.extend_from_slice(&BODY);
    let mut read = Vec::with_capacity(4096);
    while let Ok(1..) = stream.read_buf(&mut read).await {
        // Requests have no body, so each blank line ends one.
        while let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            read.drain(..end + 4);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
