use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use integration::certs::{Authority, KeyForm, Spec};
use integration::config_dir::ConfigDir;
use integration::tools::Tool;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Site, on_loopback, pair_with};

/// T13. What looks for weaknesses finds none above low on a site as it comes. The report is kept as
/// `testssl.json` among the artefacts of the build.
#[tokio::test]
async fn a_site_as_it_comes_has_no_weakness_above_low() {
    let Some(testssl) = Tool::TESTSSL.find() else { return };
    let root = Authority::root("root");
    let mut config = ConfigDir::new();
    let issued = root.issue(&Spec::server(&["site.test"]).revocations_at("http://ca.test/crl"));
    issued.write(&config.path(), "site", KeyForm::Pkcs8);
    let mut rule = on_loopback(json!({ "respond": { "headers": headers(), "body": "hello" } }));
    // It also connects without a name.
    rule["tls"] = pair_with("site", &json!({ "default": true }));
    config = config.rule("site", rule);
    let trusted = root.write(&config.path(), "root");
    let site = Site::with(config, &[("VANE_SEC_HANDSHAKES_PER_SECOND", "100000")]).await;
    let report = report_path();
    run(&testssl, &trusted, &report, &format!("site.test:{}", site.addr.port())).await;
    let findings: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    let findings = findings.as_array().unwrap();
    assert!(findings.len() > 100, "the report is not whole: {findings:?}");
    let above_low: Vec<_> = findings.iter().filter(|finding| is_above_low(finding)).collect();
    assert!(above_low.is_empty(), "{above_low:#?}");
}

/// What a site says of itself, and no proxy for it.
fn headers() -> Value {
    json!({
        "Strict-Transport-Security": "max-age=31536000",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    })
}

/// A warning is a check that could not be made.
fn is_above_low(finding: &Value) -> bool {
    matches!(finding["severity"].as_str(), Some("MEDIUM" | "HIGH" | "CRITICAL"))
}

fn report_path() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("testssl.json");
    // It does not write over a report.
    let _ = fs::remove_file(&path);
    path
}

async fn run(testssl: &Path, root: &Path, report: &Path, target: &str) {
    let status = Command::new(testssl)
        .args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1"])
        .arg("--add-ca")
        .arg(root)
        .arg("--jsonfile")
        .arg(report)
        .arg(target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status();
    // Its status counts findings of every kind.
    status.await.expect("an installed program can be started");
}
