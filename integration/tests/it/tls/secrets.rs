use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use integration::certs::{Authority, Issued, KeyForm, KeyKind, Spec};
use integration::config_dir::ConfigDir;
use integration::tls_client::TlsClient;
use integration::vane::Vane;
use integration::vaned::Vaned;
use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use super::{LIMIT, Site, on_loopback, pair};

/// What must not be said, each with its name.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// In the forms in which bytes are written.
    fn add(&mut self, name: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let decimal: Vec<_> = bytes.iter().take(12).map(u8::to_string).collect();
        let forms = [
            ("hex", hex),
            ("base64", STANDARD.encode(bytes).trim_end_matches('=').to_owned()),
            ("base64url", URL_SAFE_NO_PAD.encode(bytes)),
            ("decimal", decimal.join(", ")),
        ];
        self.0.extend(forms.map(|(form, text)| (format!("{name} in {form}"), text)));
    }

    fn add_text(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
        self.add(name, text.as_bytes());
    }

    /// A key, by its form in files and by what is inside.
    fn add_key(&mut self, name: &str, issued: &Issued, form: KeyForm) {
        let pem = issued.key_pem(form);
        for line in pem.lines().filter(|line| !line.starts_with('-') && line.len() > 20) {
            self.0.push((format!("a line of {name}"), line.to_owned()));
        }
        let PrivateKeyDer::Pkcs8(der) = issued.key_der() else { panic!("PKCS#8 in tests") };
        let der = der.secret_pkcs8_der();
        let scalar = der.windows(2).position(|two| two == [4, 32]).unwrap() + 2;
        self.add(name, &der[scalar..scalar + 32]);
    }

    fn assert_unsaid(&self, place: &str, text: &str) {
        let text = text.to_lowercase();
        for (name, secret) in &self.0 {
            assert!(!text.contains(&secret.to_lowercase()), "{place} says {name}");
        }
    }
}

/// T10. Keys, tokens and the like are in no line of the log, no error, no compiled form and no answer
/// of management, however much is logged and whatever goes wrong.
#[tokio::test]
async fn nothing_secret_is_said() {
    let mut secrets = Secrets::new();
    let issued = Authority::root("root").issue(&Spec::server(&["a.test"]).key(KeyKind::EcdsaP256));
    secrets.add_key("the key", &issued, KeyForm::Pkcs8);
    let (binding, tsig, token) = (
        b"binding-secret-32-bytes-of-mac-0",
        b"tsig-secret-of-32-bytes-for-us-0",
        "cloudflare-token-7Hq2",
    );
    secrets.add("the binding", binding);
    secrets.add("the TSIG key", tsig);
    secrets.add_text("the token", token);
    let config = with_everything(&URL_SAFE_NO_PAD.encode(binding), &STANDARD.encode(tsig));
    issued.write(&config.path(), "site", KeyForm::Pkcs8);
    let builder = Vaned::builder(&config).env("VANE_LOG", "trace").env("VANE_WORKERS", "1");
    let vaned = builder.env("CLOUDFLARE", token).start().await;
    let addr = vaned.addr("127.0.0.1:0").await;
    let mut site = Site { vaned, addr, config };
    let keys = fs::read_to_string(site.vaned.state_dir().join("tls/ticket-keys")).unwrap();
    for word in keys.split_whitespace().filter(|word| word.len() > 32) {
        secrets.add_text("a ticket key", word);
    }
    assert!(keys.split_whitespace().count() >= 3);

    exercise(&site).await;
    assert_answers(&site, &secrets, token).await;
    // Mistakes quote what was written.
    site.config.write("site.key", &issued.key_pem(KeyForm::Pkcs8)[..120]);
    site.vaned.reload().await;
    let bad = json!({ "name": "bad", "listen": "127.0.0.1:0", "tls": { "acme": {
        "eab": { "key_id": "k", "hmac_key": format!("{}!", URL_SAFE_NO_PAD.encode(binding)) } } },
        "respond": {} });
    site.config.write_rule("bad", bad);
    let error = site.vaned.manage("reload", json!({})).await.unwrap_err();
    secrets.assert_unsaid("a refusal", &error.to_string());
    assert_answers(&site, &secrets, token).await;
    site.vaned.signal(Signal::TERM);
    site.vaned.exit_status(LIMIT).await;
    let log = site.vaned.log_lines().join("\n");
    assert!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "nothing much was logged");
    secrets.assert_unsaid("the log", &log);
}

/// Handshakes of all kinds, so that the log has something to say.
async fn exercise(site: &Site) {
    let client = TlsClient::builder().resuming().build();
    for _ in 0..2 {
        let mut connection = site.connect(&client, "a.test").await.unwrap();
        connection.ticket().await.unwrap();
        assert_eq!(200, connection.http1().get("/", "a.test").await.unwrap().status);
    }
    assert!(site.shown("nobody.test").await.is_err());
    assert!(site.shown("managed.test").await.is_err());
}

async fn assert_answers(site: &Site, secrets: &Secrets, token: &str) {
    let dir = json!({ "dir": site.config.path() });
    let calls = [
        ("get_config", json!({})),
        ("get_certs", json!({})),
        ("get_listeners", json!({})),
        ("get_connections", json!({})),
        ("stats", json!({})),
        ("reload", json!({})),
        ("compile_dry_run", dir.clone()),
        ("plan", dir),
        ("force_renew", json!({ "name": "managed.test" })),
    ];
    for (method, params) in calls {
        let answer = site.vaned.manage(method, params).await.unwrap_or_else(|error| error);
        assert!(answer["no_answer"].is_null(), "{method}: {answer}");
        secrets.assert_unsaid(method, &answer.to_string());
    }
    let dir = site.config.path();
    let dir = dir.to_str().unwrap();
    let commands: [&[&str]; 5] = [
        &["compile", "--json", dir],
        &["compile", dir],
        &["check", "--json", dir],
        &["get", "config"],
        &["get", "certs"],
    ];
    for command in commands {
        for vane in [Vane::new().socket(site.vaned.socket()), Vane::new()] {
            let output = vane.env("CLOUDFLARE", token).run(command).await;
            secrets.assert_unsaid(&command.join(" "), &format!("{output:?}"));
        }
    }
}

/// A configuration with everything in it that is secret.
fn with_everything(binding: &str, tsig: &str) -> ConfigDir {
    let directory = "https://127.0.0.1:1/dir";
    let update =
        json!({ "rfc2136": { "server": "127.0.0.1:1", "key_name": "vane", "key_secret": tsig } });
    let managed = |name: &str, dns: Value| {
        let acme = json!({ "directory": directory, "challenge": "dns-01", "dns": dns,
            "eab": { "key_id": "k", "hmac_key": binding } });
        let mut rule = json!({ "match": { "http.host": name }, "respond": {} });
        rule["tls"] = json!({ "acme": acme });
        on_loopback(rule)
    };
    let mut files = on_loopback(json!({ "match": { "http.host": "a.test" }, "respond": {} }));
    files["tls"] = pair("site");
    ConfigDir::new()
        .config(json!({ "acme": { "agree_tos": true } }))
        .rule("files", files)
        .rule("managed", managed("managed.test", update))
        .rule("cloud", managed("cloud.test", json!({ "cloudflare": { "token": "${CLOUDFLARE}" } })))
}
