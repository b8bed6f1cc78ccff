//! Bodies of HTTP/2 streams under flow control, the same for client and origin.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

/// Sends the whole body, then the trailers if there are any, and ends the stream.
pub(crate) async fn send_all(
    mut out: SendStream<Bytes>,
    body: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<(), h2::Error> {
    send_piece(&mut out, body).await?;
    match trailers {
        Some(trailers) => out.send_trailers(trailers),
        None => out.send_data(Bytes::new(), true),
    }
}

/// Sends a part of a body as the peer's window allows.
pub(crate) async fn send_piece(
    out: &mut SendStream<Bytes>,
    mut data: Bytes,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        out.reserve_capacity(data.len());
        let capacity = poll_fn(|cx| out.poll_capacity(cx)).await;
        let capacity = capacity.unwrap_or_else(|| Err(Reason::STREAM_CLOSED.into()))?;
        out.send_data(data.split_to(capacity.min(data.len())), false)?;
    }
    Ok(())
}

/// Reads a body to its end, with its trailers.
pub(crate) async fn read_body(
    body: &mut RecvStream,
) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, body.trailers().await?))
}
