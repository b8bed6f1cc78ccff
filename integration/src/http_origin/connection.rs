//! One connection of the origin: requests in, answers out, and what becomes of it between them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::{CloseDone, Recorded, Shared, routes};
use crate::accept::Socket;
use crate::failure::Failure;
use crate::gate::Gate;
use crate::http1::{Declared, Fields, Wire, declared, has_token, parse_head, values};

/// Serves requests until either side ends the connection.
pub(super) async fn serve<S: Socket>(stream: S, number: u64, shared: Arc<Shared>) {
    let mut connection = Connection { wire: Wire::new(stream), number, shared, served: 0 };
    loop {
        let after = match connection.idle().await {
            Idle::Request => connection.one_request().await,
            Idle::Over(done) => {
                // The peer may have closed already.
                let _ = connection.wire.half_close().await;
                drop(connection);
                drop(done);
                return;
            }
        };
        match after {
            Ok(After::KeepAlive) => {}
            Ok(After::Close) => return connection.close().await,
            Ok(After::Reset) => return connection.wire.stream().reset_on_close(),
            Err(_) => return,
        }
    }
}

/// What shall become of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    KeepAlive,
    Close,
    Reset,
}

/// A request with its body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) method: String,
    /// The path of the target, without query and authority.
    pub(super) path: String,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Fields,
}

pub(super) struct Connection<S> {
    pub(super) wire: Wire<S>,
    pub(super) shared: Arc<Shared>,
    number: u64,
    served: u64,
}

enum Idle {
    Request,
    /// With the one to tell, when it was the test that wanted the end.
    Over(Option<CloseDone>),
}

impl<S: Socket> Connection<S> {
    /// Waits at a gate, and yields whether it opened before the client went away.
    pub(super) async fn wait_at(&mut self, gate: &Gate) -> bool {
        let gone = async { while matches!(self.wire.fill().await, Ok(1..)) {} };
        tokio::select! {
            () = gate.pass() => true,
            () = gone => {
                self.shared.abandoned.fetch_add(1, Ordering::SeqCst);
                false
            }
        }
    }

    /// Whether the answer under way is to be the last one on this connection.
    pub(super) fn is_last(&self, request: &Request) -> bool {
        has_token(&request.fields, "connection", "close")
            || request.line.ends_with("HTTP/1.0")
            || self.shared.options.max_requests.is_some_and(|max| self.served >= max)
    }

    async fn idle(&mut self) -> Idle {
        if self.wire.buffered() > 0 {
            return Idle::Request;
        }
        let (tell, told) = oneshot::channel();
        let mut never_told = None;
        if self.served > 0 {
            self.shared.idle().insert(self.number, tell);
        } else {
            // No server closes a connection that has just been made.
            never_told = Some(tell);
        }
        let limit = self.shared.options.idle_close_after.unwrap_or(FOREVER);
        tokio::select! {
            biased;
            done = told => Idle::Over(done.ok()),
            read = tokio::time::timeout(limit, self.wire.fill()) => {
                self.shared.idle().remove(&self.number);
                drop(never_told);
                match read {
                    Ok(Ok(1..)) => Idle::Request,
                    _ => Idle::Over(None),
                }
            }
        }
    }

    async fn one_request(&mut self) -> Result<After, Failure> {
        match self.answer_one().await {
            Err(Failure::Malformed(what)) => {
                self.shared.record_malformed(what);
                self.wire.write(BAD_REQUEST).await?;
                Ok(After::Close)
            }
            other => other,
        }
    }

    async fn answer_one(&mut self) -> Result<After, Failure> {
        let raw = self.wire.head().await?;
        let mut request = read_head(&raw)?;
        let body = declared(&request.fields).map_err(Failure::Malformed)?;
        self.served += 1;
        let place = self.shared.record_head(self.recorded(raw, &request));
        if let Some(after) = routes::before_body(self, &request).await? {
            return Ok(after);
        }
        (request.body, request.trailers) = self.body(body).await?;
        self.shared.record_body(place, request.body.len(), &request.trailers);
        routes::answer(self, &request).await
    }

    fn recorded(&self, raw_head: Vec<u8>, request: &Request) -> Recorded {
        Recorded {
            connection: self.number,
            raw_head,
            line: request.line.clone(),
            fields: request.fields.clone(),
            body_length: None,
            trailers: Vec::new(),
        }
    }

    async fn body(&mut self, declared: Declared) -> Result<(Vec<u8>, Fields), Failure> {
        match declared {
            Declared::Nothing => Ok((Vec::new(), Vec::new())),
            Declared::Length(length) => Ok((self.wire.exactly(length).await?, Vec::new())),
            Declared::Chunked => self.wire.chunked().await,
        }
    }

    /// Ends its own direction first and reads on for a while, so that the peer gets the answer
    /// and no reset.
    async fn close(mut self) {
        if self.wire.half_close().await.is_ok() {
            let _ = tokio::time::timeout(LINGER, self.wire.rest()).await;
        }
    }
}

fn read_head(raw: &[u8]) -> Result<Request, Failure> {
    let head = parse_head(raw).map_err(Failure::Malformed)?;
    let parts: Vec<&str> = head.start.split(' ').collect();
    let &[method, target, "HTTP/1.1" | "HTTP/1.0"] = parts.as_slice() else {
        return Err(Failure::Malformed(format!("the request line {:?}", head.start)));
    };
    let hosts = values(&head.fields, "host").len();
    if hosts != 1 && head.start.ends_with("1.1") {
        return Err(Failure::Malformed(format!("{hosts} host fields")));
    }
    Ok(Request {
        method: method.to_owned(),
        path: path_of(target),
        line: head.start.clone(),
        fields: head.fields,
        body: Vec::new(),
        trailers: Vec::new(),
    })
}

fn path_of(target: &str) -> String {
    let after_scheme = target.split_once("://").map(|(_, rest)| rest);
    let path = match after_scheme {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split('?').next().unwrap_or_default().to_owned()
}

const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const FOREVER: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);
