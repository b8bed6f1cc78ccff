use std::time::{Duration, SystemTime};

use integration::certs::{Authority, Issued, KeyForm, Spec, days};
use integration::config_dir::ConfigDir;
use integration::raw_client::RawClient;
use integration::tls_client::{TlsClient, TlsFailure};
use integration::vane::{Output, Vane};
use integration::vaned::Vaned;
use integration::wait::until;
use rustls::AlertDescription;
use serde_json::{Value, json};

use super::{LIMIT, says, stats};

/// S7. What serves is shown with what it says of itself, to programs and to people.
#[tokio::test]
async fn a_certificate_from_files_is_shown_with_what_it_says() {
    let root = Authority::root("Test Root");
    let mut valid = days(-1, 40);
    // Far from where the number of days changes.
    valid.end += Duration::from_secs(12 * 3600);
    let spec = Spec::server(&["site.test", "*.site.test", "127.0.0.1"]).valid(valid);
    let issued = root.issue(&spec);
    let (config, vaned) = start(&issued).await;
    let view = cert(&vaned).await;
    let said = issued.certificate();
    let path = |file: &str| json!(config.path().join(file));
    let files = &view["source"]["files"];
    assert_eq!((&path("site.pem"), &path("site.key")), (&files["cert_file"], &files["key_file"]));
    assert_eq!(("serving", &Value::Null), (state(&view), &view["managed"]));
    let served = &view["served"];
    assert_eq!(json!(["site.test", "*.site.test", "127.0.0.1"]), served["names"]);
    assert_eq!(json!([said.issuer, said.serial]), json!([served["issuer"], served["serial"]]));
    let times = json!([unix(said.not_before), unix(said.not_after)]);
    assert_eq!(times, json!([served["not_before"], served["not_after"]]));

    let output = vane(&vaned, &["get", "certs", "--json"]).await;
    let result = vaned.manage("get_certs", json!({})).await.unwrap();
    assert_eq!((0, format!("{result}\n")), (output.status, output.stdout));
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    for part in ["  serving  site.test, *.site.test, +1  Test Root  ", " (in 40 days)"] {
        assert!(table.contains(part), "{table}");
    }
}

/// S9. S16. Files that cannot be used leave what serves, say why, and are forgotten once mended.
#[tokio::test]
async fn what_is_wrong_with_files_is_shown_until_they_are_mended() {
    let root = Authority::root("root");
    let (config, vaned) = start(&root.server(&["site.test"])).await;
    let before = cert(&vaned).await;
    config.write("site.pem", "no certificate");
    let failing = until_state(&vaned, "failing").await;
    assert_eq!(before["served"], failing["served"]);
    let error = failing["last_error"].as_str().unwrap();
    assert!(error.contains("site.pem") && error.contains("no certificate in it"), "{error}");
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    assert!(table.lines().any(|line| line == format!("  error: {error}")), "{table}");

    let mended = root.server(&["site.test"]);
    mended.write(&config.path(), "site", KeyForm::Pkcs8);
    let serving = until_state(&vaned, "serving").await;
    assert_eq!(json!(mended.certificate().serial), serving["served"]["serial"]);
    assert_eq!(Value::Null, serving["last_error"]);
}

/// S16. A certificate whose time is over is served and said to be.
#[tokio::test]
async fn a_certificate_whose_time_is_over_is_shown_as_expired() {
    let spec = Spec::server(&["site.test"]).valid(days(-30, -3));
    let (_config, vaned) = start(&Authority::root("root").issue(&spec)).await;
    assert_eq!("expired", state(&cert(&vaned).await));
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    assert!(table.contains("  expired  site.test  ") && table.contains(" (3 days ago)"), "{table}");
}

/// S1. A renewal that cannot be is a no, with words and with the name that may have been meant.
#[tokio::test]
async fn a_renewal_that_cannot_be_asked_for_says_why() {
    let (_config, vaned) = start(&Authority::root("root").server(&["shop.example"])).await;
    let view = cert(&vaned).await;
    let name = view["name"].as_str().unwrap();
    let output = vane(&vaned, &["cert", "renew", name]).await;
    assert_eq!((1, ""), (output.status, &*output.stdout));
    assert!(output.stderr.contains(" comes from files: "), "{}", output.stderr);
    let output = vane(&vaned, &["cert", "renew", "shop.example"]).await;
    assert_eq!(1, output.status);
    assert!(output.stderr.contains(&format!("did you mean `{name}`?")), "{}", output.stderr);
    let error = vaned.manage("force_renew", json!({ "name": "other" })).await.unwrap_err();
    assert_eq!(json!([1, "unknown"]), json!([error["code"], error["data"]["reason"]]));
}

/// S1. S7. A managed certificate that does not come says why and when it is tried again, and an
/// order can be asked for before that.
#[tokio::test]
async fn a_managed_certificate_that_does_not_come_is_shown_and_ordered_on_demand() {
    let mut rule = says("127.0.0.1:0", "over TLS");
    rule["match"] = json!({ "http.host": ["shop.example", "www.shop.example"] });
    let dns = json!({ "exec": "/bin/true" });
    rule["tls"] = json!({ "acme": { "directory": NOBODY, "agree_tos": true,
        "challenge": "dns-01", "dns": dns } });
    let config = ConfigDir::new().rule("shop", rule);
    let vaned = Vaned::start(&config).await;
    let failures = async |least: u64| {
        until("the order to fail", LIMIT, async || {
            let now = cert(&vaned).await;
            let count = now["managed"]["failures"].as_u64().unwrap();
            if count >= least && now["managed"]["ordering"] == false { Ok(now) } else { Err(now) }
        })
        .await
    };
    let view = failures(1).await;
    assert_eq!(("missing", &Value::Null), (state(&view), &view["served"]));
    let source = json!({ "acme": { "directory": NOBODY, "challenge": "dns-01",
        "names": ["shop.example", "www.shop.example"] } });
    assert_eq!(source, view["source"]);
    assert!(view["managed"]["next_attempt"].as_u64() > view["managed"]["last_attempt"].as_u64());
    let table = vane(&vaned, &["get", "certs"]).await.stdout;
    let row = "shop.example  missing  shop.example, www.shop.example  -       -        in ";
    assert!(table.contains(row) && table.contains("\n  error"), "{table}");

    let output = vane(&vaned, &["cert", "renew", "shop.example"]).await;
    assert_eq!((0, ""), (output.status, &*output.stderr));
    assert!(output.stdout.contains("`shop.example` (missing)"), "{}", output.stdout);
    failures(2).await;
}

/// S9. S16. Handshakes are counted by how they ended.
#[tokio::test]
async fn handshakes_are_counted_by_outcome() {
    let (_config, vaned) = start(&Authority::root("root").server(&["site.test"])).await;
    let addr = vaned.only_addr().await;
    let client = TlsClient::builder().resuming().build();
    for _ in 0..2 {
        let mut connection = client.connect(addr, Some("site.test")).await.unwrap();
        if client.wants_ticket(&connection.handshake) {
            connection.ticket().await.unwrap();
        }
        connection.close().await.unwrap();
    }
    let refused = client.connect(addr, Some("other.test")).await.unwrap_err();
    assert_eq!(TlsFailure::Alert(AlertDescription::UnrecognisedName), refused);
    let mut in_clear = RawClient::connect(addr).await.unwrap();
    assert_eq!(400, in_clear.get("/", "site.test").await.unwrap().status);
    let counts = until("all to be counted", LIMIT, async || {
        let counts = stats(&vaned).await["handshakes"].clone();
        let sum: u64 = counts.as_object().unwrap().values().filter_map(Value::as_u64).sum();
        if sum == 4 { Ok(counts) } else { Err(counts) }
    })
    .await;
    for outcome in ["full", "resumed", "unknown_name", "in_clear"] {
        assert_eq!(json!(1), counts[outcome], "{outcome}: {counts}");
    }
    let output = vane(&vaned, &["stats"]).await;
    let expected = "handshakes        1 full, 1 resumed, 1 in_clear, 1 unknown_name\n";
    assert!(output.stdout.contains(expected), "{}", output.stdout);
}

/// A daemon that terminates TLS with that certificate.
async fn start(issued: &Issued) -> (ConfigDir, Vaned) {
    let mut rule = says("127.0.0.1:0", "over TLS");
    rule["tls"] = json!({ "cert_file": "site.pem", "key_file": "site.key" });
    let config = ConfigDir::new().rule("site", rule);
    issued.write(&config.path(), "site", KeyForm::Pkcs8);
    let vaned = Vaned::start(&config).await;
    (config, vaned)
}

/// The only certificate there is.
async fn cert(vaned: &Vaned) -> Value {
    let view = vaned.manage("get_certs", json!({})).await.unwrap();
    assert_eq!(1, view["certs"].as_array().unwrap().len(), "{view}");
    view["certs"][0].clone()
}

async fn until_state(vaned: &Vaned, expected: &str) -> Value {
    until(&format!("the certificate to be {expected}"), LIMIT, async || {
        let now = cert(vaned).await;
        if state(&now) == expected { Ok(now) } else { Err(now) }
    })
    .await
}

fn state(view: &Value) -> &str {
    view["state"].as_str().unwrap()
}

fn unix(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

async fn vane(vaned: &Vaned, args: &[&str]) -> Output {
    Vane::new().socket(vaned.socket()).run(args).await
}

/// A directory at which nobody listens.
const NOBODY: &str = "https://127.0.0.1:1/directory";
