//! What newer authorities offer beside the protocol. Where Pebble is too old for it, the front
//! stands in for that one thing, and the run says so.

use std::fs;
use std::sync::{Arc, Mutex};

use integration::front::{Answer, Front, Request, Way};
use integration::pebble::Pebble;
use integration::tools::skipped;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::LIMIT;
use super::rig::{NAME, Rig, now, renew, until_cert, until_failed};

/// The window that the stand-in suggests, in seconds from now.
type Window = Arc<Mutex<(i64, i64)>>;

/// A front that offers what this Pebble does not.
async fn offering(pebble: &Pebble, window: &Window) -> Front {
    let stands_in = !pebble.offers("renewalInfo").await;
    if stands_in {
        skipped("this pebble has no renewalInfo, so a stand-in says when to renew");
    }
    let window = window.clone();
    let script = move |request: Request, way: Way| {
        let window = *window.lock().unwrap();
        async move {
            match request.path.as_str() {
                _ if !stands_in => way.pass(&request).await,
                path if path.starts_with(INFO) => suggestion(window),
                "/dir" => with_renewal_info(way.pass(&request).await),
                "/order-plz" => reflected(&request, way.pass(&request).await),
                _ => way.pass(&request).await,
            }
        }
    };
    pebble.front(script).await
}

/// RFC 9773 §4.2.
fn suggestion((from, until): (i64, i64)) -> Answer {
    let at = |offset: i64| {
        let time = i64::try_from(now()).unwrap() + offset;
        x509_parser::time::ASN1Time::from_timestamp(time).unwrap().to_datetime()
    };
    let format = |offset| {
        let at = at(offset);
        let date = format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day());
        format!("{date}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
    };
    let body = json!({ "suggestedWindow": { "start": format(from), "end": format(until) } });
    Answer::json(200, "application/json", &body).field("Retry-After", "21600")
}

fn with_renewal_info(answer: Answer) -> Answer {
    let directory: Value = serde_json::from_slice(&answer.body).unwrap();
    let base = directory["newOrder"].as_str().unwrap().replace("/order-plz", INFO);
    answer.with(&[("renewalInfo", json!(base))])
}

/// RFC 9773 §5: who takes an order for a replacement says so.
fn reflected(request: &Request, answer: Answer) -> Answer {
    match request.payload().get("replaces") {
        Some(replaced) => answer.with(&[("replaces", replaced.clone())]),
        None => answer,
    }
}

/// The orders that a front has seen, as they were signed.
fn orders(front: &Front) -> Vec<Value> {
    let placed = front.seen().into_iter().filter(|request| request.path == "/order-plz");
    placed.map(|request| request.payload()).collect()
}

/// RFC 9773: the authority says when, and which certificate an order replaces is said to it.
#[tokio::test]
async fn the_authority_says_when_a_certificate_is_renewed_and_is_told_what_is_replaced() {
    let Some(mut rig) = Rig::usual().await else { return };
    let window = Window::new(Mutex::new((100 * DAY, 110 * DAY)));
    let front = offering(&rig.pebble, &window).await;
    rig.by_way_of(front.directory_url());
    rig.one_site();
    let mut vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    let shown = until_cert(&vaned, NAME, |cert| !cert["managed"]["renewal_window"].is_null()).await;
    let shown = &shown["managed"];
    let part = |value: &Value| value.as_u64().unwrap();
    let (from, until) =
        (part(&shown["renewal_window"]["start"]), part(&shown["renewal_window"]["end"]));
    assert!((from..=until).contains(&part(&shown["next_attempt"])), "{shown}");
    assert_eq!(
        vec![Value::Null],
        orders(&front).iter().map(|order| order["replaces"].clone()).collect::<Vec<_>>()
    );
    if rig.pebble.offers("renewalInfo").await {
        return;
    }
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    // What has just come is left alone for a while; without this nothing is known of when it came.
    fs::remove_file(&rig.stored("state.json")[0]).unwrap();
    *window.lock().unwrap() = (-20, -10);

    let vaned = rig.start().await;
    until_cert(&vaned, NAME, |cert| cert["served"]["serial"] != json!(leaf.serial)).await;
    let asked = front.seen().into_iter().rev().find(|request| request.path.starts_with(INFO));
    let orders = orders(&front);
    assert_eq!(2, orders.len());
    let replaced = orders[1]["replaces"].as_str().unwrap();
    assert!(asked.unwrap().path.starts_with(INFO) && replaced.contains('.'), "{replaced}");
    let of_first =
        front.seen().into_iter().any(|request| request.path == format!("{INFO}/{replaced}"));
    assert!(of_first, "the one that is asked about is the one that is replaced");
    assert_eq!(2, rig.pebble.orders());
}

/// Another contact is another account, which may not replace what the first one ordered. That ends
/// no renewal.
#[tokio::test]
async fn a_certificate_of_another_account_is_renewed_without_saying_what_is_replaced() {
    let Some(mut rig) = Rig::usual().await else { return };
    let front = rig.pebble.front(|request, way| async move {
        match request.path.as_str() {
            "/dir" => with_renewal_info(way.pass(&request).await),
            path if path.starts_with(INFO) => suggestion((100 * DAY, 110 * DAY)),
            "/order-plz" if !request.payload()["replaces"].is_null() => {
                let words = json!({ "type": "urn:ietf:params:acme:error:unauthorized",
                    "detail": "requester account did not request the certificate being replaced" });
                Answer::json(403, "application/problem+json", &words)
            }
            _ => way.pass(&request).await,
        }
    });
    let front = front.await;
    rig.by_way_of(front.directory_url());
    rig.one_site();
    let vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    rig.write_settings(json!({ "challenge": "http-01", "contact": "mailto:else@example.com" }));
    vaned.reload().await;
    renew(&vaned, NAME).await;
    until_cert(&vaned, NAME, |cert| {
        cert["state"] == "serving" && cert["served"]["serial"] != json!(leaf.serial)
    })
    .await;
    let replaced: Vec<_> =
        orders(&front).iter().map(|order| order["replaces"].is_string()).collect();
    assert_eq!(vec![false, true, false], replaced);
    assert_eq!(2, rig.stored_accounts());
}

/// An authority that has new roots is asked under these, as soon as they are in the file.
#[tokio::test]
async fn the_roots_of_the_authority_are_those_that_are_in_the_file_now() {
    let Some(rig) = Rig::usual().await else { return };
    let ca_file = rig.state().join("ca.pem");
    let right = fs::read(rig.pebble.ca_file()).unwrap();
    fs::write(&ca_file, &right).unwrap();
    rig.write_settings(json!({ "challenge": "http-01", "ca_file": ca_file.to_str().unwrap() }));
    rig.write_site("site", &[NAME], true);
    let vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    fs::write(&ca_file, integration::certs::Authority::root("other").pem()).unwrap();
    renew(&vaned, NAME).await;
    let failed = until_failed(&vaned, NAME, 1).await;
    assert!(failed["last_error"].as_str().unwrap().contains("TLS handshake"), "{failed}");
    fs::write(&ca_file, &right).unwrap();
    renew(&vaned, NAME).await;
    until_cert(&vaned, NAME, |cert| {
        cert["state"] == "serving" && cert["served"]["serial"] != json!(leaf.serial)
    })
    .await;
    assert_eq!(1, rig.stored_accounts());
}

/// A profile is passed on as it is written.
#[tokio::test]
async fn a_profile_is_ordered_where_one_is_written() {
    let profiles = json!({ "short": { "description": "short", "validityPeriod": 600 } });
    let Some(mut rig) = Rig::new(Pebble::builder().set("profiles", profiles)).await else { return };
    if rig.pebble.directory().await["meta"]["profiles"].is_null() {
        skipped("this pebble has no profiles, so that one is asked for is all that is looked at");
    }
    let front = rig.pebble.front(|request, way| async move { way.pass(&request).await }).await;
    rig.by_way_of(front.directory_url());
    rig.write_settings(json!({ "challenge": "http-01", "profile": "short" }));
    rig.write_site("site", &[NAME], true);
    let vaned = rig.start().await;
    rig.issued(&vaned, NAME).await;
    assert_eq!(
        vec![json!("short")],
        orders(&front).iter().map(|order| order["profile"].clone()).collect::<Vec<_>>()
    );
}

const INFO: &str = "/renewal-info";
const DAY: i64 = 24 * 3600;
