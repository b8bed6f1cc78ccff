use integration::raw_client::RawClient;
use serde_json::json;

use super::containers::{Containers, Terms};
use super::rig::{Authority, Daemon, Door, LIMIT, Rig, Settings, loud, said};
use super::site::Site;

scenarios!(
    a_whole_configuration_serves_what_it_says,
    a_configuration_that_does_not_compile_ends_the_boot_with_its_diagnostics,
);

/// S21. S8. Files merged, variables from both places, a preset, an upstream by its name: each request
/// that was sent has arrived where it should, and nothing else has.
async fn a_whole_configuration_serves_what_it_says<R: Rig>(rig: R) {
    let (app, raw) = (rig.origin().await, rig.origin().await);
    let upstreams = json!({ "upstreams": { "app": { "servers": [app.url()] } } });
    rig.config().write("config.json", &upstreams.to_string());
    rig.config().write(".env", "GREETING=hello\n");
    rig.forwards("app", Door::Clear, "app");
    let web = rig.door(Door::Clear).written;
    let greeting = json!({ "listen": web, "match": { "http.path": "/greeting" },
        "respond": { "body": "${GREETING} ${WHOM}" } });
    rig.config().write_rule("greeting", greeting);
    let tunnel = json!({ "listen": rig.door(Door::Tunnel).written, "tunnel": raw.addr() });
    rig.config().write_rule("tunnel", tunnel);
    let daemon = rig.start(&Settings::default().env("WHOM", "world")).await;
    for addr in [rig.v4(&daemon, Door::Clear).await, rig.v6(&daemon, Door::Clear).await] {
        let mut client = RawClient::connect(addr).await.unwrap();
        assert_eq!("hello world", client.get("/greeting", "a").await.unwrap().text());
        let answer = client.post("/echo", "a", b"through").await.unwrap();
        assert_eq!((200, "through".to_owned()), (answer.status, answer.text()));
    }
    let mut through = RawClient::connect(rig.v4(&daemon, Door::Tunnel).await).await.unwrap();
    assert_eq!(200, through.get("/bytes/9", "a").await.unwrap().status);
    assert_eq!((2, 1), (app.count(), raw.count()));
    assert!(daemon.listeners().await.iter().all(|each| each["state"] == "listening"));
}

/// S21. S8. All of them, on standard error, with their places; nothing is bound.
async fn a_configuration_that_does_not_compile_ends_the_boot_with_its_diagnostics<R: Rig>(rig: R) {
    rig.says("good", Door::Clear, "good");
    let bad = json!({ "listen": rig.door(Door::Clear).written, "respnd": { "status": 200 } });
    rig.config().write_rule("bad", bad);
    rig.config().write("rules/worse.json", "{");
    let mut daemon = rig.launch(&Settings::default()).await;
    assert_eq!(1, daemon.exit_status(LIMIT).await);
    let text = daemon.log_lines().await.join("\n");
    for part in ["error[unknown-key]", "rules/bad.json:", "did you mean `respond`?"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("error[json-syntax]") && text.contains("rules/worse.json:"), "{text}");
    assert_ne!(0, daemon.vane(&["ping"]).await.status);
}

/// S21. The image serves something as it comes, on both families, and says so to whoever starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_serves_as_it_comes() {
    let Some(rig) = Containers::new().await else { return };
    let mut daemon = rig.bare().await;
    daemon.ready().await;
    for addr in [rig.v4(&daemon, Door::Clear).await, rig.v6(&daemon, Door::Clear).await] {
        assert!(!said(addr).await.is_empty(), "{addr}");
    }
    daemon.until_logged(&["serving http://"]).await;
    assert_eq!(0, daemon.vane(&["ping"]).await.status);
    assert_eq!(0, daemon.stop(LIMIT).await);
}

/// S21. S20. With as little as an engine can give, and as a user whom the image does not know: it
/// listens on the usual ports, keeps its state, reloads, and says nothing of what it may not do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_works_with_the_least_rights_and_as_any_user() {
    let Some(rig) = Containers::new().await else { return };
    let rig = rig.on(Terms::Least);
    let origin = rig.origin().await;
    let Some(mut site) = Site::issued(&rig, &origin.url()).await else { return };
    let client = site.authority.client().await;
    site.visit(&rig, &client).await;
    assert_eq!(0, site.daemon.stop(LIMIT).await);
    rig.start_again(&mut site.daemon).await;
    assert!(site.visit(&rig, &client).await.resumed);
    assert_eq!((2, 1), (origin.count(), site.authority.orders().await));
    assert_eq!(Vec::<String>::new(), loud(&site.daemon).await);
}
