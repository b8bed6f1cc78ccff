use integration::certs::{Authority, Issued, KeyForm};
use integration::config_dir::ConfigDir;
use integration::tls_client::{TlsClient, TlsFailure};
use rustls::AlertDescription;
use serde_json::{Value, json};

use super::{Site, on_loopback, pair, pair_with};

const REFUSED: TlsFailure = TlsFailure::Alert(AlertDescription::UnrecognisedName);

/// A rule for paths below its own name, so that none is in front of another.
fn rule(name: &str, host: Option<&str>, tls: &Value) -> Value {
    let mut matched = json!({ "http.path": { "prefix": format!("/{name}") } });
    if let Some(host) = host {
        matched["http.host"] = json!(host);
    }
    on_loopback(json!({ "match": matched, "tls": tls, "respond": { "body": name } }))
}

struct Names {
    config: ConfigDir,
    root: Authority,
}

impl Names {
    fn new() -> Self {
        Self { config: ConfigDir::new(), root: Authority::root("root") }
    }

    /// Adds a rule with a certificate of its own.
    fn add(mut self, name: &str, host: Option<&str>, tls: &Value, sans: &[&str]) -> (Self, Issued) {
        let issued = self.root.server(sans);
        issued.write(&self.config.path(), name, KeyForm::Pkcs8);
        self.config = self.config.rule(name, rule(name, host, &pair_with(name, tls)));
        (self, issued)
    }
}

/// T2. An exact name goes before a wildcard, and that before the names that a certificate has of
/// itself; a wildcard is one label; what nobody serves is refused with the alert that says so.
#[tokio::test]
async fn a_handshake_gets_the_certificate_of_its_name() {
    let names = Names::new();
    let (names, exact) = names.add("exact", Some("www.a.test"), &json!({}), &["www.a.test"]);
    let (names, wild) = names.add("wild", None, &json!({ "names": "*.a.test" }), &["*.a.test"]);
    let listed = json!({ "names": ["one.test", "two.test"] });
    let (names, listed) = names.add("listed", Some("one.test"), &listed, &["one.test"]);
    let own = &["www.a.test", "own.test", "*.own.test"];
    let (names, own) = names.add("own", None, &json!({}), own);
    let site = Site::of(names.config).await;
    let expected = [
        ("www.a.test", &exact),
        ("WWW.A.Test", &exact),
        ("other.a.test", &wild),
        ("one.test", &listed),
        ("two.test", &listed),
        ("own.test", &own),
        ("x.own.test", &own),
    ];
    for (name, issued) in expected {
        assert_eq!(Ok(issued.certificate()), site.shown(name).await, "{name}");
    }
    for name in ["a.test", "x.y.a.test", "x.y.own.test", "three.test"] {
        assert_eq!(Err(REFUSED), site.shown(name).await, "{name}");
    }
    let nameless = TlsClient::builder().build().connect(site.addr, None).await;
    assert_eq!(Some(REFUSED), nameless.err());
    site.until_counted("unknown_name", 5).await;
    let line = site.vaned.wait_for_log(|line| line.contains("three.test")).await;
    assert!(line.contains("no certificate serves this name"), "{line}");
}

/// T2. Where there is a default, it serves whoever asks for something else or for nothing.
#[tokio::test]
async fn the_default_serves_every_other_name_and_none() {
    let names = Names::new();
    let (names, named) = names.add("named", Some("a.test"), &json!({}), &["a.test"]);
    let default = json!({ "default": true });
    let (names, default) = names.add("default", None, &default, &["127.0.0.1", "d.test"]);
    let trusting = TlsClient::builder().roots(&[names.root.der()]).build();
    let site = Site::of(names.config).await;
    assert_eq!(Ok(named.certificate()), site.shown("a.test").await);
    for name in ["d.test", "unknown.test"] {
        assert_eq!(Ok(default.certificate()), site.shown(name).await, "{name}");
    }
    let nameless = trusting.connect(site.addr, None).await.unwrap();
    assert_eq!(default.certificate(), nameless.handshake.leaf);
    let mut nameless = nameless.http1();
    let answer = nameless.get("/default", &site.addr.to_string()).await.unwrap();
    assert_eq!((200, "default"), (answer.status, &*answer.text()));
}

/// T2. The chain is sent whole, so that a client that knows only the root trusts it.
#[tokio::test]
async fn intermediates_are_sent_along() {
    let root = Authority::root("root");
    let issued = root.intermediate("between").server(&["a.test"]);
    let config = ConfigDir::new().rule("a", rule("a", Some("a.test"), &pair("a")));
    issued.write(&config.path(), "a", KeyForm::Pkcs8);
    let site = Site::of(config).await;
    let trusting = TlsClient::builder().roots(&[root.der()]).build();
    let connection = site.connect(&trusting, "a.test").await.unwrap();
    assert_eq!(issued.chain(), connection.handshake.chain);
}

/// T2. Certificates belong to a listener: another one on the same daemon serves others.
#[tokio::test]
async fn a_listener_serves_its_own_certificates_alone() {
    let names = Names::new();
    let (names, first) = names.add("first", Some("a.test"), &json!({}), &["a.test"]);
    let (names, second) = names.add("second", Some("b.test"), &json!({}), &["a.test"]);
    let mut moved = rule("second", Some("b.test"), &pair_with("second", &json!({})));
    moved["listen"] = json!("127.0.0.2:0");
    moved["tls"]["names"] = json!("a.test");
    let config = names.config.rule("second", moved);
    let vaned = integration::vaned::Vaned::start(&config).await;
    for (listener, issued) in [("127.0.0.1:0", first), ("127.0.0.2:0", second)] {
        let addr = vaned.addr(listener).await;
        let connection = TlsClient::builder().build().connect(addr, Some("a.test")).await.unwrap();
        assert_eq!(issued.certificate(), connection.handshake.leaf, "{listener}");
    }
}
