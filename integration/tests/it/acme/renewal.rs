use std::fs;

use integration::handshakes::Handshakes;
use integration::pebble::Pebble;
use rustix::process::Signal;
use serde_json::json;

use super::LIMIT;
use super::rig::{NAME, Rig, certs, now, renew, until_cert, until_failed, vane};

/// While certificates are replaced every handshake succeeds, with one that is valid.
#[tokio::test]
async fn no_handshake_fails_while_the_certificate_is_renewed_again_and_again() {
    let builder = Pebble::builder().validity_period(300);
    let Some(rig) = Rig::new(builder).await else { return };
    rig.one_site();
    let vaned = rig.daemon().env("VANE_SEC_HANDSHAKES_PER_SECOND", "1000000").start().await;
    let mut serial = rig.issued(&vaned, NAME).await.leaf.serial;
    let client = rig.client().await;
    let load = Handshakes::start(&client, rig.tls(), NAME, u64::MAX / 2, 4);
    for _ in 0..RENEWALS {
        let output = vane(&vaned, &["cert", "renew", NAME]).await;
        assert_eq!(0, output.status, "{output:?}");
        let renewed = until_cert(&vaned, NAME, |cert| {
            cert["managed"]["ordering"] == false && cert["served"]["serial"] != json!(serial)
        });
        serial = renewed.await["served"]["serial"].as_str().unwrap().to_owned();
        load.more(20).await;
    }
    let tally = load.stop().await;
    tally.assert_all_succeeded(tally.succeeded + tally.failed());
    assert_eq!(RENEWALS + 1, tally.serials.len(), "{tally}");
    assert_eq!(RENEWALS + 1, rig.pebble.orders());
}

/// A certificate is renewed by itself, in time.
#[tokio::test]
async fn a_certificate_is_renewed_by_itself_before_it_ends() {
    let builder = Pebble::builder().validity_period(45);
    let Some(rig) = Rig::new(builder).await else { return };
    rig.one_site();
    // As early as that leaves a third of a life that is so short.
    rig.write_settings(json!({ "challenge": "http-01", "renew_before": "1h" }));
    let mut vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    let shown = certs(&vaned).await[0]["managed"].clone();
    let part = |part: &str| shown[part].as_u64().unwrap();
    let rests = part("next_attempt");
    assert!(rests >= part("last_attempt") + 60, "what has just come is left alone: {shown}");
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    // Without it nothing is known of when it came.
    fs::remove_file(&rig.stored("state.json")[0]).unwrap();

    let vaned = rig.start().await;
    let client = rig.client().await;
    let load = Handshakes::start(&client, rig.tls(), NAME, u64::MAX / 2, 2);
    let shown =
        until_cert(&vaned, NAME, |cert| cert["managed"]["next_attempt"] != json!(rests)).await;
    let next = shown["managed"]["next_attempt"].as_u64().unwrap();
    let begins = shown["served"]["not_before"].as_u64().unwrap();
    assert!((begins + 14..=begins + 16).contains(&next), "{shown}");
    until_cert(&vaned, NAME, |cert| cert["served"]["serial"] != json!(leaf.serial)).await;
    assert!(now() >= next && now() < shown["served"]["not_after"].as_u64().unwrap());
    let tally = load.stop().await;
    tally.assert_all_succeeded(tally.succeeded + tally.failed());
    assert_eq!(2, rig.pebble.orders());
}

/// A renewal that fails leaves what serves, says why, and is tried again.
#[tokio::test]
async fn a_certificate_serves_on_while_its_renewal_fails() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (mut relay, url) = rig.pebble.relay().await;
    rig.by_way_of(url);
    rig.one_site();
    let vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    relay.cut().await;
    renew(&vaned, NAME).await;
    let failed = until_failed(&vaned, NAME, 1).await;
    assert_eq!("failing", failed["state"]);
    assert_eq!(json!(leaf.serial), failed["served"]["serial"]);
    let next = failed["managed"]["next_attempt"].as_u64().unwrap();
    assert!(next > now() + 600, "nothing hurries: its renewal is far off: {failed}");
    assert_eq!(leaf, rig.handshake(NAME).await.unwrap().leaf);
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    assert!(table.contains("cannot be reached"), "{table}");
    relay.mend().await;
    renew(&vaned, NAME).await;
    until_cert(&vaned, NAME, |cert| cert["state"] == "serving").await;
    assert_ne!(leaf.serial, rig.handshake(NAME).await.unwrap().leaf.serial);
}

const RENEWALS: usize = 6;
