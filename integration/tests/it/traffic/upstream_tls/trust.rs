//! Whom it trusts, what it asks for, and what it shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use integration::certs::{Authority, Issued, KeyForm, Spec, days};
use integration::config_dir::ConfigDir;
use integration::http_origin::HttpOrigin;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::tls_server::TlsServer;
use integration::vane::Vane;
use integration::vaned::Vaned;
use serde_json::{Value, json};

use super::super::upstreams::Scripted;
use super::{LIMIT, Rig, Site, Strict, both, failure, on_loopback, until_failed_with};

#[tokio::test]
async fn a_server_under_the_ca_file_is_trusted_by_address_and_by_name() {
    let (site, rig) = both().await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    let by_name = format!("https://localhost:{}", site.front.addr().port());
    let tls = json!({ "ca_file": "ca.pem" });
    let named = site.rig_with(json!({ "to": by_name, "tls": tls })).await;
    assert_eq!(200, named.get("/bytes/1").await.status);
    let asked: Vec<_> = site.front.handshakes().into_iter().map(|seen| seen.sni).collect();
    assert_eq!(vec![None, Some("localhost".to_owned())], asked);
}

#[tokio::test]
async fn a_server_is_trusted_at_its_ipv6_address() {
    let root = Authority::root("root");
    let config = TlsServer::new(&root.server(&["::1"])).build();
    let origin = Strict::of(HttpOrigin::builder().ipv6().tls(config)).await;
    let to = json!({ "to": origin.url(), "tls": { "ca_file": "ca.pem" } });
    let config = ConfigDir::new().file("ca.pem", &root.pem());
    let rig = Rig::of(config.rule("all", on_loopback(json!({ "forward": to })))).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_a_bad_gateway_and_the_log_says_why() {
    let (root, other) = (Arc::new(Authority::root("root")), Authority::root("other"));
    let names = ["127.0.0.1"];
    let expired = Spec::server(&names).valid(days(-30, -1));
    let client = Spec::client("client").dns("localhost");
    for (issued, why) in [
        (other.server(&names), "UnknownIssuer"),
        (root.server(&["other.example"]), "not valid for name"),
        (root.issue(&expired), "expired"),
        (root.issue(&Spec::server(&names).valid(days(1, 30))), "not valid yet"),
        (root.issue(&client), "127.0.0.1"),
    ] {
        let site = Site::of(&root, TlsServer::new(&issued).build()).await;
        let rig = site.rig().await;
        let expected = (502, "vane; error=tls_certificate_error".to_owned());
        assert_eq!(expected, failure(&rig).await, "{why}");
        until_failed_with(&rig.vaned, "the upstream's certificate does not verify").await;
        until_failed_with(&rig.vaned, why).await;
        assert_eq!(0, site.http1.count());
    }
}

#[tokio::test]
async fn another_name_is_asked_for_and_verified_where_a_rule_says_so() {
    let root = Arc::new(Authority::root("root"));
    let config = TlsServer::new(&root.server(&["app.internal"])).build();
    let site = Site::of(&root, config).await;
    let rig = site.rig().await;
    assert_eq!((502, "vane; error=tls_certificate_error".to_owned()), failure(&rig).await);
    let mut forward = site.forward();
    forward["tls"]["server_name"] = json!("app.internal");
    let rig = site.rig_with(forward).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    let asked = site.front.handshakes().pop().unwrap().sni;
    assert_eq!(Some("app.internal".to_owned()), asked);
}

#[tokio::test]
async fn our_own_certificate_is_shown_to_a_server_that_asks_for_one() {
    let (root, clients) = (Arc::new(Authority::root("root")), Authority::root("clients"));
    for tls12 in [false, true] {
        let issued = root.server(&["127.0.0.1"]);
        let tls = TlsServer::new(&issued).clients(&clients);
        let tls = if tls12 { tls.tls12_only() } else { tls };
        let site = Site::of(&root, tls.build()).await;
        let answered = async |own: Option<Issued>| {
            let mut forward = site.forward();
            let config = site.config(&forward);
            if let Some(own) = own {
                own.write(&config.path(), "own", KeyForm::Sec1);
                forward["tls"]["client_cert_file"] = json!("own.pem");
                forward["tls"]["client_key_file"] = json!("own.key");
                config.write_rule("all", on_loopback(json!({ "forward": forward })));
            }
            let rig = Rig::of(config).await;
            let failure = failure(&rig).await;
            if failure.0 == 502 {
                until_failed_with(&rig.vaned, "received fatal alert").await;
            }
            failure
        };
        let alert = (502, "vane; error=tls_alert_received".to_owned());
        assert_eq!(alert, answered(None).await, "TLS 1.2: {tls12}");
        let stranger = root.issue(&Spec::client("stranger"));
        assert_eq!(alert, answered(Some(stranger)).await, "TLS 1.2: {tls12}");
        assert_eq!(0, site.http1.count());
        let known = clients.issue(&Spec::client("vane"));
        assert_eq!(200, answered(Some(known)).await.0, "TLS 1.2: {tls12}");
        assert!(site.front.handshakes().pop().unwrap().identified);
    }
}

/// The alert comes when the handshake is over for us and the request may still wait to be sent.
#[tokio::test]
async fn a_refusal_of_our_certificate_is_told_over_http2_as_well() {
    let (root, clients) = (Arc::new(Authority::root("root")), Authority::root("clients"));
    let issued = root.server(&["127.0.0.1"]);
    let config = TlsServer::new(&issued).clients(&clients).alpn(&["h2"]).build();
    let site = Site::of(&root, config).await;
    let rig = site.rig().await;
    for _ in 0..20 {
        assert_eq!((502, "vane; error=tls_alert_received".to_owned()), failure(&rig).await);
    }
    until_failed_with(&rig.vaned, "received fatal alert: CertificateRequired").await;
}

/// S16. What is not verified serves, and is said at each compile and for as long as it serves.
#[tokio::test]
async fn a_server_that_is_not_verified_serves_and_is_shown_everywhere() {
    let root = Arc::new(Authority::root("root"));
    let spec = Spec::server(&["other.example"]).valid(days(-30, -1));
    let site = Site::of(&root, TlsServer::new(&root.issue(&spec)).build()).await;
    let url = site.front.url();
    let config = site.config(&json!({ "to": url, "tls": { "verify": "none" } }));
    let verified = on_loopback(json!({ "forward": { "to": url, "tls": { "ca_file": "ca.pem" } } }));
    config.write_rule("verified", with_path(verified));
    let dir = config.path().display().to_string();
    let rig = Rig::of(config).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);

    let check = Vane::new().run(&["check", &dir]).await;
    assert_eq!(0, check.status, "{}", check.stderr);
    assert!(check.stderr.contains("warning[unverified-upstream]"), "{}", check.stderr);
    let compiled = Vane::new().run(&["compile", &dir]).await.stdout;
    assert!(compiled.contains(&format!("upstream {url}, NOT VERIFIED\n")), "{compiled}");
    rig.vaned.wait_for_log(|line| line.contains("[unverified-upstream]")).await;
    let stats = rig.stats().await;
    assert_eq!(
        (json!([url]), json!(1)),
        (stats["unverified_upstreams"].clone(), stats["warnings"].clone())
    );
    let shown = Vane::new().socket(rig.vaned.socket()).run(&["stats"]).await.stdout;
    assert!(shown.lines().any(|line| line == format!("not verified      {url}")), "{shown}");
}

#[tokio::test]
async fn servers_are_verified_with_the_roots_of_the_system_where_no_file_is_named() {
    let root = Arc::new(Authority::root("root"));
    let config = TlsServer::new(&root.server(&["localhost"])).build();
    let site = Site::of(&root, config).await;
    let place = tempfile::tempdir().unwrap();
    let roots = root.write(place.path(), "roots");
    let to = format!("https://localhost:{}", site.front.addr().port());
    let config = ConfigDir::new().rule("all", on_loopback(json!({ "forward": to })));
    let variables = [("SSL_CERT_FILE", roots.to_str().unwrap()), ("SSL_CERT_DIR", "/nonexistent")];
    let rig = Rig::with(config, &variables).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    let config = ConfigDir::new().rule("all", on_loopback(json!({ "forward": to })));
    let other = Authority::root("other").write(place.path(), "other");
    let rig = Rig::with(config, &[("SSL_CERT_FILE", other.to_str().unwrap()), variables[1]]).await;
    assert_eq!((502, "vane; error=tls_certificate_error".to_owned()), failure(&rig).await);
}

/// What is missing can come while the daemon runs.
#[tokio::test]
async fn a_system_without_roots_refuses_what_needs_them_until_it_has_some() {
    let site = Site::start(&["h2", "http/1.1"]).await;
    let place = tempfile::tempdir().unwrap();
    let roots = place.path().join("roots.pem");
    let file = roots.to_str().unwrap().to_owned();
    let variables = [("SSL_CERT_FILE", &*file), ("SSL_CERT_DIR", "/nonexistent")];
    // Its own `ca_file` is all that it needs.
    let config = site.config(&json!({ "to": "app", "tls": { "ca_file": "ca.pem" } }));
    let config = config.config(json!({ "upstreams": { "app": [site.front.url()] } }));
    let rig = Rig::with(config, &variables).await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
    rig.config.write_rule("all", on_loopback(json!({ "forward": "app" })));
    let refused = rig.vaned.manage("reload", json!({})).await.unwrap_err();
    let why = refused["data"]["rendered"].as_str().unwrap_or_default();
    assert!(why.contains("this system has no trusted roots"), "{refused}");
    std::fs::write(&roots, site.root.pem()).unwrap();
    rig.vaned.reload().await;
    assert_eq!(200, rig.get("/bytes/1").await.status);
}

#[tokio::test]
async fn the_handshake_is_part_of_the_time_for_the_connection() {
    let silent = TcpOrigin::start(Behaviour::Swallow).await;
    for version in ["auto", "1.1", "2"] {
        let to = json!({ "to": format!("https://{}", silent.addr()), "version": version,
            "timeout": { "connect": "400ms" }, "tls": { "verify": "none" } });
        let rig = Rig::ruled(json!({ "forward": to })).await;
        let begun = Instant::now();
        // Also whoever waits for the attempt of another.
        let (one, two, three) = tokio::join!(failure(&rig), failure(&rig), failure(&rig));
        assert!(begun.elapsed() < Duration::from_millis(1200), "{version}: {:?}", begun.elapsed());
        for answer in [one, two, three] {
            assert_eq!((504, "vane; error=connection_timeout".to_owned()), answer, "{version}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_bad_gateway() {
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    // The first bytes of any ClientHello.
    let origin = Scripted::start_after(vec![0x16, 0x03], answer).await;
    let to = json!({ "to": origin.url().replace("http", "https"), "tls": { "verify": "none" } });
    let rig = Rig::ruled(json!({ "forward": to })).await;
    assert_eq!((502, "vane; error=tls_protocol_error".to_owned()), failure(&rig).await);
}

/// S7. Certificates may be secrets, so whoever checks need not be able to read them.
#[tokio::test]
async fn a_check_needs_none_of_the_files() {
    let site = Site::start(&[]).await;
    let mut forward = site.forward();
    for (key, file) in [("client_cert_file", "own.pem"), ("client_key_file", "own.key")] {
        forward["tls"][key] = json!(file);
    }
    let config = site.config(&forward);
    config.remove("ca.pem");
    let mut check = Vaned::builder(&config).arg("--check").spawn();
    assert_eq!(Some(0), check.exit_status(LIMIT).await.code());
    let check = Vane::new().run(&["check", &config.path().display().to_string()]).await;
    assert_eq!((0, ""), (check.status, &*check.stderr));
    let mut boot = Vaned::builder(&config).spawn();
    assert_ne!(Some(0), boot.exit_status(LIMIT).await.code());
    let said = boot.log_lines().join("\n");
    assert!(said.contains("ca.pem") && said.contains("towards servers"), "{said}");
}

fn with_path(mut rule: Value) -> Value {
    rule["match"] = json!({ "http.path": "/verified" });
    rule
}
