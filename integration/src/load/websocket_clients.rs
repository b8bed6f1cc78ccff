//! One WebSocket client of a load.

use std::net::SocketAddr;

use super::{Mix, Run, Tally};
use crate::accept::Socket;
use crate::failure::Failure;
use crate::raw_client::RawClient;
use crate::websocket::WebSocket;
use crate::ws_frame::Frame;

type Client = WebSocket<Box<dyn Socket>>;

/// Echoes one message after the other until told to stop, then closes in good order.
pub(super) async fn client(addr: SocketAddr, path: String, mix: Mix, mut run: Run) -> Tally {
    let mut kept = None;
    while run.goes_on() {
        let connected = match kept.take() {
            Some(socket) => Ok(socket),
            None => connect(addr, &path, &mix).await,
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

async fn connect(addr: SocketAddr, path: &str, mix: &Mix) -> Result<Client, Failure> {
    let client = RawClient::over(mix.connect(addr).await?);
    WebSocket::over(client, path, &mix.host).await
}

/// Whether the socket can carry the next message.
async fn echo(socket: &mut Client, run: &mut Run) -> bool {
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

async fn close(socket: Client, run: &mut Run) {
    if let Err(failure) = socket.close(1000).await {
        run.fail("closing handshake", &failure);
    }
}
