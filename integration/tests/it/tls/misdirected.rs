use integration::certs::{Authority, Spec};
use integration::config_dir::ConfigDir;
use integration::tcp_origin::{Behaviour, TcpOrigin};
use integration::tls_client::TlsClient;
use integration::vaned::Vaned;
use serde_json::{Value, json};

use super::{Site, on_loopback, pair_with, status};

struct Hosts {
    config: ConfigDir,
    root: Authority,
}

impl Hosts {
    fn new() -> Self {
        let root = Authority::root("root");
        let config = ConfigDir::new();
        root.write(&config.path(), "ca");
        Self { config, root }
    }

    /// A rule for that host with a certificate of these names.
    fn add(mut self, name: &str, host: &Value, sans: &[&str], tls: &Value) -> Self {
        let issued = self.root.server(sans);
        issued.write(&self.config.path(), name, integration::certs::KeyForm::Pkcs8);
        let mut rule = on_loopback(json!({ "respond": { "body": name } }));
        rule["tls"] = pair_with(name, tls);
        if !host.is_null() {
            rule["match"] = json!({ "http.host": host });
        }
        self.config = self.config.rule(name, rule);
        self
    }
}

/// The answers to requests for these hosts on one connection for `name`, over HTTP/1.1 and HTTP/2.
async fn assert_statuses(site: &Site, name: &str, expected: &[(&str, u16)]) {
    let connection = site.connect(&TlsClient::builder().build(), name).await.unwrap();
    let mut http1 = connection.http1();
    let client = TlsClient::builder().alpn(&["h2"]).build();
    let http2 = site.connect(&client, name).await.unwrap().http2(name).await.unwrap();
    for (host, expected) in expected {
        assert_eq!(Ok(*expected), status(&mut http1, host).await, "{host} over {name}");
        let answer = http2.clone().with_authority(host).get("/").await.unwrap();
        assert_eq!(*expected, answer.status, "{host} over {name}, HTTP/2");
    }
}

/// T8. A host that the connection's certificate covers may share the connection, one that it does
/// not is sent away, and the connection goes on.
#[tokio::test]
async fn a_host_that_the_certificate_does_not_cover_is_sent_away() {
    let none = json!({});
    let hosts = Hosts::new()
        .add("ab", &json!(["a.test", "b.test"]), &["a.test", "b.test", "*.w.test"], &none)
        .add("c", &json!("c.test"), &["c.test"], &none)
        .add("w", &json!("own.w.test"), &["own.w.test"], &none);
    let site = Site::of(hosts.config).await;
    let expected = [
        ("a.test", 200),
        ("b.test", 200),
        ("B.Test:8443", 200),
        ("c.test", 421),
        // Covered by this certificate as well, although handshakes for it get another.
        ("own.w.test", 200),
        ("x.w.test", 404),
        ("x.y.w.test", 421),
        ("unknown.test", 421),
        ("a.test", 200),
    ];
    assert_statuses(&site, "a.test", &expected).await;
    assert_statuses(&site, "own.w.test", &[("a.test", 421), ("own.w.test", 200)]).await;
}

/// T8. Nobody reaches a host that wants a certificate of its clients over a connection for one
/// that does not, whatever the certificates cover.
#[tokio::test]
async fn a_host_with_other_terms_is_sent_away() {
    let all = &["open.test", "asks.test", "wants.test", "new.test"];
    let auth = |mode: &str| json!({ "client_auth": { "mode": mode, "ca_files": "ca.pem" } });
    let hosts = Hosts::new()
        .add("open", &json!("open.test"), all, &json!({}))
        .add("wants", &json!("wants.test"), all, &auth("require"))
        .add("asks", &json!("asks.test"), all, &auth("request"))
        .add("new", &json!("new.test"), all, &json!({ "min_version": "1.3" }));
    let alice = hosts.root.issue(&Spec::client("alice"));
    let site = Site::of(hosts.config).await;
    let others = |own: &'static str| {
        ["open.test", "asks.test", "wants.test", "new.test"]
            .map(|host| (host, if host == own { 200 } else { 421 }))
    };
    for own in ["open.test", "asks.test", "new.test"] {
        assert_statuses(&site, own, &others(own)).await;
    }
    let client = TlsClient::builder().identity(&alice).build();
    let mut client = site.connect(&client, "wants.test").await.unwrap().http1();
    for (host, expected) in others("wants.test") {
        assert_eq!(Ok(expected), status(&mut client, host).await, "{host}");
    }
}

/// T8. A request of HTTP/1.0 that names no host is for the host of its connection.
#[tokio::test]
async fn a_request_without_a_host_is_not_sent_away() {
    let site = Site::ruled(json!({ "respond": { "body": "{tls.sni}" } })).await;
    let mut client = site.https().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!((200, "a.test"), (answer.status, &*answer.text()));
}

/// T8. The same where the other terms are those of the default, which a handshake for a name that
/// nobody else serves would have got.
#[tokio::test]
async fn a_host_that_the_default_would_have_served_on_other_terms_is_sent_away() {
    let wants = json!({ "default": true,
        "client_auth": { "mode": "require", "ca_files": "ca.pem" } });
    let hosts = Hosts::new()
        .add("open", &json!("open.test"), &["open.test", "*.test"], &json!({}))
        .add("rest", &Value::Null, &["rest.test"], &wants);
    let site = Site::of(hosts.config).await;
    assert_statuses(&site, "open.test", &[("open.test", 200), ("other.test", 421)]).await;
}

/// T8. On a connection that the default serves, every host is welcome that it would have served.
#[tokio::test]
async fn the_default_takes_every_host_of_its_own() {
    let hosts = Hosts::new().add("named", &json!("named.test"), &["named.test"], &json!({})).add(
        "rest",
        &Value::Null,
        &["rest.test"],
        &json!({ "default": true }),
    );
    let site = Site::of(hosts.config).await;
    let expected = [("anything.test", 200), ("rest.test", 200), ("named.test", 421)];
    assert_statuses(&site, "rest.test", &expected).await;
    assert_statuses(&site, "unknown.test", &expected).await;
}

/// T8. T6. A rule that wants certificates is reached by nobody without one, also where its `match`
/// leaves room for hosts of other rules.
#[tokio::test]
async fn a_rule_that_wants_certificates_is_reached_by_nobody_without_one() {
    let root = Authority::root("root");
    let config = ConfigDir::new();
    root.write(&config.path(), "ca");
    let target = TcpOrigin::start(Behaviour::Echo).await;
    let listen = ["127.0.0.1:0", "127.0.0.2:0"];
    let wants = json!({ "names": "wants.test",
        "client_auth": { "mode": "require", "ca_files": "ca.pem" } });
    let rule = |listen: &str, tls: &Value, mut rule: Value| {
        rule["listen"] = json!(listen);
        rule["tls"] = pair_with("site", tls);
        rule
    };
    let open =
        json!({ "match": { "http.host": "open.test", "http.path": "/open" }, "respond": {} });
    let admin = json!({ "match": { "http.path": "/admin" }, "respond": { "body": "admin" } });
    let tunnel = json!({ "tunnel": target.addr().to_string() });
    let issued = root.server(&["open.test", "wants.test"]);
    issued.write(&config.path(), "site", integration::certs::KeyForm::Pkcs8);
    let config = config
        .rule("open", rule(listen[0], &json!({}), open.clone()))
        .rule("admin", rule(listen[0], &wants, admin))
        .rule("other", rule(listen[1], &json!({}), open))
        .rule("tunnel", rule(listen[1], &wants, tunnel));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.addr(listen[0]).await;
    let alice = root.issue(&Spec::client("alice"));
    let known = TlsClient::builder().identity(&alice).build();
    for (client, name, expected) in
        [(TlsClient::builder().build(), "open.test", 421), (known.clone(), "wants.test", 200)]
    {
        let mut http1 = client.connect(addr, Some(name)).await.unwrap().http1();
        assert_eq!(expected, http1.get("/admin", name).await.unwrap().status, "{name}");
    }
    let addr = vaned.addr(listen[1]).await;
    let mut tunnelled = known.connect(addr, Some("wants.test")).await.unwrap().http1();
    tunnelled.send("echo").await.unwrap();
    assert_eq!(Ok(b"echo".to_vec()), tunnelled.read_exactly(4).await);
    let stranger = TlsClient::builder().build().connect(addr, Some("open.test")).await;
    let mut stranger = stranger.unwrap().http1();
    let _ = stranger.send("echo").await;
    assert!(stranger.read_exactly(4).await.is_err());
    assert_eq!(1, target.connections_accepted());
}
