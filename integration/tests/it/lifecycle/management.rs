use std::fs::File;
use std::io;
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::http_origin::HttpOrigin;
use integration::raw_client::RawClient;
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{LIMIT, forwards, says, stats};

/// S7. The live configuration is shown as text and as JSON, under the hash of what serves.
#[tokio::test]
async fn the_live_configuration_is_shown() {
    let config = ConfigDir::new().rule("shown", says("127.0.0.1:0", "a"));
    let vaned = Vaned::start(&config).await;
    let live = vaned.manage("get_config", json!({})).await.unwrap();
    let stats = stats(&vaned).await;
    assert_eq!(
        (&stats["generation"], &stats["graph_hash"]),
        (&live["generation"], &live["graph_hash"])
    );
    assert!(live["text"].as_str().unwrap().contains("shown"), "{live}");
    assert!(live["graph"].to_string().contains("shown"), "{live}");
}

/// S7. What a directory would be is shown, and what serves stays.
#[tokio::test]
async fn a_dry_run_shows_a_directory_and_installs_nothing() {
    let config = ConfigDir::new().rule("old", says("127.0.0.1:0", "old"));
    let vaned = Vaned::start(&config).await;
    let before = vaned.manage("get_config", json!({})).await.unwrap();
    let other = ConfigDir::new().rule("new", says("127.0.0.9:0", "new"));
    let view = dry_run(&vaned, &other).await;
    assert_eq!(json!(true), view["ok"]);
    assert!(view["text"].as_str().unwrap().contains("new"), "{view}");
    assert_ne!(before["graph_hash"], view["graph_hash"]);
    other.write_rule("new", json!({ "listen": "127.0.0.9:0" }));
    let view = dry_run(&vaned, &other).await;
    assert_eq!(json!(false), view["ok"]);
    assert_eq!("no-action", view["diagnostics"][0]["code"], "{view}");
    assert!(view["rendered"].as_str().unwrap().contains("error[no-action]"), "{view}");
    assert_eq!(before, vaned.manage("get_config", json!({})).await.unwrap());
}

/// S6. S7. The same text gives the same graph, in a dry run and in a reload.
#[tokio::test]
async fn a_dry_run_and_a_reload_come_to_the_same_hash() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let vaned = Vaned::start(&config).await;
    let view = dry_run(&vaned, &config).await;
    assert_eq!(stats(&vaned).await["graph_hash"], view["graph_hash"]);
    config.write_rule("b", says("127.0.0.1:0", "b"));
    let view = dry_run(&vaned, &config).await;
    assert_eq!(view["graph_hash"], vaned.reload().await["graph_hash"]);
}

/// S7. A plan names what would come and go.
#[tokio::test]
async fn a_plan_names_what_a_reload_would_change() {
    let config = ConfigDir::new()
        .rule("kept", says("127.0.0.1:0", "kept"))
        .rule("gone", says("127.0.0.2:0", "gone"));
    let vaned = Vaned::start(&config).await;
    config.remove("rules/gone.json");
    config.write_rule("come", says("127.0.0.3:0", "come"));
    let params = json!({ "dir": config.path() });
    let view = vaned.manage("plan", params).await.unwrap();
    let plan = &view["plan"];
    assert_eq!(json!(["come"]), plan["rules"]["added"], "{view:#}");
    assert_eq!(json!(["gone"]), plan["rules"]["removed"], "{view:#}");
    assert!(plan["listeners"]["added"].to_string().contains("127.0.0.3:0"), "{view:#}");
    assert!(plan["listeners"]["removed"].to_string().contains("127.0.0.2:0"), "{view:#}");
}

/// S9. What is in flight is seen while it is.
#[tokio::test]
async fn requests_connections_and_bytes_are_counted() {
    let origin = HttpOrigin::start().await;
    let config = ConfigDir::new().rule("a", forwards("127.0.0.1:0", &origin.url()));
    let vaned = Vaned::start(&config).await;
    let mut client = RawClient::connect(vaned.only_addr().await).await.unwrap();
    client.get("/bytes/1000", "a").await.unwrap();
    client.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    origin.gate("held").wait_for(1, LIMIT).await;
    let now = stats(&vaned).await;
    assert_eq!((&json!(1), &json!(2)), (&now["requests"]["active"], &now["requests"]["total"]));
    assert_eq!(json!(1), now["connections"]["open"]);
    assert!(now["bytes"]["sent"].as_u64() > Some(1000), "{now}");
    let view = vaned.manage("get_connections", json!({})).await.unwrap();
    let connection = &view["connections"][0];
    assert_eq!(json!(client.local_addr().to_string()), connection["remote"]);
    assert_eq!(("http1", "127.0.0.1:0"), texts(connection, "protocol", "listener"));
    assert_eq!((&json!(1), &json!(2)), (&connection["generation"], &connection["requests"]));
    origin.gate("held").open();
    client.read_response().await.unwrap();
    drop(client);
    until("the connection to be gone", LIMIT, async || {
        stats(&vaned).await["connections"]["open"] == 0
    })
    .await;
}

/// S9. Looking is possible while a reload is under way, and calls may be sent ahead.
#[tokio::test]
async fn calls_that_are_sent_ahead_are_answered_in_order() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let vaned = Vaned::start(&config).await;
    let mut stream = UnixStream::connect(vaned.socket()).await.unwrap();
    let methods = ["reload", "stats", "no_such_method", "ping"];
    for (id, method) in methods.iter().enumerate() {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        stream.write_all(format!("{call}\n").as_bytes()).await.unwrap();
    }
    let mut lines = BufReader::new(stream).lines();
    for id in 0..methods.len() {
        let line = lines.next_line().await.unwrap().unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json!(id), answer["id"]);
        assert_eq!(id == 2, answer["error"]["code"] == -32601, "{answer}");
    }
}

/// S10. `shutdown` is answered, does what SIGTERM does, and takes a budget of its own.
#[tokio::test]
async fn a_shutdown_is_answered_before_the_end() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::start(&config).await;
    let answer = vaned.manage("shutdown", json!({ "budget_secs": 1 })).await;
    assert_eq!(Ok(json!({ "draining": true })), answer);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

/// S7. A ping is answered while every thread that serves runs. Here the log blocks them.
#[tokio::test]
async fn a_ping_is_not_answered_while_a_serving_thread_is_stuck() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    mknodat(CWD, &log, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut unread = File::options().read(true).write(true).open(&log).unwrap();
    let config = ConfigDir::new().rule("a", forwards("127.0.0.1:0", "http://127.0.0.1:1"));
    let path = log.to_str().unwrap();
    let vaned = Vaned::builder(&config).env("VANE_LOG_FILE", path).start().await;
    let mut client = RawClient::connect(vaned.only_addr().await).await.unwrap();
    // Each is a line in the log, and a pipe holds 64 KiB.
    client.send(&"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000)).await.unwrap();
    let ping = async || timeout(PATIENCE, vaned.manage("ping", json!({}))).await;
    until("a ping without an answer", LIMIT, async || ping().await.is_err()).await;
    assert_eq!("running", stats(&vaned).await["state"]);
    std::thread::spawn(move || io::copy(&mut unread, &mut io::sink()));
    until("a ping with an answer", LIMIT, async || ping().await).await.unwrap();
}

async fn dry_run(vaned: &Vaned, dir: &ConfigDir) -> Value {
    vaned.manage("compile_dry_run", json!({ "dir": dir.path() })).await.unwrap()
}

fn texts<'v>(value: &'v Value, first: &str, second: &str) -> (&'v str, &'v str) {
    (value[first].as_str().unwrap(), value[second].as_str().unwrap())
}

const PATIENCE: Duration = Duration::from_millis(500);
