//! What a reload changes, and what it leaves alone.

use integration::certs::{Authority, KeyForm, Spec};
use integration::tls_front::Ending;
use integration::tls_server::TlsServer;
use integration::wait::until;
use serde_json::{Value, json};

use super::{LIMIT, Rig, Site, both, failure, on_loopback, server};

#[tokio::test]
async fn connections_outlive_a_reload_that_does_not_concern_them() {
    for alpn in [&["h2"] as &[&str], &["http/1.1"]] {
        let site = Site::start(alpn).await;
        let rig = site.rig().await;
        for round in 0..3 {
            assert_eq!(200, rig.get("/bytes/1").await.status);
            rig.config.write_rule("other", other(round));
            rig.vaned.reload().await;
        }
        assert_eq!(1, site.front.connections_accepted(), "{alpn:?}");
    }
}

#[tokio::test]
async fn connections_end_with_the_authority_that_they_were_made_under() {
    for alpn in [&["h2"] as &[&str], &["http/1.1"]] {
        let site = Site::start(alpn).await;
        let rig = site.rig().await;
        assert_eq!(200, rig.get("/bytes/1").await.status);
        rig.config.write("ca.pem", &Authority::root("another").pem());
        rig.vaned.reload().await;
        let refused = (502, "vane; error=tls_certificate_error".to_owned());
        assert_eq!(refused, failure(&rig).await, "{alpn:?}");
        rig.config.write("ca.pem", &site.root.pem());
        rig.vaned.reload().await;
        assert_eq!(200, rig.get("/bytes/1").await.status);
    }
}

#[tokio::test]
async fn other_terms_are_other_connections() {
    let (site, rig) = both().await;
    let mut forward = site.forward();
    for (accepted, name) in [(1, None), (2, Some("localhost"))] {
        if let Some(name) = name {
            forward["tls"]["server_name"] = json!(name);
            rig.config.write_rule("all", on_loopback(json!({ "forward": forward })));
            rig.vaned.reload().await;
        }
        assert_eq!(200, rig.get("/bytes/1").await.status);
        assert_eq!(accepted, site.front.connections_accepted());
    }
    assert_eq!(Some("localhost"), site.front.handshakes()[1].sni.as_deref());
}

#[tokio::test]
async fn our_own_certificate_is_shown_anew_once_its_files_have_changed() {
    let (site, clients) = (Site::start(&[]).await, Authority::root("clients"));
    let issued = site.root.server(&["127.0.0.1"]);
    site.front.replace(TlsServer::new(&issued).clients(&clients).build());
    let mut forward = site.forward();
    forward["tls"]["client_cert_file"] = json!("own.pem");
    forward["tls"]["client_key_file"] = json!("own.key");
    let config = site.config(&forward);
    let stranger = Authority::root("strangers").issue(&Spec::client("vane"));
    stranger.write(&config.path(), "own", KeyForm::Pkcs8);
    let rig = Rig::of(config).await;
    assert_eq!((502, "vane; error=tls_alert_received".to_owned()), failure(&rig).await);
    clients.issue(&Spec::client("vane")).write(&rig.config.path(), "own", KeyForm::Pkcs8);
    rig.vaned.reload().await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

#[tokio::test]
async fn files_that_cannot_be_used_refuse_the_reload_and_what_served_goes_on() {
    let (site, rig) = both().await;
    for (files, why) in [
        (&[("ca.pem", None)] as &[(&str, Option<&str>)], "No such file"),
        (&[("ca.pem", Some("no certificate"))], "there is no certificate in it"),
        (&[("ca.pem", Some("-----BEGIN CERTIFICATE-----\n!\n"))], "its PEM is broken"),
    ] {
        for (file, content) in files {
            match content {
                Some(content) => rig.config.write(file, content),
                None => rig.config.remove(file),
            }
        }
        let said = refusal(&rig).await;
        assert!(said.contains("ca.pem` towards servers: ") && said.contains(why), "{said}");
        assert!(said.starts_with("error[file-unreadable]"), "{said}");
        assert_eq!(200, rig.get("/bytes/1").await.status);
        // Also on connections that are made now.
        site.front.end_all(Ending::Orderly);
        until("all to be gone", LIMIT, async || site.front.connections_open() == 0).await;
        assert_eq!(200, rig.get("/bytes/1").await.status);
    }
}

/// What serves is not half changed by a reload that is refused for another reason.
#[tokio::test]
async fn a_refused_reload_leaves_what_is_trusted_as_it_was() {
    let site = Site::start(&["http/1.1"]).await;
    let config = site.config(&site.forward()).file("other.pem", &site.root.pem());
    let mut other = on_loopback(json!({ "forward": site.forward() }));
    other["match"] = json!({ "http.path": "/other" });
    other["forward"]["tls"]["ca_file"] = json!("other.pem");
    config.write_rule("other", other);
    let rig = Rig::of(config).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    rig.config.write("ca.pem", &Authority::root("another").pem());
    rig.config.write("other.pem", "no certificate");
    let said = refusal(&rig).await;
    assert!(said.contains("other.pem") && !said.contains("ca.pem"), "{said}");
    site.front.replace(server(&site.root, &["http/1.1"]));
    site.front.end_all(Ending::Orderly);
    until("all to be gone", LIMIT, async || site.front.connections_open() == 0).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

#[tokio::test]
async fn a_key_of_another_certificate_refuses_the_reload() {
    let (site, rig) = both().await;
    let clients = Authority::root("clients");
    let own = clients.issue(&Spec::client("vane")).write(&rig.config.path(), "own", KeyForm::Sec1);
    clients.issue(&Spec::client("other")).write(&rig.config.path(), "other", KeyForm::Sec1);
    let mut forward = site.forward();
    forward["tls"]["client_cert_file"] = json!(own.cert);
    forward["tls"]["client_key_file"] = json!("other.key");
    rig.config.write_rule("all", on_loopback(json!({ "forward": forward })));
    let said = refusal(&rig).await;
    assert!(said.contains("own.pem` towards servers: "), "{said}");
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

/// What a reload says that is refused.
async fn refusal(rig: &Rig) -> String {
    let refused = rig.vaned.manage("reload", json!({})).await.unwrap_err();
    assert_eq!("refused", refused["data"]["outcome"]);
    refused["data"]["rendered"].as_str().unwrap_or_default().to_owned()
}

fn other(round: u32) -> Value {
    let mut rule = on_loopback(json!({ "respond": { "body": round.to_string() } }));
    rule["match"] = json!({ "http.path": "/other" });
    rule
}
