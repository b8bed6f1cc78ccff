//! One HTTP/1.1 client of a load.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Job, Mix, Run, Tally};
use crate::accept::Socket;
use crate::raw_client::RawClient;

type Client = RawClient<Box<dyn Socket>>;

/// Sends one request after the other until told to stop.
pub(super) async fn client(addr: SocketAddr, mix: Mix, mut run: Run) -> Tally {
    let mut kept = None;
    while run.goes_on() {
        if let Some(mut client) = connection(kept.take(), addr, &mix, &mut run).await {
            let job = run.next_job(&mix);
            if exchange(&mut client, &job, &mut run).await {
                kept = Some(client);
            }
            mix.rest().await;
        }
    }
    run.tally
}

async fn connection(
    kept: Option<Client>,
    addr: SocketAddr,
    mix: &Mix,
    run: &mut Run,
) -> Option<Client> {
    if let Some(mut client) = kept {
        if !client.is_closed_by_peer(Duration::ZERO).await {
            return Some(client);
        }
        run.tally.closed_idle += 1;
    }
    match mix.connect(addr).await {
        Ok(stream) => Some(RawClient::over(stream)),
        Err(failure) => {
            run.not_connected(&failure).await;
            None
        }
    }
}

/// Whether the connection can carry the next request.
async fn exchange(client: &mut Client, job: &Job, run: &mut Run) -> bool {
    run.tally.sent += 1;
    match client.exchange(request(job)).await {
        Ok(answer) => {
            run.judge(job, answer.status, answer.header("x-request-id"), &answer.body);
            let keep = answer.keeps_alive();
            run.tally.reconnects += u64::from(!keep);
            keep
        }
        Err(failure) => {
            run.fail(&job.id, &failure);
            false
        }
    }
}

fn request(job: &Job) -> Vec<u8> {
    let method = if job.body.is_some() { "POST" } else { "GET" };
    let mut head = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nX-Request-Id: {}\r\n",
        job.path, job.host, job.id
    );
    if let Some(body) = &job.body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(job.body.iter().flatten());
    bytes
}
