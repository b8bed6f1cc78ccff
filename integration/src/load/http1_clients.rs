//! One HTTP/1.1 client of a load.

use std::net::SocketAddr;

use super::{Job, Mix, Run, Tally};
use crate::raw_client::RawClient;

/// Sends one request after the other until told to stop.
pub(super) async fn client(addr: SocketAddr, mix: Mix, mut run: Run) -> Tally {
    let mut kept = None;
    while run.goes_on() {
        if let Some(mut client) = connection(kept.take(), addr, &mut run).await {
            let job = run.next_job(&mix);
            if exchange(&mut client, &job, &mut run).await {
                kept = Some(client);
            }
            mix.rest().await;
        }
    }
    run.tally
}

async fn connection(kept: Option<RawClient>, addr: SocketAddr, run: &mut Run) -> Option<RawClient> {
    match kept {
        Some(client) if !client.is_closed_now() => return Some(client),
        Some(_) => run.tally.closed_idle += 1,
        None => {}
    }
    match RawClient::connect(addr).await {
        Ok(client) => Some(client),
        Err(failure) => {
            run.not_connected(&failure).await;
            None
        }
    }
}

/// Whether the connection can carry the next request.
async fn exchange(client: &mut RawClient, job: &Job, run: &mut Run) -> bool {
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
