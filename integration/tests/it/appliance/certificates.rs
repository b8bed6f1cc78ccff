use integration::load::{Mix, keep_alive_clients};
use integration::name_server::KEYS;
use serde_json::{Value, json};

use super::rig::{Authority, Daemon, Door, LIMIT, Rig};
use super::site::{NAME, Site};

scenarios!(
    a_site_is_proven_by_http_01_over_a_reload_and_a_restart,
    a_site_is_proven_by_tls_alpn_01_over_a_reload_and_a_restart,
    a_site_is_proven_by_dns_01_over_a_reload_and_a_restart,
);

/// S21. S4.
async fn a_site_is_proven_by_http_01_over_a_reload_and_a_restart<R: Rig>(rig: R) {
    let Some(authority) = rig.authority(None).await else { return };
    let site = Site::with(&rig, authority).await;
    site.point_to_daemon(&rig).await;
    proven(&rig, site, json!({ "challenge": "http-01" })).await;
}

/// S21. S4.
async fn a_site_is_proven_by_tls_alpn_01_over_a_reload_and_a_restart<R: Rig>(rig: R) {
    let Some(authority) = rig.authority(None).await else { return };
    let site = Site::with(&rig, authority).await;
    site.point_to_daemon(&rig).await;
    proven(&rig, site, json!({ "challenge": "tls-alpn-01" })).await;
}

/// S21. S4. By dynamic updates of a name server.
async fn a_site_is_proven_by_dns_01_over_a_reload_and_a_restart<R: Rig>(rig: R) {
    let Some(server) = rig.name_server(&[(NAME, "")]) else { return };
    let Some(authority) = rig.authority(Some(server.addr())).await else { return };
    let site = Site::with(&rig, authority).await;
    let key = KEYS[0];
    let dns = json!({ "rfc2136": { "server": server.addr(), "key_name": key.name,
        "key_secret": key.secret, "key_algorithm": key.algorithm } });
    proven(&rig, site, json!({ "challenge": "dns-01", "dns": dns })).await;
    let left = server.texts(&format!("_acme-challenge.{NAME}")).await;
    assert!(left.is_empty(), "{left:?}");
}

/// Reloads and restarts the daemon when the authority is about to validate: the same order leads to
/// the certificate. Then it serves over a reload without a loss, and over a restart without an order.
async fn proven<R: Rig>(rig: &R, mut site: Site<R>, acme: Value) {
    let origin = rig.origin().await;
    validated_late(rig, &mut site, (acme, &origin.url())).await;
    let client = site.authority.client().await;
    let leaf = site.visit(rig, &client).await.leaf;
    assert_eq!(vec![NAME], leaf.names);

    let secure = rig.v4(&site.daemon, Door::Secure).await;
    let load = keep_alive_clients(4, secure, &Mix::new(NAME).get("/headers").over_tls(&client));
    load.more_answers(50).await;
    rig.says("clear", Door::Clear, "changed again");
    site.daemon.reload().await;
    load.more_answers(50).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent + 1, origin.count());

    assert_eq!(0, site.daemon.stop(LIMIT).await);
    rig.start_again(&mut site.daemon).await;
    assert_eq!(leaf, site.visit(rig, &client).await.leaf);
    assert_eq!(1, site.authority.orders().await);
}

/// Has the certificate ordered, and the authority asked to validate by another process than the one
/// that has ordered.
async fn validated_late<R: Rig>(rig: &R, site: &mut Site<R>, (acme, url): (Value, &str)) {
    let (front, gate) = site.authority.held_at("/chalZ/").await;
    site.order(rig, &front.directory_url(), acme, url).await;
    gate.wait_for(1, LIMIT).await;
    rig.says("clear", Door::Clear, "changed meanwhile");
    site.daemon.reload().await;
    assert_eq!(0, site.daemon.stop(LIMIT).await);
    rig.start_again(&mut site.daemon).await;
    gate.wait_for(2, LIMIT).await;
    gate.open();
    site.until_serving().await;
}
