use std::net::Ipv4Addr;

use integration::front::Answer;
use integration::pebble::Pebble;
use integration::sockets::private_address;
use rustix::process::Signal;
use serde_json::json;

use super::LIMIT;
use super::rig::{NAME, Rig, now, renew, until_failed, vane};

/// The authority's words are kept, over a restart as well, and shown to who looks.
#[tokio::test]
async fn an_authority_that_refuses_a_name_is_quoted() {
    let builder = Pebble::builder().blocklist(&[NAME]);
    let Some(rig) = Rig::new(builder).await else { return };
    rig.one_site();
    let mut vaned = rig.start().await;
    let failed = until_failed(&vaned, NAME, 1).await;
    let error = failed["last_error"].as_str().unwrap().to_owned();
    assert!(error.contains("urn:ietf:params:acme:error:rejectedIdentifier"), "{error}");
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    assert!(table.contains(&error), "{table}");
    vaned.wait_for_log(|line| line.contains("WARN") && line.contains("rejectedIdentifier")).await;
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    let vaned = rig.start().await;
    let kept = until_failed(&vaned, NAME, 1).await;
    assert_eq!((json!(error), &failed["managed"]), (kept["last_error"].clone(), &kept["managed"]));
    assert_eq!(0, rig.pebble.orders());
}

/// Where the DNS leads elsewhere the authority says of which name, and what it found.
#[tokio::test]
async fn a_name_that_leads_elsewhere_is_not_proven_and_tried_again_later() {
    let Some(rig) = Rig::usual().await else { return };
    rig.write_settings(json!({ "challenge": "http-01" }));
    rig.write_site("site", &["here.test", "there.test"], true);
    let elsewhere: Ipv4Addr = private_address();
    rig.pebble.dns().set_addresses("there.test", &[elsewhere.into()]).await;
    let vaned = rig.start().await;
    let failed = until_failed(&vaned, "here.test", 1).await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.contains("there.test: ") && error.contains("connection refused"), "{error}");
    assert!(!error.contains("here.test: ") || error.contains("there.test: "), "{error}");
    let next = failed["managed"]["next_attempt"].as_u64().unwrap();
    assert!((now() + 50..=now() + 80).contains(&next), "{failed}");
    rig.pebble.dns().set_addresses("there.test", &[rig.ip.into()]).await;
    renew(&vaned, "here.test").await;
    assert_eq!(vec!["here.test", "there.test"], rig.issued(&vaned, "here.test").await.leaf.names);
    assert_eq!(2, rig.pebble.orders(), "what was refused is not gone on with");
}

/// An authority that says when to come again is left alone until then, whoever asks.
#[tokio::test]
async fn a_rate_limit_is_kept_to_for_as_long_as_the_authority_says() {
    let Some(mut rig) = Rig::usual().await else { return };
    let front = rig.pebble.front(|request, way| async move {
        if request.path != "/order-plz" {
            return way.pass(&request).await;
        }
        let words = json!({ "type": "urn:ietf:params:acme:error:rateLimited",
            "detail": "too many of them" });
        let nonce = way.pass(&request).await.fields;
        let nonce = nonce.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("replay-nonce"));
        let answer = Answer::json(429, "application/problem+json", &words);
        answer.field("Retry-After", "7200").field("Replay-Nonce", &nonce.unwrap().1)
    });
    let front = front.await;
    rig.by_way_of(front.directory_url());
    rig.one_site();
    let mut vaned = rig.start().await;
    let failed = until_failed(&vaned, NAME, 1).await;
    let next = failed["managed"]["next_attempt"].as_u64().unwrap();
    assert!((now() + 7100..=now() + 7200).contains(&next), "{failed}");
    let error = failed["last_error"].as_str().unwrap();
    assert_eq!("too many of them (urn:ietf:params:acme:error:rateLimited)", error);
    let asked = front.seen().len();
    renew(&vaned, NAME).await;
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    assert!(table.contains("too many of them"), "{table}");

    rig.config.remove("rules/site.json");
    vaned.reload().await;
    rig.write_site("site", &[NAME], true);
    vaned.reload().await;
    renew(&vaned, NAME).await;
    let back = until_failed(&vaned, NAME, 1).await;
    assert_eq!(json!(next), back["managed"]["next_attempt"], "a site that comes back waits too");
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    let vaned = rig.start().await;
    let again = until_failed(&vaned, NAME, 1).await;
    assert_eq!(json!(next), again["managed"]["next_attempt"], "and so does another process");
    assert_eq!(asked, front.seen().len());
}
