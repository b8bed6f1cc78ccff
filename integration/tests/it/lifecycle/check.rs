use std::process::{Command, Output};

use integration::config_dir::ConfigDir;
use integration::{binary, tools};
use serde_json::json;

/// S7. So it can be a step of a build: in an empty network, as nobody, without a variable of the
/// environment, and with the secrets and servers of another machine.
#[test]
fn a_check_needs_no_network_no_root_no_state_and_no_secrets() {
    let alone = ["unshare", "--user", "--net"];
    if !Command::new(alone[0]).args(&alone[1..]).arg("true").status().is_ok_and(|s| s.success()) {
        return tools::skipped("no network namespace can be made here");
    }
    let config = of_another_machine();
    let check = |options: &[&str]| {
        let mut command = Command::new(alone[0]);
        command.args(&alone[1..]).arg(binary::path("vaned")).arg("--check").args(options);
        command.arg("--config").arg(config.path()).env_clear().current_dir("/").output().unwrap()
    };
    let Output { status, stderr, .. } = check(&["--allow-unset"]);
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(Some(0), status.code(), "{said}");
    assert!(said.contains("warning[unset-variable]") && said.contains(": valid: "), "{said}");
    let Output { status, stderr, .. } = check(&[]);
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(Some(1), status.code(), "{said}");
    assert!(said.contains("error[unset-variable]"), "{said}");
}

/// Managed certificates by way of a secret, one from files that only root may read there, and a
/// server that has no address here.
fn of_another_machine() -> ConfigDir {
    let token = json!({ "agree_tos": true, "dns": { "cloudflare": "${DNS_TOKEN}" } });
    let site = json!({ "site": "www.example.com", "forward": "http://app.invalid:3000" });
    let files = json!({
        "listen": ":443",
        "match": { "http.host": "www.example.org" },
        "tls": {
            "cert_file": "/run/credentials/vaned.service/site.pem",
            "key_file": "/run/credentials/vaned.service/site.key",
        },
        "forward": "https://${APP}:8443",
    });
    ConfigDir::new().config(json!({ "acme": token })).rule("managed", site).rule("files", files)
}
