use std::net::{Ipv4Addr, Ipv6Addr};

use integration::certs::{Authority, KeyForm};
use integration::pebble::{Pebble, TLS_PORT};
use integration::raw_client::RawClient;
use integration::tls_client::{TlsClient, TlsFailure};
use integration::tools::skipped;
use integration::wait::until;
use rustls::AlertDescription;
use serde_json::{Value, json};

use super::LIMIT;
use super::rig::{NAME, Rig, certs, files, renew, until_cert, until_failed, vane};

/// Challenges are answered in front of every rule, and rules answer everything else.
#[tokio::test]
async fn a_site_gets_its_certificate_by_http_01_whatever_its_rules_say() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let redirect = json!({ "listen": rig.http().to_string(), "redirect": "https://{http.host}/" });
    rig.config.write_rule("clear", redirect);
    let vaned = rig.start().await;
    let handshake = rig.issued(&vaned, NAME).await;
    assert_eq!(vec![NAME], handshake.leaf.names);
    for path in ["/", "/.well-known/acme-challenge/unknown", "/.well-known/acme-challenge/"] {
        let mut client = RawClient::connect(rig.http()).await.unwrap();
        assert_eq!(308, client.get(path, NAME).await.unwrap().status, "{path}");
    }
    let connection = rig.client().await.connect(rig.tls(), Some(NAME)).await.unwrap();
    assert_eq!("site", connection.http1().get("/", NAME).await.unwrap().text());
    rig.assert_private();
}

/// The listener of the site itself proves that the name is its own.
#[tokio::test]
async fn a_site_gets_its_certificate_by_tls_alpn_01_on_its_own_listener() {
    let Some(rig) = Rig::usual().await else { return };
    rig.write_settings(json!({ "challenge": "tls-alpn-01" }));
    rig.write_site("site", &[NAME], true);
    rig.config.remove("rules/clear.json");
    let vaned = rig.start().await;
    assert_eq!(vec![NAME], rig.issued(&vaned, NAME).await.leaf.names);
    assert_eq!(1, vaned.listeners().await.len(), "none is opened for http-01");
    let probing = TlsClient::builder().alpn(&["acme-tls/1"]).build();
    let failure = probing.connect(rig.tls(), Some(NAME)).await.unwrap_err();
    assert!(matches!(failure, TlsFailure::Alert(_)), "nothing is proven any more: {failure}");
}

/// Where no rule has the port, a listener is opened for challenges alone, and is shown.
#[tokio::test]
async fn a_listener_is_opened_for_challenges_where_no_rule_has_the_port() {
    let builder = Pebble::builder().http_port(OWN_PORT);
    let Some(rig) = Rig::new(builder).await else { return };
    rig.one_site();
    rig.config.remove("rules/clear.json");
    rig.pebble.dns().set_default_ipv4(Some(Ipv4Addr::LOCALHOST)).await;
    let port = OWN_PORT.to_string();
    let vaned = rig.daemon().env("VANE_ACME_HTTP_PORT", &port).start().await;
    assert_eq!(vec![NAME], rig.issued(&vaned, NAME).await.leaf.names);
    let shown = vane(&vaned, &["get", "listeners"]).await.stdout;
    assert!(shown.contains(&format!("0.0.0.0:{port}")), "{shown}");
    let directory = rig.config.path();
    let compiled = vane(&vaned, &["compile", directory.to_str().unwrap()]).await;
    let alone = format!("0.0.0.0:{port}, for challenges of certificate authorities alone");
    assert!(compiled.stdout.contains(&alone), "{compiled:?}");
    let mut client = RawClient::connect((Ipv4Addr::LOCALHOST, OWN_PORT).into()).await.unwrap();
    assert_eq!(404, client.get("/", NAME).await.unwrap().status);
}

/// A name with an address of IPv6 alone is proven as well.
#[tokio::test]
async fn challenges_are_answered_on_both_families() {
    let builder = Pebble::builder().http_port(OTHER_OWN_PORT);
    let Some(rig) = Rig::new(builder).await else { return };
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skipped("no IPv6 on this host");
    }
    rig.one_site();
    let clear = json!({ "listen": format!(":{OTHER_OWN_PORT}"), "respond": { "status": 404 } });
    rig.config.write_rule("clear", clear);
    rig.pebble.dns().set_default_ipv4(None).await;
    rig.pebble.dns().set_addresses(NAME, &[Ipv6Addr::LOCALHOST.into()]).await;
    let port = OTHER_OWN_PORT.to_string();
    let daemon = rig.daemon().env("VANE_BIND_IPV6", "1").env("VANE_ACME_HTTP_PORT", &port);
    let vaned = daemon.start().await;
    assert_eq!(vec![NAME], rig.issued(&vaned, NAME).await.leaf.names);
}

/// Nobody is shown the certificate of somebody else, and the first handshake that can be
/// served is.
#[tokio::test]
async fn until_the_certificate_comes_handshakes_are_refused_and_then_the_next_one_has_it() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/finalize-order/").await;
    rig.one_site();
    Authority::root("other").server(&["other.test"]).write(
        &rig.config.path(),
        "other",
        KeyForm::Pkcs8,
    );
    let tls = json!({ "cert_file": "other.pem", "key_file": "other.key" });
    let other = json!({ "listen": rig.tls().to_string(), "tls": tls,
        "match": { "http.host": "other.test" }, "respond": {} });
    rig.config.write_rule("other", other);
    let vaned = rig.start().await;
    gate.wait_for(1, LIMIT).await;
    let anything = TlsClient::builder().build();
    for _ in 0..3 {
        let failure = anything.connect(rig.tls(), Some(NAME)).await.unwrap_err();
        assert_eq!(TlsFailure::Alert(AlertDescription::InternalError), failure);
    }
    let missing = &certs(&vaned).await;
    let missing = missing.iter().find(|cert| cert["name"] == NAME).unwrap();
    assert_eq!(
        (&json!("missing"), &json!(true)),
        (&missing["state"], &missing["managed"]["ordering"])
    );
    gate.open();
    let client = rig.client().await;
    until("a handshake that is not refused", LIMIT, async || {
        match client.connect(rig.tls(), Some(NAME)).await {
            Ok(_) => true,
            Err(TlsFailure::Alert(AlertDescription::InternalError)) => false,
            Err(other) => panic!("neither refused nor served: {other}"),
        }
    })
    .await;
    assert_eq!(vec![NAME], rig.handshake(NAME).await.unwrap().leaf.names);
}

/// One order for each certificate, however many rules ask for it or for some of its names.
#[tokio::test]
async fn rules_share_a_certificate_and_its_one_order() {
    let Some(rig) = Rig::usual().await else { return };
    rig.write_settings(json!({ "challenge": "http-01" }));
    rig.write_site("both", &["a.test", "b.test"], true);
    rig.write_site("again", &["b.test", "a.test"], true);
    rig.write_site("some", &["b.test"], true);
    let vaned = rig.start().await;
    let first = rig.issued(&vaned, "a.test").await.leaf;
    assert_eq!(vec!["a.test", "b.test"], first.names);
    assert_eq!(first, rig.handshake("b.test").await.unwrap().leaf);
    assert_eq!((1, 1), (certs(&vaned).await.len(), rig.pebble.orders()));
}

#[tokio::test]
async fn a_certificate_has_a_key_of_the_kind_that_was_asked_for() {
    let Some(rig) = Rig::usual().await else { return };
    rig.write_settings(json!({ "challenge": "tls-alpn-01" }));
    for (kind, _) in KEYS {
        rig.write_site(kind, &[&format!("{kind}.test")], json!({ "key_type": kind }));
    }
    let vaned = rig.start().await;
    for (kind, said) in KEYS {
        let leaf = rig.issued(&vaned, &format!("{kind}.test")).await.leaf;
        let (_, x509) = x509_parser::parse_x509_certificate(&leaf.der).unwrap();
        let key = x509.public_key().parsed().unwrap();
        assert_eq!(said, format!("{} {}", key_name(&key), key.key_size()), "{kind}");
    }
}

fn key_name(key: &x509_parser::public_key::PublicKey<'_>) -> &'static str {
    match key {
        x509_parser::public_key::PublicKey::EC(_) => "EC",
        x509_parser::public_key::PublicKey::RSA(_) => "RSA",
        _ => "other",
    }
}

/// An account is bound to the one that its owner has with the authority.
#[tokio::test]
async fn an_account_is_bound_to_the_external_one_or_the_authority_says_why_not() {
    let builder = Pebble::builder().external_account("kid-1", HMAC);
    let Some(rig) = Rig::new(builder).await else { return };
    let eab = |hmac: &str| {
        json!({ "challenge": "http-01",
        "eab": { "key_id": "kid-1", "hmac_key": hmac } })
    };
    rig.write_settings(eab(WRONG_HMAC));
    rig.write_site("site", &[NAME], true);
    let vaned = rig.daemon().env("VANE_LOG", "trace").start().await;
    let failed = until_failed(&vaned, NAME, 1).await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.contains("urn:ietf:params:acme:error:"), "the authority's words: {error}");
    vaned.wait_for_log(|line| line.contains("no certificate") && line.contains("acme:error")).await;
    rig.write_settings(eab(HMAC));
    vaned.reload().await;
    renew(&vaned, NAME).await;
    assert_eq!(vec![NAME], rig.issued(&vaned, NAME).await.leaf.names);
    assert_eq!(Value::Null, until_cert(&vaned, NAME, |_| true).await["last_error"]);
    assert_nothing_secret(&rig, &vaned.log_lines(), &[HMAC, WRONG_HMAC]);
}

/// Neither keys nor what proves who we are is in the log, also where it says everything.
fn assert_nothing_secret(rig: &Rig, log: &[String], more: &[&str]) {
    let mut secrets: Vec<String> = more.iter().map(|&text| text.to_owned()).collect();
    for path in files(&rig.state()).iter().filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let public = text.find("-----BEGIN CERTIFICATE").unwrap_or(text.len());
        let long =
            text[..public].split(|c: char| !c.is_ascii_alphanumeric() && !"+/_-".contains(c));
        secrets.extend(long.filter(|word| word.len() >= 40).map(str::to_owned));
    }
    // The digest of the file, and the id of the account, are no secrets.
    secrets.retain(|word| !(word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit())));
    assert!(secrets.len() > 3, "{secrets:?}");
    for secret in &secrets {
        let line = log.iter().find(|line| line.contains(secret.as_str()));
        assert_eq!(None, line, "{secret} is logged");
    }
    assert!(log.len() > 10);
}

/// RFC 8555 §6.5: a nonce that is refused is no failure.
#[tokio::test]
async fn an_authority_that_refuses_most_nonces_is_asked_again() {
    let builder = Pebble::builder().nonce_reject_percent(50);
    let Some(rig) = Rig::new(builder).await else { return };
    rig.one_site();
    let vaned = rig.start().await;
    assert_eq!(vec![NAME], rig.issued(&vaned, NAME).await.leaf.names);
    assert!(rig.pebble.log_lines().iter().any(|line| line.contains("reject 50%")));
}

/// What is on all other private addresses of the suite is not on this one.
const OWN_PORT: u16 = TLS_PORT + 2;
const OTHER_OWN_PORT: u16 = TLS_PORT + 3;
const KEYS: [(&str, &str); 3] =
    [("ecdsa-p256", "EC 256"), ("ecdsa-p384", "EC 384"), ("rsa-2048", "RSA 2048")];
const HMAC: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
const WRONG_HMAC: &str = "YWxzbyBhIGtleSBidXQgbm90IHRoZSByaWdodCBvbmUgZm9yIGtpZC0xIQ";
