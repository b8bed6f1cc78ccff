use integration::config_dir::ConfigDir;
use integration::raw_client::RawClient;
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LIMIT, said, says, stats, until_said};

/// S9. By `reload` on the management socket, which answers when the new graph serves.
#[tokio::test]
async fn a_reload_that_is_asked_for_serves_when_it_answers() {
    let quiet = Quiet::start("old").await;
    let vaned = &quiet.vaned;
    let addr = vaned.only_addr().await;
    assert_eq!("old", said(addr).await.unwrap());
    quiet.write(says("127.0.0.1:0", "new"));
    let view = vaned.reload().await;
    assert_eq!("new", said(addr).await.unwrap());
    assert_eq!((&json!("installed"), &json!("manage")), (&view["outcome"], &view["trigger"]));
    assert_eq!(
        (json!(2), json!(2)),
        (view["generation"].clone(), stats(vaned).await["generation"].clone())
    );
    assert!(view["plan"]["rules"]["changed"].to_string().contains("\"a\""), "{view:#}");
}

/// S9. By SIGHUP.
#[tokio::test]
async fn a_hangup_signal_reloads() {
    let quiet = Quiet::start("old").await;
    let vaned = &quiet.vaned;
    quiet.write(says("127.0.0.1:0", "new"));
    vaned.signal(Signal::HUP);
    until_said(vaned.only_addr().await, "new").await;
    assert_eq!("sighup", stats(vaned).await["last_reload"]["trigger"]);
}

/// S9. A reload to what serves already is told apart, and is no new generation.
#[tokio::test]
async fn a_reload_to_the_same_graph_is_unchanged() {
    let quiet = Quiet::start("same").await;
    let vaned = &quiet.vaned;
    let before = stats(vaned).await;
    // Other text, same meaning.
    quiet.write(says("127.0.0.1:0", "same"));
    for _ in 0..3 {
        let view = vaned.reload().await;
        assert_eq!("unchanged", view["outcome"]);
        assert_eq!(Value::Null, view["plan"]);
        assert_eq!(
            (&before["generation"], &before["graph_hash"]),
            (&view["generation"], &view["graph_hash"])
        );
    }
    assert_eq!("unchanged", stats(vaned).await["last_reload"]["outcome"]);
}

/// S9. Failure leaves graph and listeners serving, is the answer, and stays to be seen.
#[tokio::test]
async fn a_refused_reload_changes_nothing_and_says_why() {
    let config = ConfigDir::new()
        .rule("a", says("127.0.0.1:0", "good"))
        .rule("b", says("127.0.0.2:0", "good"));
    let vaned = Vaned::start(&config).await;
    let before = (vaned.listeners().await, vaned.manage("get_config", json!({})).await);
    config.write_rule("a", says("127.0.0.1:http", "bad"));
    config.remove("rules/b.json");
    let refused = vaned.manage("reload", json!({})).await.unwrap_err();
    assert_eq!(json!(1), refused["code"]);
    let view = &refused["data"];
    assert_eq!("refused", view["outcome"]);
    assert_eq!("bad-listen-address", view["diagnostics"][0]["code"], "{view:#}");
    assert_eq!(json!(1), view["generation"]);
    assert_eq!(before, (vaned.listeners().await, vaned.manage("get_config", json!({})).await));
    for address in ["127.0.0.1:0", "127.0.0.2:0"] {
        assert_eq!("good", said(vaned.addr(address).await).await.unwrap());
    }
    let last = &stats(&vaned).await["last_reload"];
    assert_eq!("refused", last["outcome"]);
    assert_eq!("bad-listen-address", last["diagnostics"][0]["code"], "{last:#}");
    let line = vaned.wait_for_log(|line| super::is_logged(line, "ERROR", "refused")).await;
    assert!(line.contains("bad-listen-address"), "{line}");
}

/// S9. An upstream whose name does not resolve is no reason to refuse.
#[tokio::test]
async fn a_name_that_does_not_resolve_does_not_refuse_a_reload() {
    let quiet = Quiet::start("old").await;
    let vaned = &quiet.vaned;
    quiet.write(super::forwards("127.0.0.1:0", "http://nowhere.invalid:1"));
    assert_eq!("installed", vaned.reload().await["outcome"]);
    let mut client = RawClient::connect(vaned.only_addr().await).await.unwrap();
    assert_eq!(502, client.get("/", "a").await.unwrap().status);
}

/// S9. A later request waits for the earlier one and gets its own answer.
#[tokio::test]
async fn each_of_many_reloads_at_once_gets_an_answer_of_its_own() {
    let quiet = Quiet::start("old").await;
    let vaned = &quiet.vaned;
    quiet.write(says("127.0.0.1:0", "new"));
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let client = vaned.client();
        asked.spawn(async move { client.call("reload", json!({})).await });
    }
    let mut outcomes = Vec::new();
    while let Some(answer) = asked.join_next().await {
        let view = answer.unwrap().expect("no reload is refused");
        assert_eq!(json!(2), view["generation"], "{view:#}");
        outcomes.push(view["outcome"].as_str().unwrap_or_default().to_owned());
    }
    let count = |outcome: &str| outcomes.iter().filter(|each| *each == outcome).count();
    assert_eq!(40, outcomes.len());
    assert!(count("installed") <= 1, "{outcomes:?}");
    assert_eq!(40, count("installed") + count("unchanged"));
    assert_eq!("new", said(vaned.only_addr().await).await.unwrap());
}

/// S9. The swap is atomic: rules that change together are never seen apart.
#[tokio::test]
async fn nobody_sees_half_of_a_reload() {
    let rules = |text: &str| {
        let rule = |path: &str| {
            json!({ "name": &path[1..], "listen": "127.0.0.1:0", "match": { "http.path": path },
                "respond": { "status": 200, "body": text } })
        };
        json!([rule("/a"), rule("/b")]).to_string()
    };
    let config = ConfigDir::new().file("rules/both.json", &rules("0"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(async move {
        let mut pairs = 0;
        while !*stopped.borrow() {
            let mut client = RawClient::connect(addr).await.unwrap();
            client.send(PAIR).await.unwrap();
            let (a, b) = (client.read_response().await.unwrap(), client.read_response().await);
            // The second answer is missing where the first one said `Connection: close`.
            if let Ok(b) = b {
                assert_eq!(a.text(), b.text());
                pairs += 1;
            }
        }
        pairs
    });
    for text in 1..=20 {
        config.replace_by_rename("rules/both.json", &rules(&text.to_string()));
        assert_eq!("installed", vaned.reload().await["outcome"]);
    }
    stop.send_replace(true);
    assert!(watching.await.unwrap() > 0);
}

/// S9. A body from a file is read at the reload, also where only that file has changed.
#[tokio::test]
async fn a_changed_body_file_is_served_after_a_reload() {
    let place = tempfile::tempdir().unwrap();
    let page = place.path().join("page.html");
    std::fs::write(&page, "first").unwrap();
    let rule = json!({ "listen": "127.0.0.1:0",
        "respond": { "status": 200, "body_file": page.to_string_lossy() } });
    let config = ConfigDir::new().rule("a", rule);
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    assert_eq!("first", said(addr).await.unwrap());
    std::fs::write(&page, "second edition").unwrap();
    vaned.reload().await;
    assert_eq!("second edition", said(addr).await.unwrap());
    std::fs::remove_file(&page).unwrap();
    assert_eq!("refused", vaned.manage("reload", json!({})).await.unwrap_err()["data"]["outcome"]);
    assert_eq!("second edition", said(addr).await.unwrap());
}

/// S9. S10. Who asks for a reload while the daemon ends is told so, and does not wait.
#[tokio::test]
async fn a_reload_during_the_drain_is_refused() {
    let origin = integration::http_origin::HttpOrigin::start().await;
    let config = ConfigDir::new().rule("a", super::forwards("127.0.0.1:0", &origin.url()));
    let mut vaned = Vaned::start(&config).await;
    let mut client = RawClient::connect(vaned.only_addr().await).await.unwrap();
    client.send("GET /gate/held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    origin.gate("held").wait_for(1, LIMIT).await;
    vaned.signal(Signal::TERM);
    until("the drain", LIMIT, async || stats(&vaned).await["state"] == "draining").await;
    let refused = vaned.manage("reload", json!({})).await.unwrap_err();
    assert_eq!("refused", refused["data"]["outcome"], "{refused:#}");
    origin.gate("held").open();
    assert_eq!(200, client.read_response().await.unwrap().status);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}

const PAIR: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";

/// A daemon with one rule, which changes so that no reload comes but the one asked for.
struct Quiet {
    config: ConfigDir,
    vaned: Vaned,
}

impl Quiet {
    async fn start(text: &str) -> Self {
        let config = ConfigDir::new().rule("a", says("127.0.0.1:0", text));
        let vaned = Vaned::start(&config).await;
        Self { config, vaned }
    }

    fn write(&self, mut rule: Value) {
        rule["name"] = json!("a");
        self.config.write_unseen("rules/a.json", &rule.to_string());
    }
}
