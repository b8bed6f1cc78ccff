use std::fs;
use std::time::{Duration, SystemTime};

use integration::certs::{Authority, Issued, Spec, days};
use integration::config_dir::ConfigDir;
use integration::http_origin::HttpOrigin;
use integration::tls_client::{Builder, TlsClient, TlsFailure};
use integration::wait::until;
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{LIMIT, Site, on_loopback, pair_with, site, status};

/// A site that asks for certificates of one authority.
struct People {
    root: Authority,
    site: Site,
}

impl People {
    /// `more` stands beside the mode and the authority.
    async fn asked(mode: &str, more: &Value) -> Self {
        let root = Authority::root("people");
        let mut auth = json!({ "mode": mode, "ca_files": "ca.pem" });
        auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let tls = pair_with("site", &json!({ "client_auth": auth }));
        let body = "{tls.peer_cert.present} {tls.peer_cert.subject_cn}";
        let config = site(json!({ "respond": { "body": body }, "tls": tls }));
        root.write(&config.path(), "ca");
        config.write("crl.pem", &root.crl(&[], days(-1, 1)));
        Self { root, site: Site::of(config).await }
    }

    fn client(&self, name: &str) -> Issued {
        self.root.issue(&Spec::client(name))
    }

    /// What a client is told that is taken, over both versions.
    async fn assert_taken(&self, identity: Option<&Issued>, expected: &str) {
        for version in VERSIONS {
            let connection = self.site.connect(&client(version, identity), "a.test").await.unwrap();
            let answer = connection.http1().get("/", "a.test").await.unwrap();
            assert_eq!((200, expected), (answer.status, &*answer.text()));
        }
    }

    /// With which alert a client is refused, over both versions: within the handshake, or in TLS
    /// 1.3 right behind it.
    async fn assert_refused(&self, identity: Option<&Issued>, alert: AlertDescription) {
        for version in VERSIONS {
            let failed = match self.site.connect(&client(version, identity), "a.test").await {
                Ok(mut connection) => connection.ending().await.unwrap_err(),
                Err(failed) => failed,
            };
            assert_eq!(TlsFailure::Alert(alert), failed);
        }
    }
}

const VERSIONS: [fn(Builder) -> Builder; 2] = [Builder::tls12_only, Builder::tls13_only];

fn client(version: fn(Builder) -> Builder, identity: Option<&Issued>) -> TlsClient {
    let builder = version(TlsClient::builder());
    match identity {
        Some(issued) => builder.identity(issued).build(),
        None => builder.build(),
    }
}

/// T6. Who has none gets in where one is only asked for; who shows one that does not verify does
/// not.
#[tokio::test]
async fn a_certificate_that_is_asked_for_may_be_missing_but_not_false() {
    let people = People::asked("request", &json!({})).await;
    people.assert_taken(None, "false ").await;
    people.assert_taken(Some(&people.client("alice")), "true alice").await;
    let mallory = Authority::root("people").issue(&Spec::client("mallory"));
    people.assert_refused(Some(&mallory), AlertDescription::DecryptError).await;
    people.site.until_counted("client_certificate", 2).await;
}

/// T6. Where one is required, each refusal has its alert, is counted and logged with its reason.
#[tokio::test]
async fn a_certificate_that_is_required_has_to_verify() {
    use AlertDescription as Alert;
    let people = People::asked("require", &json!({})).await;
    people.assert_taken(Some(&people.client("alice")), "true alice").await;
    let below = people.root.intermediate("between").issue(&Spec::client("bob"));
    people.assert_taken(Some(&below), "true bob").await;
    let expired = people.root.issue(&Spec::client("old").valid(days(-10, -1)));
    let early = people.root.issue(&Spec::client("new").valid(days(1, 10)));
    let server = people.root.server(&["a.test"]);
    let stranger = Authority::root("others").issue(&Spec::client("eve"));
    let refused: [(Option<&Issued>, Alert, &str); 5] = [
        (None, Alert::CertificateRequired, "sent no certificates"),
        (Some(&expired), Alert::CertificateExpired, "certificate expired"),
        (Some(&early), Alert::CertificateExpired, "not valid yet"),
        (Some(&server), Alert::UnsupportedCertificate, "extended key usage"),
        (Some(&stranger), Alert::UnknownCA, "UnknownIssuer"),
    ];
    for (number, (identity, alert, reason)) in refused.into_iter().enumerate() {
        people.assert_refused(identity, alert).await;
        people.site.until_counted("client_certificate", 2 * (number as u64 + 1)).await;
        let line = people.site.vaned.wait_for_log(|line| line.contains(reason)).await;
        assert!(line.contains("a.test") && line.contains("client's certificate"), "{line}");
    }
}

/// T6. A revoked certificate is refused, from when the list says so, also where it is resumed.
#[tokio::test]
async fn a_revoked_certificate_is_refused_from_then_on() {
    let people = People::asked("require", &json!({ "crl_files": "crl.pem" })).await;
    let (alice, bob) = (people.client("alice"), people.client("bob"));
    for name in ["alice", "bob"] {
        let identity = if name == "alice" { &alice } else { &bob };
        people.assert_taken(Some(identity), &format!("true {name}")).await;
    }
    let resuming: Vec<_> = VERSIONS
        .map(|version| version(TlsClient::builder().identity(&bob)).resuming().build())
        .into();
    for client in &resuming {
        for resumed in [false, true] {
            let mut connection = people.site.connect(client, "a.test").await.unwrap();
            assert_eq!(resumed, connection.handshake.resumed);
            if client.wants_ticket(&connection.handshake) {
                connection.ticket().await.unwrap();
            }
            assert_eq!(Ok(200), status(&mut connection.http1(), "a.test").await);
        }
    }
    people.site.config.write("crl.pem", &people.root.crl(&[&bob], days(-1, 1)));
    until("the list to hold", LIMIT, async || people.site.generation().await == 2).await;
    people.assert_taken(Some(&alice), "true alice").await;
    people.assert_refused(Some(&bob), AlertDescription::CertificateRevoked).await;
    for client in &resuming {
        let failed = match people.site.connect(client, "a.test").await {
            Ok(mut connection) => connection.ending().await.unwrap_err(),
            Err(failed) => failed,
        };
        assert_eq!(TlsFailure::Alert(AlertDescription::CertificateRevoked), failed);
    }
}

/// T6. A session does not outlive the certificate that it was verified with.
#[tokio::test]
async fn a_certificate_that_has_expired_is_refused_also_where_it_is_resumed() {
    let people = People::asked("require", &json!({})).await;
    let now = SystemTime::now();
    let soon = Spec::client("bob").valid(now - Duration::from_secs(60)..now + LIMIT / 5);
    let bob = people.root.issue(&soon);
    let client = TlsClient::builder().tls12_only().identity(&bob).resuming().build();
    for resumed in [false, true] {
        let connection = people.site.connect(&client, "a.test").await.unwrap();
        assert_eq!(resumed, connection.handshake.resumed);
        assert_eq!(Ok(200), status(&mut connection.http1(), "a.test").await);
    }
    until("the session to end with the certificate", LIMIT, async || {
        match people.site.connect(&client, "a.test").await {
            Ok(connection) => status(&mut connection.http1(), "a.test").await.is_err(),
            Err(_) => true,
        }
    })
    .await;
    let line = people.site.vaned.wait_for_log(|line| line.contains("client's certificate")).await;
    assert!(line.contains("Expired"), "{line}");
}

/// T6. Rules ask what a certificate says, in any case and with colons where it is hexadecimal, and
/// none of it matches where there is none.
#[tokio::test]
async fn rules_ask_what_a_certificate_says() {
    let root = Authority::root("people");
    let spec = Spec::client("alice").dns("Alice.People.test").uri("spiffe://people/alice");
    let alice = root.issue(&spec);
    let said = alice.certificate();
    let (_, x509) = X509Certificate::from_der(&said.der).unwrap();
    let fingerprint = sha256(&said.der);
    let colons = fingerprint
        .to_ascii_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect::<Vec<_>>()
        .join(":");
    let asked = [
        ("present", json!(true)),
        ("subject_cn", json!("alice")),
        ("issuer_cn", json!({ "prefix": "peop" })),
        ("san_dns", json!("alice.people.test")),
        ("san_uri", json!({ "suffix": "/alice" })),
        ("serial", json!(said.serial)),
        ("fingerprint_sha256", json!(colons)),
        ("spki_sha256", json!(sha256(x509.public_key().raw))),
    ];
    let auth = json!({ "client_auth": { "mode": "request", "ca_files": "ca.pem" } });
    let mut config = ConfigDir::new();
    super::issued().write(&config.path(), "site", integration::certs::KeyForm::Pkcs8);
    root.write(&config.path(), "ca");
    for (field, value) in &asked {
        let matched = json!({ "http.path": format!("/{field}"),
            format!("tls.peer_cert.{field}"): value });
        let rule = json!({ "match": matched, "tls": pair_with("site", &auth),
            "respond": { "body": format!("{{tls.peer_cert.{field}}}") } });
        config = config.rule(field, on_loopback(rule));
    }
    let site = Site::of(config).await;
    let bob = root.issue(&Spec::client("bob"));
    for version in VERSIONS {
        let connect = async |identity| {
            site.connect(&client(version, identity), "a.test").await.unwrap().http1()
        };
        let (mut hers, mut his) = (connect(Some(&alice)).await, connect(Some(&bob)).await);
        let mut nobody = connect(None).await;
        for (field, _) in &asked {
            let path = format!("/{field}");
            let answer = hers.get(&path, "a.test").await.unwrap();
            assert_eq!(200, answer.status, "{field}");
            let ours = matches!(*field, "present" | "issuer_cn");
            let expected = if ours { 200 } else { 404 };
            assert_eq!(expected, his.get(&path, "a.test").await.unwrap().status, "{field}");
            assert_eq!(404, nobody.get(&path, "a.test").await.unwrap().status, "{field}");
        }
        let told = hers.get("/fingerprint_sha256", "a.test").await.unwrap();
        assert_eq!(fingerprint, told.text());
        assert_eq!(said.serial, hers.get("/serial", "a.test").await.unwrap().text());
    }
}

/// T6. A server behind learns who it is by a field that clients cannot set themselves.
#[tokio::test]
async fn a_server_is_told_who_the_client_is() {
    let origin = HttpOrigin::start().await;
    let root = Authority::root("people");
    let auth = json!({ "client_auth": { "mode": "request", "ca_files": "ca.pem" } });
    let set =
        json!([{ "request_headers": { "set": { "x-client": "{tls.peer_cert.subject_cn}" } } }]);
    let rule = json!({ "tls": pair_with("site", &auth), "use": set, "forward": origin.url() });
    let config = site(rule);
    root.write(&config.path(), "ca");
    let site = Site::of(config).await;
    let alice = root.issue(&Spec::client("alice"));
    for (identity, expected) in [(Some(&alice), "alice"), (None, "")] {
        let client = client(Builder::tls13_only, identity);
        let mut client = site.connect(&client, "a.test").await.unwrap().http1();
        let request = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Client: root\r\n\r\n";
        assert_eq!(200, client.exchange(request).await.unwrap().status);
        let seen = origin.requests().last().unwrap().header("x-client").unwrap().to_owned();
        assert_eq!(expected, seen);
    }
}

/// T6. Files that cannot be used to verify clients refuse the start and name the file.
#[tokio::test]
async fn a_daemon_that_cannot_verify_clients_does_not_start() {
    let root = Authority::root("people");
    for (file, problem) in [("ca.pem", "no certificate in it"), ("crl.pem", "no revocation list")] {
        let auth = json!({ "mode": "require", "ca_files": "ca.pem", "crl_files": "crl.pem" });
        let tls = pair_with("site", &json!({ "client_auth": auth }));
        let config = site(json!({ "respond": {}, "tls": tls }));
        root.write(&config.path(), "ca");
        config.write("crl.pem", &root.crl(&[], days(-1, 1)));
        fs::write(config.path().join(file), "empty").unwrap();
        let mut vaned = integration::vaned::Vaned::builder(&config).spawn();
        assert_eq!(Some(1), vaned.exit_status(LIMIT).await.code());
        let said = vaned.log_lines().join("\n");
        assert!(said.contains(file) && said.contains(problem), "{said}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let hash = suite.common.hash_provider.hash(bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
