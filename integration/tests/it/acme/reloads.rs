use integration::wait::until;
use serde_json::json;

use super::LIMIT;
use super::rig::{NAME, Rig, certs, vane};

/// S16. A site that goes and comes back while its certificate is ordered finds the same order.
#[tokio::test]
async fn a_reload_that_takes_a_site_away_and_back_neither_ends_nor_repeats_its_order() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/finalize-order/").await;
    rig.one_site();
    let vaned = rig.start().await;
    gate.wait_for(1, LIMIT).await;
    rig.config.remove("rules/site.json");
    vaned.reload().await;
    assert!(certs(&vaned).await.is_empty());
    rig.write_site("site", &[NAME], true);
    vaned.reload().await;
    assert_eq!(json!(true), certs(&vaned).await[0]["managed"]["ordering"]);
    gate.open();
    rig.issued(&vaned, NAME).await;
    assert_eq!((1, 1), (rig.pebble.orders(), gate.arrived()));
}

/// S16. An order that ends while nobody asks for its certificate is not lost.
#[tokio::test]
async fn a_site_that_comes_back_after_its_order_has_ended_is_served_at_once() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/finalize-order/").await;
    rig.one_site();
    let vaned = rig.start().await;
    gate.wait_for(1, LIMIT).await;
    rig.config.remove("rules/site.json");
    vaned.reload().await;
    gate.open();
    until("the certificate to be stored", LIMIT, async || {
        !rig.stored("certificate.pem").is_empty()
    })
    .await;
    rig.write_site("site", &[NAME], true);
    vaned.reload().await;
    assert_eq!(vec![NAME], rig.handshake(NAME).await.unwrap().leaf.names);
    let shown = vane(&vaned, &["get", "certs"]).await.stdout;
    assert!(shown.contains("serving"), "{shown}");
    assert_eq!(1, rig.pebble.orders());
}

/// S16. Only what makes a certificate another one leads to an order.
#[tokio::test]
async fn a_reload_with_other_rules_or_another_time_of_renewal_orders_nothing() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    let more = json!({ "listen": rig.http().to_string(), "match": { "http.path": "/x" },
        "respond": {} });
    rig.config.write_rule("more", more);
    rig.write_settings(json!({ "challenge": "http-01", "renew_before": "20d" }));
    vaned.reload().await;
    rig.write_site("second", &[NAME], true);
    vaned.reload().await;
    assert_eq!(leaf, rig.handshake(NAME).await.unwrap().leaf);
    rig.write_site("site", &[NAME, "more.test"], true);
    vaned.reload().await;
    rig.issued(&vaned, "more.test").await;
    assert_eq!(2, rig.pebble.orders());
}
