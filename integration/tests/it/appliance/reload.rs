use std::net::SocketAddr;
use std::time::Duration;

use integration::http_origin::HttpOrigin;
use integration::load::{Load, Mix, Tally, h2_clients, keep_alive_clients, websocket_clients};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::rig::{Daemon, Door, Rig, Settings, saying, until_said};

scenarios!(
    each_way_to_ask_for_a_reload_is_one,
    a_reload_that_is_refused_keeps_serving,
    reloads_of_every_kind_lose_nothing,
);

/// S21. S9. A file written in place, one renamed over, a link swapped, SIGHUP, and `vane reload`; all
/// under load.
async fn each_way_to_ask_for_a_reload_is_one<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    rig.forwards("web", Door::Clear, &origin.url());
    rig.says("side", Door::Side, "0");
    let rule = |text: &str| side(saying(&rig.door(Door::Side), text)).to_string();
    let daemon = rig.start(&Settings::default()).await;
    let load = traffic(rig.v4(&daemon, Door::Clear).await);
    let serves = async |text: &str, trigger: &str| {
        until_said(rig.v4(&daemon, Door::Side).await, text).await;
        assert_eq!(trigger, daemon.stats().await["last_reload"]["trigger"], "{text}");
        load.more_answers(20).await;
    };
    serves("0", "boot").await;
    rig.says("side", Door::Side, "written");
    serves("written", "watch").await;
    rig.config().replace_by_rename("rules/side.json", &rule("renamed"));
    serves("renamed", "watch").await;
    rig.config().swap(|tree| tree.write("rules/side.json", &rule("swapped")));
    serves("swapped", "watch").await;
    rig.config().write_unseen("rules/side.json", &rule("signalled"));
    daemon.signal(Signal::HUP).await;
    serves("signalled", "sighup").await;
    rig.config().write_unseen("rules/side.json", &rule("asked for"));
    assert_eq!("installed", daemon.json(&["reload"]).await["outcome"]);
    serves("asked for", "manage").await;
    assert_eq!(counted(&load.stop().await), origin.count());
}

/// S21. S9. Whoever asks is told why with a status that says no, and what served goes on under load.
async fn a_reload_that_is_refused_keeps_serving<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    rig.forwards("web", Door::Clear, &origin.url());
    let daemon = rig.start(&Settings::default()).await;
    let load = traffic(rig.v4(&daemon, Door::Clear).await);
    rig.config().write("rules/half.json", "{ \"name\": \"half");
    for _ in 0..3 {
        let output = daemon.vane(&["reload"]).await;
        assert_eq!(1, output.status, "{output:?}");
        assert!(output.stderr.contains("error[json-syntax]"), "{output:?}");
        load.more_answers(50).await;
    }
    let stats = daemon.stats().await;
    assert_eq!(
        (json!(1), &json!("refused")),
        (stats["generation"].clone(), &stats["last_reload"]["outcome"])
    );
    rig.config().remove("rules/half.json");
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!((tally.sent, 0), (origin.count(), tally.reconnects));
}

/// S21. S9. S14. S15. Under HTTP/1.1, HTTP/2 and WebSocket clients, over the network of the place:
/// what was sent was answered, once, and arrived; old generations are gone in the end.
async fn reloads_of_every_kind_lose_nothing<R: Rig>(rig: R) {
    let (web, sockets) = (rig.origin().await, rig.origin().await);
    rig.config().write("rules/web.json", &rules(&rig, &web, &sockets, 0));
    let daemon = rig.start(&Settings::default()).await;
    let (v4, v6) = (rig.v4(&daemon, Door::Clear).await, rig.v6(&daemon, Door::Clear).await);
    let mix = mix();
    let http1 = [keep_alive_clients(6, v4, &mix), keep_alive_clients(4, v6, &mix)];
    let http2 = h2_clients(4, 3, v4, &mix);
    let messages = websocket_clients(6, v4, "/ws", &mix);
    messages.more_answers(12).await;
    for round in 1..=RELOADS {
        let text = rules(&rig, &web, &sockets, round);
        match round % 3 {
            0 => rig.config().swap(|tree| tree.write("rules/web.json", &text)),
            _ => rig.config().replace_by_rename("rules/web.json", &text),
        }
        match round % 3 {
            1 => daemon.signal(Signal::HUP).await,
            2 => daemon.reload().await,
            _ => {}
        }
        let serves = round.to_string();
        until_said(rig.v4(&daemon, Door::Side).await, &serves).await;
        http1[0].more_answers(30).await;
    }
    let [http1, also_http1] = http1;
    let mut requests = 0;
    for load in [http1, also_http1, http2] {
        requests += counted(&load.stop().await);
    }
    counted(&messages.stop().await);
    assert_eq!((requests, 6), (web.count(), sockets.count()));
    assert_eq!((0, 0), (web.repeated_ids().len(), web.malformed().len()));
    daemon
        .until_stats("old generations to be freed", |stats| {
            let generations = stats["generations"].as_array().unwrap();
            generations.len() == 1 && generations[0]["generation"] == stats["generation"]
        })
        .await;
}

/// Rules that lead where the clients go, between rules that come, change and go.
fn rules<R: Rig>(rig: &R, web: &HttpOrigin, sockets: &HttpOrigin, round: u64) -> String {
    let listen = rig.door(Door::Clear).written;
    let mark = json!([{ "response_headers": { "set": { "X-Round": round.to_string() } } }]);
    let mut rules = vec![
        json!({ "name": "web", "listen": listen, "use": mark, "forward": web.url() }),
        json!({ "name": format!("sockets{}", round % 2), "listen": listen,
            "match": { "http.path": { "prefix": "/ws" } }, "forward": sockets.url() }),
        side(saying(&rig.door(Door::Side), &round.to_string())),
    ];
    for number in 0..round % 4 {
        rules.push(json!({ "name": format!("extra{number}"), "listen": listen,
            "match": { "http.host": format!("host{number}.example") }, "respond": {} }));
    }
    Value::from(rules).to_string()
}

fn mix() -> Mix {
    let mix = Mix::new("a").get("/headers").post("/echo", 700).get("/chunked/9000");
    let mix = mix.post("/echo", 300_000).get("/drip/3/10").get("/slow/30");
    mix.pause(Duration::from_millis(20))
}

fn traffic(addr: SocketAddr) -> Load {
    keep_alive_clients(8, addr, &mix())
}

/// What was sent, of which nothing was lost.
fn counted(tally: &Tally) -> u64 {
    tally.assert_nothing_lost();
    tally.sent
}

fn side(mut rule: Value) -> Value {
    rule["name"] = json!("side");
    rule
}

const RELOADS: u64 = 9;
