use std::net::SocketAddr;
use std::time::{Duration, Instant};

use integration::config_dir::ConfigDir;
use integration::failure::Failure;
use integration::http_origin::HttpOrigin;
use integration::load::{Load, Mix, Tally, h2_clients, keep_alive_clients, websocket_clients};
use integration::raw_client::RawClient;
use integration::vaned::Vaned;
use integration::wait::{pass, until};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LIMIT, forwards, says, stats};

/// S14. S15. S16. S9. Two hundred reloads that change, add and remove rules and listeners, under
/// 64 HTTP/1.1, 16 HTTP/2 and 32 WebSocket clients and POST bodies of all sizes: each request is
/// answered, once, and old generations are gone afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_lose_nothing() {
    let (web, sockets) = (HttpOrigin::start().await, HttpOrigin::start().await);
    let config = ConfigDir::new()
        .file("rules/web.json", &rules(&web, &sockets, 0).to_string())
        .rule("kept", says("127.0.0.2:0", "kept"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.addr("127.0.0.1:0").await;
    let traffic = Traffic::start(addr).await;
    for round in 1..=RELOADS {
        edit(&config, &web, &sockets, round);
        vaned.reload().await;
        traffic.http1.more_answers(PACE).await;
    }
    assert!(stats(&vaned).await["generation"].as_u64() > Some(RELOADS));
    assert_eq!(addr, vaned.addr("127.0.0.1:0").await);
    let tally = traffic.stop().await;
    assert_eq!(tally.requests, web.count());
    assert_eq!(32, sockets.count());
    for origin in [&web, &sockets] {
        assert_eq!(Vec::<String>::new(), origin.repeated_ids());
        assert_eq!(Vec::<String>::new(), origin.malformed());
    }
    until("old generations to be freed", LIMIT, async || {
        let now = stats(&vaned).await;
        let generations = now["generations"].as_array().unwrap();
        let newest = json!({ "generation": now["generation"], "connections": 0 });
        if *generations == [newest] { Ok(()) } else { Err(now["generations"].clone()) }
    })
    .await;
    until("drained listeners to be gone", LIMIT, async || {
        let listeners = vaned.listeners().await;
        listeners.iter().all(|each| each["state"] == "listening")
    })
    .await;
}

/// S10. Slow requests in flight at SIGTERM: all finish, and what is told to come back finds the
/// door closed in good order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_under_load_loses_nothing() {
    let origin = HttpOrigin::start().await;
    let config = ConfigDir::new().rule("a", forwards("127.0.0.1:0", &origin.url()));
    let mut vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..64 {
        clients.spawn(slow_client(addr, number));
    }
    until("requests in flight", LIMIT, async || {
        stats(&vaned).await["requests"]["active"].as_u64() >= Some(32)
    })
    .await;
    let begun = Instant::now();
    vaned.signal(Signal::TERM);
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client.unwrap().expect("no request is lost");
    }
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(answered, origin.count());
    assert!(
        vaned.log_lines().iter().any(|line| line.contains("everything in flight has finished"))
    );
}

/// What a reload changes, by the number of the reload.
fn edit(config: &ConfigDir, web: &HttpOrigin, sockets: &HttpOrigin, round: u64) {
    let text = rules(web, sockets, round).to_string();
    config.replace_by_rename("rules/web.json", &text);
    let side = format!("side{}", round % 5);
    let file = format!("rules/{side}.json");
    if config.path().join(&file).exists() {
        config.remove(&file);
    } else {
        let mut rule = says(&format!("127.0.2.{}:0", round % 5 + 1), &round.to_string());
        rule["name"] = json!(side);
        config.replace_by_rename(&file, &rule.to_string());
    }
}

/// Rules that lead where the clients go, between rules that come, change and go.
fn rules(web: &HttpOrigin, sockets: &HttpOrigin, round: u64) -> Value {
    let listen = "127.0.0.1:0";
    let mark = json!([{ "response_headers": { "set": { "X-Round": round.to_string() } } }]);
    let mut rules = vec![
        json!({ "name": "web", "listen": listen, "use": mark, "forward": web.url() }),
        json!({ "name": format!("sockets{}", round % 3), "listen": listen,
            "match": { "http.path": { "prefix": "/ws" } }, "forward": sockets.url() }),
    ];
    for number in 0..round % 7 {
        rules.push(json!({ "name": format!("extra{number}"), "listen": listen,
            "match": { "http.host": format!("host{}.example", number + round) },
            "respond": { "status": 200, "body": round.to_string() } }));
    }
    if round % 2 == 1 {
        rules.push(json!({ "name": "echo", "listen": listen,
            "match": { "http.path": "/echo", "http.method": "POST" }, "forward": web.url() }));
    }
    rules.into()
}

/// All the clients of the loss test.
struct Traffic {
    http1: Load,
    http2: Load,
    bodies: Load,
    sockets: Load,
}

/// What the clients counted.
struct Counted {
    requests: u64,
}

impl Traffic {
    async fn start(addr: SocketAddr) -> Self {
        let mix = Mix::new("a").get("/headers").post("/echo", 700).get("/chunked/9000");
        let mix = mix.get("/bytes/20000").get("/drip/3/10").get("/slow/30");
        let sizes = [0, 1, 1000, 65_535, 65_536, 300_000, 1 << 20];
        let bodies = sizes.iter().fold(Mix::new("a"), |mix, size| mix.post("/echo", *size));
        let gentle = mix.pause(Duration::from_millis(60));
        let traffic = Self {
            http1: keep_alive_clients(64, addr, &gentle),
            http2: h2_clients(16, 3, addr, &gentle),
            bodies: keep_alive_clients(8, addr, &bodies.pause(Duration::from_millis(60))),
            sockets: websocket_clients(32, addr, "/ws", &gentle),
        };
        traffic.sockets.more_answers(64).await;
        traffic
    }

    async fn stop(self) -> Counted {
        let stopped = tokio::join!(
            self.http1.stop(),
            self.http2.stop(),
            self.bodies.stop(),
            self.sockets.stop()
        );
        let (http1, http2, bodies, sockets) = stopped;
        for tally in [&http1, &http2, &bodies, &sockets] {
            Tally::assert_nothing_lost(tally);
        }
        // Told to come back by nearly each reload, and always in good order.
        assert!(http1.reconnects > 64 && http2.reconnects > 16, "{http1} {http2}");
        assert_eq!((0, 0), (http1.closed_idle, http2.closed_idle));
        Counted { requests: http1.sent + http2.sent + bodies.sent }
    }
}

/// Sends slow requests until it is told to leave and finds nobody; yields how many were answered.
async fn slow_client(addr: SocketAddr, number: u64) -> Result<u64, Failure> {
    let mut answered = 0;
    let mut client = RawClient::connect(addr).await?;
    loop {
        let answer = client.get(&format!("/slow/{}", 100 + number * 7), "a").await?;
        assert_eq!(200, answer.status);
        answered += 1;
        if answer.keeps_alive() {
            pass(Duration::from_millis(number)).await;
            continue;
        }
        return match RawClient::connect(addr).await {
            Err(Failure::Refused) => Ok(answered),
            other => panic!("after a goodbye: {other:?}"),
        };
    }
}

const RELOADS: u64 = 200;
/// Answers between two reloads.
const PACE: u64 = 20;
