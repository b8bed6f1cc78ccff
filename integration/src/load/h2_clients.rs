//! One HTTP/2 client of a load.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use tokio::task::JoinSet;

use super::{Job, Mix, Run, Tally};
use crate::failure::Failure;
use crate::h2_client::{Answer, Ending, H2Client};

/// Sends round after round of concurrent requests until told to stop.
pub(super) async fn client(addr: SocketAddr, streams: usize, mix: Mix, mut run: Run) -> Tally {
    let mut kept = None;
    while run.goes_on() {
        if let Some(client) = connection(kept.take(), addr, &mix, &mut run).await {
            round(&client, streams, &mix, &mut run).await;
            kept = Some(client);
            mix.rest().await;
        }
    }
    run.tally
}

async fn connection(
    kept: Option<H2Client>,
    addr: SocketAddr,
    mix: &Mix,
    run: &mut Run,
) -> Option<H2Client> {
    if let Some(client) = kept {
        match client.ending() {
            None => return Some(client),
            Some(Ending::Graceful) => run.tally.reconnects += 1,
            Some(Ending::WithoutGoAway(_)) => run.tally.closed_idle += 1,
            Some(Ending::GoAway(reason)) => {
                run.fail("connection", &Failure::Malformed(format!("GOAWAY {reason:?}")));
            }
        }
    }
    let opened = async { H2Client::over(mix.connect(addr).await?, mix.scheme(), &mix.host).await };
    match opened.await {
        Ok(client) => Some(client),
        Err(failure) => {
            run.not_connected(&failure).await;
            None
        }
    }
}

async fn round(client: &H2Client, streams: usize, mix: &Mix, run: &mut Run) {
    let mut under_way = JoinSet::new();
    for _ in 0..streams {
        let job = run.next_job(mix);
        under_way.spawn(exchange(client.clone(), job));
    }
    while let Some(done) = under_way.join_next().await {
        let (job, answer) = done.expect("an exchange does not panic");
        count(&job, &answer, run);
    }
}

async fn exchange(client: H2Client, job: Job) -> (Job, Result<Answer, Failure>) {
    let body = job.body.clone().unwrap_or_default();
    let answer = client.exchange(request(&client, &job), Bytes::from(body), None).await;
    (job, answer)
}

fn request(client: &H2Client, job: &Job) -> Request<()> {
    let method = if job.body.is_some() { Method::POST } else { Method::GET };
    let mut request = client.request(method, &job.path);
    let id = HeaderValue::from_str(&job.id).expect("an id is letters, digits and dashes");
    request.headers_mut().insert("x-request-id", id);
    request
}

fn count(job: &Job, answer: &Result<Answer, Failure>, run: &mut Run) {
    if !matches!(answer, Err(Failure::NotProcessed)) {
        run.tally.sent += 1;
    }
    match answer {
        Ok(answer) => run.judge(job, answer.status, answer.header("x-request-id"), &answer.body),
        Err(failure) => run.fail(&job.id, failure),
    }
}
