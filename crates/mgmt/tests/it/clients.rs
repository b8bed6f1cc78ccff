//! Clients that misbehave, or that are many, or that stay.

use vane_mgmt::error::ClientError;
use vane_mgmt::request::ShutdownParams;
use vane_mgmt::server::MAX_CLIENTS;

use crate::rig::{Raw, Rig, ping};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write((0..100).map(ping).collect::<String>()).await;
    for id in 0..100 {
        assert_eq!(id, raw.reply().await["id"]);
    }
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_line_is_served() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write(b"GET / HTTP/1.1\r\n\xff\xfe\x00\n{\"jsonrpc\":\n").await;
    for _ in 0..3 {
        assert_eq!(-32700, raw.code().await);
    }
    raw.write(ping(7)).await;
    assert_eq!(7, raw.reply().await["id"]);
}

#[tokio::test]
async fn a_batch_is_refused_and_the_next_line_is_served() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write(format!("[{}]\n{}", ping(1).trim(), ping(2))).await;
    assert_eq!(-32600, raw.code().await);
    assert_eq!(2, raw.reply().await["id"]);
}

#[tokio::test]
async fn an_unknown_method_is_refused_with_the_id_of_its_request() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"fly\"}\n").await;
    let reply = raw.reply().await;
    assert_eq!(
        ("a", -32601),
        (reply["id"].as_str().unwrap(), reply["error"]["code"].as_i64().unwrap())
    );
}

#[tokio::test]
async fn a_notification_gets_no_answer() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}\n").await;
    raw.write(ping(2)).await;
    assert_eq!(2, raw.reply().await["id"]);
}

#[tokio::test]
async fn a_line_without_end_is_refused_at_the_limit_and_the_client_closed() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write_what_is_taken(&vec![b' '; 4 * 1024 * 1024]).await;
    assert_eq!(-32600, raw.code().await);
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_line_of_just_the_limit_is_taken() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    let ping = ping(3);
    let padding = " ".repeat(1024 * 1024 + 1 - ping.len());
    raw.write(padding + &ping).await;
    assert_eq!(3, raw.reply().await["id"]);
}

#[tokio::test]
async fn a_line_that_is_cut_off_is_not_carried_out() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write(ping(1).trim_end()).await;
    raw.end_of_writing().await;
    assert_eq!(-32700, raw.code().await);
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_client_that_ends_its_writing_still_gets_its_answers() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write(ping(1) + &ping(2)).await;
    raw.end_of_writing().await;
    assert_eq!(1, raw.reply().await["id"]);
    assert_eq!(2, raw.reply().await["id"]);
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write("{\"jsonrpc\"").await;
    drop(raw);
    assert_eq!(4711, rig.client().await.ping().await.unwrap().pid);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_keeps_nobody_waiting() {
    let rig = Rig::start().await;
    let mut raw = rig.raw().await;
    raw.write("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"get_config\"}\n").await;
    raw.answer_begins().await;
    rig.stop().await;
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_a_leaving_one_makes_room() {
    let rig = Rig::start().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CLIENTS {
        let mut client = rig.client().await;
        client.ping().await.unwrap();
        idle.push(client);
    }
    let error = rig.client().await.ping().await.unwrap_err();
    assert!(error.to_string().contains("64 management clients"), "{error}");
    drop(idle.pop());
    // The server sees the departure in its own time.
    while let Err(error) = rig.client().await.ping().await {
        assert!(error.to_string().contains("64 management clients"), "{error}");
    }
    assert_eq!(4711, idle[0].ping().await.unwrap().pid);
}

#[tokio::test]
async fn the_answer_under_way_is_finished_when_the_server_is_cancelled() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let mut idle = rig.raw().await;
    let call = tokio::spawn(async move { client.shutdown(ShutdownParams::default()).await });
    rig.canned.shutdown_arrived.notified().await;
    rig.cancel();
    assert!(idle.is_closed().await);
    rig.canned.release_shutdown.notify_one();
    assert!(call.await.unwrap().unwrap().draining);
    rig.stop().await;
}

#[tokio::test]
async fn a_cancelled_server_takes_no_new_clients() {
    let rig = Rig::start().await;
    let path = rig.path();
    let mut raw = Raw::connect(&path).await;
    rig.cancel();
    assert!(raw.is_closed().await);
    let directory = rig.stop().await;
    let error = vane_mgmt::client::Client::connect(&path).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
    drop(directory);
}
