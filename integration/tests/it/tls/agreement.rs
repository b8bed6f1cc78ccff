use integration::certs::{Authority, KeyForm, KeyKind, Spec};
use integration::config_dir::ConfigDir;
use integration::tls_client::{Builder, TlsClient, TlsFailure};
use rustls::{AlertDescription, NamedGroup, ProtocolVersion};
use serde_json::json;

use super::{Site, on_loopback, pair, pair_with, says};

/// T3. Every kind of key in every form that it can be written in, over both versions.
#[tokio::test]
async fn keys_of_every_kind_and_form_are_served() {
    let kinds = [
        (KeyKind::EcdsaP256, KeyForm::Pkcs8),
        (KeyKind::EcdsaP256, KeyForm::Sec1),
        (KeyKind::EcdsaP384, KeyForm::Pkcs8),
        (KeyKind::EcdsaP384, KeyForm::Sec1),
        (KeyKind::Rsa2048, KeyForm::Pkcs8),
        (KeyKind::Rsa2048, KeyForm::Pkcs1),
        (KeyKind::Ed25519, KeyForm::Pkcs8),
    ];
    let root = Authority::root("root");
    let mut config = ConfigDir::new();
    for (number, (kind, form)) in kinds.into_iter().enumerate() {
        let (name, host) = (format!("k{number}"), format!("k{number}.test"));
        let issued = root.issue(&Spec::server(&[&host]).key(kind));
        issued.write(&config.path(), &name, form);
        let mut rule = on_loopback(says("{http.host}"));
        rule["match"] = json!({ "http.host": host });
        rule["tls"] = pair(&name);
        config = config.rule(&name, rule);
    }
    let site = Site::of(config).await;
    let trusting = || TlsClient::builder().roots(&[root.der()]);
    for (number, kind) in kinds.into_iter().enumerate() {
        let host = format!("k{number}.test");
        for client in [trusting().tls12_only().build(), trusting().tls13_only().build()] {
            let connection = site.connect(&client, &host).await;
            let connection = connection.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            let answer = connection.http1().get("/", &host).await.unwrap();
            assert_eq!(host, answer.text(), "{kind:?}");
        }
    }
}

/// T1. Both versions where nothing is written; with `min_version` the newer one alone.
#[tokio::test]
async fn versions_are_those_that_the_rule_allows() {
    let both = Site::ruled(says("{tls.version}")).await;
    let tls = pair_with("site", &json!({ "min_version": "1.3" }));
    let strict = Site::ruled(json!({ "respond": { "body": "{tls.version}" }, "tls": tls })).await;
    let (old, new) = (TlsClient::builder().tls12_only(), TlsClient::builder().tls13_only());
    let (old, new) = (old.build(), new.build());
    for (site, client, version) in
        [(&both, &old, "1.2"), (&both, &new, "1.3"), (&strict, &new, "1.3")]
    {
        let connection = site.connect(client, "a.test").await.unwrap();
        assert_eq!(version, connection.http1().get("/", "a.test").await.unwrap().text());
    }
    let refused = strict.connect(&old, "a.test").await.unwrap_err();
    assert_eq!(TlsFailure::Alert(AlertDescription::ProtocolVersion), refused);
    strict.until_counted("protocol", 1).await;
}

/// T1. HTTP/2 is preferred, HTTP/1.1 is what is spoken where nothing is offered, and whoever offers
/// neither is told.
#[tokio::test]
async fn the_protocol_is_agreed_on() {
    let site = Site::ruled(says("{http.version}")).await;
    let offers: [(&[&str], Option<&str>); 4] = [
        (&["h2", "http/1.1"], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ];
    for (offered, agreed) in offers {
        for version in [Builder::tls12_only, Builder::tls13_only] {
            let client = version(TlsClient::builder().alpn(offered)).build();
            let connection = site.connect(&client, "a.test").await.unwrap();
            assert_eq!(agreed, connection.handshake.alpn.as_deref(), "{offered:?}");
            let spoken = match agreed {
                Some("h2") => {
                    let answer = connection.http2("a.test").await.unwrap().get("/").await.unwrap();
                    String::from_utf8(answer.body).unwrap()
                }
                _ => connection.http1().get("/", "a.test").await.unwrap().text(),
            };
            let expected = if agreed == Some("h2") { "2" } else { "1.1" };
            assert_eq!(expected, spoken, "{offered:?}");
        }
    }
    let strange = TlsClient::builder().alpn(&["spdy/3"]).build();
    let refused = site.connect(&strange, "a.test").await.unwrap_err();
    assert_eq!(TlsFailure::Alert(AlertDescription::NoApplicationProtocol), refused);
}

/// T1. The hybrid group that resists quantum computers is taken by whoever offers it, without a
/// second round; others get what they can.
#[tokio::test]
async fn the_key_exchange_is_the_best_that_both_know() {
    use NamedGroup::{X25519, X25519MLKEM768, secp256r1, secp384r1};
    let site = Site::ruled(says("x")).await;
    let offers: [(&[NamedGroup], NamedGroup); 4] = [
        (&[X25519MLKEM768, X25519], X25519MLKEM768),
        (&[X25519], X25519),
        (&[secp256r1], secp256r1),
        (&[secp384r1], secp384r1),
    ];
    for (offered, agreed) in offers {
        let client = TlsClient::builder().groups(offered).build();
        let seen = site.connect(&client, "a.test").await.unwrap().handshake;
        assert_eq!((Some(agreed), false), (seen.group, seen.retried), "{offered:?}");
        assert_eq!(ProtocolVersion::TLSv1_3, seen.version);
    }
}

/// T1. Not even by way of a library of the system.
#[tokio::test]
async fn the_daemon_has_no_openssl_loaded() {
    let site = Site::ruled(says("x")).await;
    assert!(site.shown("a.test").await.is_ok());
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", site.vaned.pid())).unwrap();
    for library in ["libssl", "libcrypto", "libgnutls"] {
        assert!(!maps.contains(library), "{library} is loaded");
    }
}
