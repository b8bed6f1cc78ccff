//! One WebSocket client of a load.

use std::net::SocketAddr;

use super::{Mix, Run, Tally};
use crate::failure::Failure;
use crate::websocket::WebSocket;
use crate::ws_frame::Frame;

/// Echoes one message after the other until told to stop, then closes in good order.
pub(super) async fn client(addr: SocketAddr, path: String, mix: Mix, mut run: Run) -> Tally {
    let mut kept: Option<WebSocket> = None;
    while run.goes_on() {
        let connected = match kept.take() {
            Some(socket) => Ok(socket),
            None => WebSocket::connect(addr, &path, &mix.host).await,
        };
        match connected {
            Ok(mut socket) => {
                if echo(&mut socket, &mut run).await {
                    kept = Some(socket);
                }
                mix.rest().await;
            }
            Err(failure) => run.not_connected(&failure).await,
        }
    }
    if let Some(socket) = kept {
        close(socket, &mut run).await;
    }
    run.tally
}

/// Whether the socket can carry the next message.
async fn echo(socket: &mut WebSocket, run: &mut Run) -> bool {
    let text = run.next_id();
    run.tally.sent += 1;
    let answer = async {
        socket.send(&Frame::Text(text.clone())).await?;
        socket.message().await
    };
    match answer.await {
        Ok(Frame::Text(echo)) if echo == text => {
            run.right();
            return true;
        }
        Ok(Frame::Close(_)) => run.fail(&text, &Failure::ClosedBeforeAnswer),
        Ok(other) => run.wrong(&text, &format!("{other:?} back")),
        Err(failure) => run.fail(&text, &failure),
    }
    false
}

async fn close(socket: WebSocket, run: &mut Run) {
    if let Err(failure) = socket.close(1000).await {
        run.fail("closing handshake", &failure);
    }
}
