//! Keep-alive clients that send one request after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"GET /some/path?with=query HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n\r\n";

/// Sends `requests` over `connections` connections and returns when all are answered.
///
/// # Panics
/// When an answer is not a complete 200.
pub(crate) async fn run(address: SocketAddr, connections: usize, requests: usize) {
    let left = Arc::new(AtomicUsize::new(requests));
    let clients: Vec<_> =
        (0..connections).map(|_| tokio::spawn(client(address, Arc::clone(&left)))).collect();
    for client in clients {
        client.await.expect("every request is answered");
    }
}

async fn client(address: SocketAddr, left: Arc<AtomicUsize>) {
    let mut stream = TcpStream::connect(address).await.expect("the proxy listens");
    let _ = stream.set_nodelay(true);
    let mut read = Vec::with_capacity(8192);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        stream.write_all(REQUEST).await.expect("the proxy reads");
        read.clear();
        loop {
            let count = stream.read_buf(&mut read).await.expect("the proxy answers");
            assert!(count > 0, "the proxy closed the connection");
            if is_complete(&read) {
                break;
            }
        }
        assert!(read.starts_with(b"HTTP/1.1 200"), "the proxy answers 200");
    }
}

fn is_complete(read: &[u8]) -> bool {
    let end = read.windows(4).position(|window| window == b"\r\n\r\n");
    end.is_some_and(|end| read.len() >= end + 4 + 1024)
}
