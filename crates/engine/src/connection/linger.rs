//! Closes a connection so that what was last written arrives.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long bytes that nobody wants any more are read.
const TIME: Duration = Duration::from_secs(2);
/// How many of them.
const BYTES: usize = 1 << 20;

/// Says that nothing more will be sent, then reads and forgets what the client still sends until
/// it closes as well. Closing a socket with unread bytes resets it, and a reset can destroy an
/// answer on its way to the client.
pub(super) async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        // On the heap, and not in the task of every connection from its beginning.
        let mut forgotten = vec![0_u8; 8192];
        let mut count = 0;
        while count < BYTES {
            match stream.read(&mut forgotten).await {
                Ok(0) | Err(_) => return,
                Ok(more) => count += more,
            }
        }
    };
    let _ = tokio::time::timeout(TIME, drain).await;
}
