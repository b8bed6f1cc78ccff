use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use integration::name_server::{KEYS, NameServer};
use integration::pebble::Pebble;
use serde_json::json;

use super::rig::{NAME, Rig, certs};

/// A wildcard and the name below it are proven at one name, by two records.
#[tokio::test]
async fn a_wildcard_and_its_apex_are_proven_in_one_order_by_dynamic_updates() {
    let Some(server) = NameServer::start(&[("example.test", "@ A 127.0.0.1")]) else { return };
    let Some(rig) = Rig::new(Pebble::builder().name_server(server.addr())).await else { return };
    let key = KEYS[0];
    let dns = json!({ "rfc2136": { "server": server.addr().to_string(), "key_name": key.name,
        "key_secret": key.secret, "key_algorithm": key.algorithm } });
    rig.write_settings(json!({ "challenge": "dns-01", "dns": dns }));
    rig.write_site("wild", &["example.test", "*.example.test"], true);
    let vaned = rig.start().await;
    let name = certs(&vaned).await[0]["name"].as_str().unwrap().to_owned();
    super::rig::until_cert(&vaned, &name, |cert| cert["state"] == "serving").await;
    for name in ["example.test", "any.example.test"] {
        let leaf = rig.handshake(name).await.unwrap().leaf;
        assert_eq!(vec!["*.example.test", "example.test"], sorted(leaf.names));
    }
    assert_eq!(1, rig.pebble.orders());
    assert!(
        server.texts("_acme-challenge.example.test").await.is_empty(),
        "nothing is left behind"
    );
}

/// A program of the operator's puts records where the authority looks.
#[tokio::test]
async fn a_name_is_proven_by_a_program_that_puts_the_record() {
    let Some(rig) = Rig::usual().await else { return };
    let hook = hook(&rig);
    rig.write_settings(json!({ "challenge": "dns-01", "dns": { "exec": hook } }));
    rig.write_site("site", &[NAME], true);
    let vaned = rig.start().await;
    assert_eq!(vec![NAME], rig.issued(&vaned, NAME).await.leaf.names);
    let name = format!("_acme-challenge.{NAME}");
    assert!(!rig.pebble.dns().questions(&name).await.is_empty());
    let told = fs::read_to_string(rig.config.path().join("told")).unwrap();
    let verbs: Vec<_> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(vec!["present", "cleanup"], verbs, "{told}");
    assert!(told.lines().all(|line| line.contains(&format!(" {name} "))), "{told}");
}

/// Tells the DNS beside the authority, and notes what it was told.
fn hook(rig: &Rig) -> PathBuf {
    let path = rig.config.path().join("hook");
    let (ip, port) = (rig.pebble.dns().management().ip(), rig.pebble.dns().management().port());
    let text = format!(
        "#!/bin/bash\nset -eu\necho \"$1 $2 $3\" >> {told}\n\
         verb=set-txt; [ $1 = present ] || verb=clear-txt\n\
         body=\"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\"\n\
         exec 3<>/dev/tcp/{ip}/{port}\n\
         printf 'POST /%s HTTP/1.0\\r\\nContent-Length: %s\\r\\n\\r\\n%s' $verb ${{#body}} \"$body\" >&3\n\
         read -r line <&3\n[[ $line == *' 200 '* ]]\n",
        told = rig.config.path().join("told").display(),
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
