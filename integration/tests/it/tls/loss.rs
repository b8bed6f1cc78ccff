use std::fs;
use std::time::{Duration, SystemTime};

use integration::certs::{Authority, KeyForm, Spec};
use integration::config_dir::ConfigDir;
use integration::handshakes::Handshakes;
use integration::http_origin::HttpOrigin;
use integration::load::{Mix, Tally, h2_clients, keep_alive_clients, websocket_clients};
use integration::tls_client::TlsClient;
use integration::wait::until;
use rustls::NamedGroup;
use serde_json::{Value, json};

use super::{LIMIT, Site, on_loopback, pair, says};

const HANDSHAKES: u64 = 10_000;
const REPLACEMENTS: u64 = 50;
const RELOADS: u64 = 40;
const LIFE: Duration = Duration::from_secs(10);

/// T12. Ten thousand handshakes across fifty certificate replacements: all succeed, each with a
/// certificate valid at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_handshakes_across_fifty_replacements_all_succeed() {
    let root = Authority::root("root");
    // Over before the test is, so that an old one that goes on serving is found out.
    let life = || SystemTime::now() - Duration::from_secs(60)..SystemTime::now() + LIFE;
    let issue = || root.issue(&Spec::server(&["a.test"]).valid(life()));
    let mut rule = on_loopback(says("x"));
    rule["tls"] = pair("site");
    let config = ConfigDir::new().rule("all", rule);
    let first = issue();
    first.write(&config.path(), "site", KeyForm::Pkcs8);
    let site = Site::with(config, &[("VANE_SEC_HANDSHAKES_PER_SECOND", "1000000")]).await;
    // The cheapest key exchange: it is the certificates that matter.
    let client = TlsClient::builder().roots(&[root.der()]).groups(&[NamedGroup::X25519]).build();
    let handshakes = Handshakes::start(&client, site.addr, "a.test", HANDSHAKES, 8);
    let mut serials = vec![first.certificate().serial];
    for round in 1..=REPLACEMENTS {
        // Spread over all handshakes, however long a reload takes.
        let due = round * HANDSHAKES / (REPLACEMENTS + 5);
        handshakes.more(due.saturating_sub(handshakes.done())).await;
        let next = issue();
        replace(&site, &next, round);
        site.vaned.reload().await;
        assert_eq!(Ok(next.certificate()), site.shown("a.test").await);
        serials.push(next.certificate().serial);
    }
    assert!(handshakes.done() < HANDSHAKES, "the last certificate was never asked for");
    let tally = handshakes.finish().await;
    tally.assert_all_succeeded(HANDSHAKES);
    let seen: Vec<_> =
        serials.iter().filter(|serial| tally.serials.contains_key(*serial)).collect();
    assert_eq!((serials.len(), serials.len()), (seen.len(), tally.serials.len()), "{tally}");
    assert_eq!(1, site.generation().await);
    site.until_counted("full", HANDSHAKES + REPLACEMENTS).await;
}

/// In place one time, and by renaming the next: with the first, there are moments in which the two
/// files do not belong together, or are not whole.
fn replace(site: &Site, next: &integration::certs::Issued, round: u64) {
    let dir = site.config.path();
    if round.is_multiple_of(2) {
        return drop(next.write(&dir, "site", KeyForm::Pkcs8));
    }
    let files = next.write(&dir, "next", KeyForm::Pkcs8);
    fs::rename(files.cert, dir.join("site.pem")).unwrap();
    fs::rename(files.key, dir.join("site.key")).unwrap();
}

/// T11. S14. Reloads that change rules, and replacements of the certificate, under HTTP/1.1, HTTP/2
/// and WebSocket clients over TLS: each request is answered, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_reloads_over_tls_lose_nothing() {
    let (web, sockets) = (HttpOrigin::start().await, HttpOrigin::start().await);
    let config = ConfigDir::new().file("rules/web.json", &rules(&web, &sockets, 0).to_string());
    super::issued().write(&config.path(), "site", KeyForm::Pkcs8);
    let site = Site::with(config, &[("VANE_SEC_HANDSHAKES_PER_SECOND", "1000000")]).await;
    let mix = Mix::new("a.test").get("/headers").post("/echo", 700).get("/chunked/9000");
    let mix = mix.post("/echo", 100_000).get("/bytes/20000").get("/drip/3/10").get("/slow/30");
    let mix = mix.pause(Duration::from_millis(60)).over_tls(&TlsClient::builder().build());
    let h2_mix = mix.clone().over_tls(&TlsClient::builder().alpn(&["h2"]).build());
    let http1 = keep_alive_clients(24, site.addr, &mix);
    let http2 = h2_clients(8, 3, site.addr, &h2_mix);
    let upgraded = websocket_clients(12, site.addr, "/ws", &mix);
    upgraded.more_answers(24).await;
    for round in 1..=RELOADS {
        let text = rules(&web, &sockets, round).to_string();
        site.config.replace_by_rename("rules/web.json", &text);
        if round % 4 == 0 {
            site.write("site", &super::issued());
        }
        site.vaned.reload().await;
        http1.more_answers(20).await;
    }
    assert!(site.generation().await > RELOADS);
    let (http1, http2, upgraded) = tokio::join!(http1.stop(), http2.stop(), upgraded.stop());
    for tally in [&http1, &http2, &upgraded] {
        Tally::assert_nothing_lost(tally);
    }
    assert!(http1.reconnects > 24 && http2.reconnects > 8, "{http1} {http2}");
    assert_eq!((0, 0), (http1.closed_idle, http2.closed_idle));
    assert_eq!(http1.sent + http2.sent, web.count());
    for origin in [&web, &sockets] {
        assert_eq!(Vec::<String>::new(), origin.repeated_ids());
        assert_eq!(Vec::<String>::new(), origin.malformed());
    }
    until("old generations to be freed", LIMIT, async || {
        let now = site.stats().await["generations"].clone();
        if now.as_array().unwrap().len() == 1 { Ok(()) } else { Err(now) }
    })
    .await;
}

fn rules(web: &HttpOrigin, sockets: &HttpOrigin, round: u64) -> Value {
    let mark = json!([{ "response_headers": { "set": { "X-Round": round.to_string() } } }]);
    let mut web = on_loopback(json!({ "name": "web", "use": mark, "forward": web.url() }));
    web["tls"] = pair("site");
    let sockets = json!({ "name": format!("sockets{}", round % 3),
        "match": { "http.path": { "prefix": "/ws" } }, "forward": sockets.url() });
    json!([web, on_loopback(sockets)])
}
