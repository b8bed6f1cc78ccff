use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration::front::Answer;
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::LIMIT;
use super::rig::{NAME, Rig, certs, files, now, renew, until_cert, until_failed};

/// The one order that is stored.
fn stored_order(rig: &Rig) -> Value {
    let files = rig.stored("order.json");
    assert_eq!(1, files.len(), "{files:?}");
    serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap()
}

/// Ends a daemon in the middle of an order, at the requests whose path holds `part`, and starts
/// another one: the same order leads to the certificate, with the key that was stored.
async fn an_order_survives(part: &'static str, signal: Signal, is_renewal: bool) {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at(part).await;
    rig.one_site();
    let mut vaned = rig.start().await;
    let mut before = None;
    let mut arrived = 0;
    if is_renewal {
        gate.open();
        before = Some(rig.issued(&vaned, NAME).await.leaf);
        gate.close();
        arrived = gate.arrived();
        // What is stored tells the time in seconds.
        let issued = now();
        until("the next second", LIMIT, async || now() > issued + 1).await;
        renew(&vaned, NAME).await;
    }
    gate.wait_for(arrived + 1, LIMIT).await;
    until("an order to be held", LIMIT, async || !rig.stored("order.json").is_empty()).await;
    let order = stored_order(&rig);
    assert!(order["key"].as_str().unwrap().contains("PRIVATE KEY"));
    vaned.signal(signal);
    vaned.exit_status(LIMIT).await;
    assert_eq!(order, stored_order(&rig));
    let orders = rig.pebble.orders();
    let vaned = rig.start().await;
    gate.wait_for(arrived + 2, LIMIT).await;
    let meanwhile = rig.handshake(NAME).await.ok().map(|handshake| handshake.leaf);
    assert_eq!(before, meanwhile, "what was stored serves, and nothing else");
    gate.open();
    until_cert(&vaned, NAME, |cert| {
        cert["state"] == "serving"
            && cert["managed"]["ordering"] == false
            && rig.stored("order.json").is_empty()
    })
    .await;
    rig.handshake(NAME).await.unwrap();
    assert_eq!(orders, rig.pebble.orders(), "no second order");
    let pem = fs::read_to_string(&rig.stored("certificate.pem")[0]).unwrap();
    assert!(pem.contains(order["key"].as_str().unwrap().trim()), "the key of the order serves");
}

/// S4. An order is gone on with by the next process, wherever the one before it ended.
#[tokio::test]
async fn an_order_goes_on_after_a_kill_before_its_names_are_proven() {
    an_order_survives("/authZ/", Signal::KILL, false).await;
}

/// S4.
#[tokio::test]
async fn an_order_goes_on_after_a_kill_when_it_is_to_be_finalized() {
    an_order_survives("/finalize-order/", Signal::KILL, false).await;
}

/// S4.
#[tokio::test]
async fn an_order_goes_on_after_an_orderly_end_before_its_certificate_is_fetched() {
    an_order_survives("/certZ/", Signal::TERM, false).await;
}

/// S4. The certificate that is to be replaced serves meanwhile.
#[tokio::test]
async fn a_renewal_goes_on_after_a_kill_and_after_an_orderly_end() {
    an_order_survives("/finalize-order/", Signal::KILL, true).await;
    an_order_survives("/certZ/", Signal::TERM, true).await;
}

/// While a name is being verified the daemon ends; its successor answers what is asked then.
#[tokio::test]
async fn a_name_that_is_verified_only_after_a_restart_is_proven_by_the_next_process() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/chalZ/").await;
    rig.one_site();
    let mut vaned = rig.start().await;
    gate.wait_for(1, LIMIT).await;
    vaned.signal(Signal::KILL);
    vaned.exit_status(LIMIT).await;
    let vaned = rig.start().await;
    // The first process's request is let go together with the second one's.
    gate.wait_for(2, LIMIT).await;
    gate.open();
    rig.issued(&vaned, NAME).await;
    assert_eq!(1, rig.pebble.orders());
}

/// An authority that is away is waited for, ever longer; a restart does not make it shorter.
#[tokio::test]
async fn an_authority_that_is_away_is_waited_for_also_over_a_restart() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (mut relay, url) = rig.pebble.relay().await;
    rig.by_way_of(url);
    relay.cut().await;
    rig.one_site();
    let mut vaned = rig.start().await;
    let failed = until_failed(&vaned, NAME, 1).await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.contains("cannot be reached"), "{error}");
    let next = failed["managed"]["next_attempt"].as_u64().unwrap();
    assert!((now() + 50..=now() + 80).contains(&next), "a minute or so: {failed}");
    relay.mend().await;
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;

    let vaned = rig.start().await;
    let waiting = until_failed(&vaned, NAME, 1).await;
    assert_eq!(failed["managed"], waiting["managed"], "as before the restart");
    assert_eq!(failed["last_error"], waiting["last_error"]);
    wait_a_little(&vaned).await;
    assert_eq!(0, rig.pebble.orders());
    assert_eq!("missing", certs(&vaned).await[0]["state"]);
    renew(&vaned, NAME).await;
    rig.issued(&vaned, NAME).await;
    assert_eq!(Value::Null, certs(&vaned).await[0]["last_error"]);
}

/// Long enough for what would be done at once.
async fn wait_a_little(vaned: &Vaned) {
    for _ in 0..20 {
        integration::wait::pass(Duration::from_millis(25)).await;
        vaned.manage("ping", json!({})).await.unwrap();
    }
}

/// S4. What broke off on its way goes on where it was, in the same process as well.
#[tokio::test]
async fn an_order_that_broke_off_goes_on_at_the_next_attempt() {
    let Some(mut rig) = Rig::usual().await else { return };
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = is_broken.clone();
    let front = rig.pebble.front(move |request, way| {
        let breaks = broken.load(Ordering::SeqCst) && request.path.contains("/finalize-order/");
        async move {
            match breaks {
                true => Answer { status: 503, fields: Vec::new(), body: b"not now".to_vec() },
                false => way.pass(&request).await,
            }
        }
    });
    let front = front.await;
    rig.by_way_of(front.directory_url());
    rig.one_site();
    let mut vaned = rig.start().await;
    let failed = until_failed(&vaned, NAME, 1).await;
    assert!(failed["last_error"].as_str().unwrap().contains("503"), "{failed}");
    let order = stored_order(&rig);
    renew(&vaned, NAME).await;
    let failed = until_failed(&vaned, NAME, 2).await;
    assert_eq!(order, stored_order(&rig));

    // What failed is backed off from by the next process as well, and goes on then.
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    let vaned = rig.start().await;
    wait_a_little(&vaned).await;
    assert_eq!(failed["managed"], until_failed(&vaned, NAME, 2).await["managed"]);
    is_broken.store(false, Ordering::SeqCst);
    renew(&vaned, NAME).await;
    rig.issued(&vaned, NAME).await;
    assert_eq!(1, rig.pebble.orders());
    let pem = fs::read_to_string(&rig.stored("certificate.pem")[0]).unwrap();
    assert!(pem.contains(order["key"].as_str().unwrap().trim()));
}

/// S4. A process that ends between its last two writes leaves an order that is over.
#[tokio::test]
async fn an_order_that_has_led_to_a_certificate_is_not_gone_on_with() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let mut vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    let pem = rig.stored("certificate.pem").pop().unwrap();
    let text = fs::read_to_string(&pem).unwrap();
    let key = &text[text.find("-----BEGIN").unwrap()..text.find("-----BEGIN CERT").unwrap()];
    let account = files(&rig.state().join("acme/accounts")).pop().unwrap();
    let account = account.file_stem().unwrap().to_str().unwrap();
    let url = rig.pebble.directory_url().replace("/dir", "/my-order/over");
    let left = json!({ "url": url, "account": account, "key": key, "names": [NAME],
        "created": now() + 5 });
    fs::write(pem.with_file_name("order.json"), left.to_string()).unwrap();
    let vaned = rig.start().await;
    until("the order to be forgotten", LIMIT, async || rig.stored("order.json").is_empty()).await;
    assert_eq!(leaf, rig.issued(&vaned, NAME).await.leaf);
    assert_eq!(1, rig.pebble.orders());
}

/// S4. What an authority says where it is only asked for the order is told, and costs no order.
#[tokio::test]
async fn an_order_that_cannot_be_asked_for_now_is_quoted_and_kept() {
    let Some(mut rig) = Rig::usual().await else { return };
    let is_busy = Arc::new(AtomicBool::new(true));
    let busy = is_busy.clone();
    let front = rig.pebble.front(move |request, way| {
        let refuses = busy.load(Ordering::SeqCst) && request.path.contains("/my-order/");
        async move {
            let words = json!({ "type": "urn:ietf:params:acme:error:rateLimited",
                "detail": "you ask too often" });
            match refuses {
                true => Answer::json(429, "application/problem+json", &words),
                false => way.pass(&request).await,
            }
        }
    });
    let front = front.await;
    rig.by_way_of(front.directory_url());
    rig.one_site();
    let vaned = rig.start().await;
    let quoted = "you ask too often (urn:ietf:params:acme:error:rateLimited)";
    // The first while it waits for the verdict, the second when it goes on.
    for failures in 1..=2 {
        assert_eq!(quoted, until_failed(&vaned, NAME, failures).await["last_error"]);
        stored_order(&rig);
        is_busy.store(failures == 1, Ordering::SeqCst);
        renew(&vaned, NAME).await;
    }
    rig.issued(&vaned, NAME).await;
    assert_eq!(1, rig.pebble.orders());
}

/// Who is impatient during an order does not get two.
#[tokio::test]
async fn a_renewal_that_is_asked_for_during_an_order_is_that_order() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/finalize-order/").await;
    rig.one_site();
    let vaned = rig.start().await;
    gate.wait_for(1, LIMIT).await;
    renew(&vaned, NAME).await;
    gate.open();
    rig.issued(&vaned, NAME).await;
    wait_a_little(&vaned).await;
    assert_eq!(json!(false), certs(&vaned).await[0]["managed"]["ordering"]);
    assert_eq!(1, rig.pebble.orders());
}

/// Of many that wait for their turn those are ordered that are still wanted then.
#[tokio::test]
async fn what_nobody_wants_any_more_is_not_ordered_when_its_turn_comes() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/order-plz").await;
    rig.write_settings(json!({ "challenge": "http-01" }));
    for number in 0..6 {
        rig.write_site(&format!("site{number}"), &[&format!("n{number}.test")], true);
    }
    let vaned = rig.start().await;
    gate.wait_for(4, LIMIT).await;
    for number in 0..6 {
        rig.config.remove(&format!("rules/site{number}.json"));
    }
    vaned.reload().await;
    gate.open();
    until("the orders under way to end", LIMIT, async || rig.stored("certificate.pem").len() == 4)
        .await;
    wait_a_little(&vaned).await;
    assert_eq!(4, rig.pebble.orders());
}

/// S4. An authority without memory knows neither account nor order; both are made again.
#[tokio::test]
async fn an_account_that_the_authority_has_forgotten_is_made_again() {
    let Some(mut rig) = Rig::usual().await else { return };
    rig.one_site();
    let vaned = rig.start().await;
    let before = rig.issued(&vaned, NAME).await.leaf;
    rig.pebble.start_again().await;
    let issued = now();
    until("the next second", LIMIT, async || now() > issued).await;
    renew(&vaned, NAME).await;
    until_cert(&vaned, NAME, |cert| {
        cert["managed"]["ordering"] == false && cert["served"]["serial"] != json!(before.serial)
    })
    .await;
    assert_ne!(before.serial, rig.handshake(NAME).await.unwrap().leaf.serial);
    vaned.wait_for_log(|line| line.contains("has forgotten the account")).await;
}

/// S4. Two daemons on one state do not order twice; the second one serves what the first stores,
/// and takes over when it ends.
#[tokio::test]
async fn of_two_daemons_on_one_state_one_orders_and_both_serve() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let first = rig.start().await;
    let leaf = rig.issued(&first, NAME).await.leaf;
    let other_ip = integration::sockets::private_address();
    let other = integration::config_dir::ConfigDir::new();
    let text = fs::read_to_string(rig.config.path().join("config.json")).unwrap();
    other.write("config.json", &text);
    for rule in ["clear", "site"] {
        let path = format!("rules/{rule}.json");
        let text = fs::read_to_string(rig.config.path().join(&path)).unwrap();
        other.write(&path, &text.replace(&rig.ip.to_string(), &other_ip.to_string()));
    }
    let second = rig.daemon_on(&other).start().await;
    second.wait_for_log(|line| line.contains("no certificates are ordered")).await;
    let addr = (other_ip, rig.tls().port()).into();
    let client = rig.client().await;
    let seen = client.connect(addr, Some(NAME)).await.unwrap().handshake.leaf;
    assert_eq!(leaf.serial, seen.serial);

    renew(&first, NAME).await;
    until_cert(&first, NAME, |cert| cert["served"]["serial"] != json!(leaf.serial)).await;
    let renewed = rig.handshake(NAME).await.unwrap().leaf;
    assert_eq!(2, rig.pebble.orders());
    // Asking makes it look; it does not make it order.
    renew(&second, NAME).await;
    until_cert(&second, NAME, |cert| cert["served"]["serial"] == json!(renewed.serial)).await;
    assert_eq!(2, rig.pebble.orders());
    drop(first);
    rig.pebble.dns().set_default_ipv4(Some(other_ip)).await;
    // It looks again by itself, and sooner when it is asked.
    renew(&second, NAME).await;
    until_cert(&second, NAME, |cert| {
        cert["managed"]["ordering"] == false && cert["served"]["serial"] != json!(renewed.serial)
    })
    .await;
    assert_eq!(3, rig.pebble.orders());
}
