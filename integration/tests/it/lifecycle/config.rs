use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use integration::config_dir::ConfigDir;
use integration::raw_client::RawClient;
use integration::vaned::Vaned;
use serde_json::json;

use super::{LIMIT, said, says};

/// S3. One file or many, one rule in a file or many: all are one configuration.
#[tokio::test]
async fn rules_of_all_files_are_merged() {
    let several = json!([
        { "name": "two", "listen": "127.0.0.1:0", "match": { "http.path": "/two" },
          "respond": { "status": 200, "body": "two" } },
        { "name": "three", "listen": "127.0.0.1:0", "match": { "http.path": "/three" },
          "respond": { "status": 200, "body": "three" } }
    ]);
    let one = json!({ "listen": "127.0.0.1:0", "match": { "http.path": "/one" },
        "respond": { "status": 200, "body": "one" } });
    let config = ConfigDir::new().rule("one", one).file("rules/several.json", &several.to_string());
    let vaned = Vaned::start(&config).await;
    let mut client = RawClient::connect(vaned.only_addr().await).await.unwrap();
    for name in ["one", "two", "three"] {
        assert_eq!(name, client.get(&format!("/{name}"), "a").await.unwrap().text());
    }
    assert_eq!(json!(3), super::stats(&vaned).await["rules"]);
}

/// S3. A name that two files give is told with both places.
#[tokio::test]
async fn a_name_in_two_files_is_refused_with_both_places() {
    let config = ConfigDir::new()
        .file("rules/1.json", &named("same", "127.0.0.1:0"))
        .file("rules/2.json", &named("same", "127.0.0.2:0"));
    let mut vaned = Vaned::builder(&config).spawn();
    assert_eq!(Some(1), vaned.exit_status(LIMIT).await.code());
    let text = vaned.log_lines().join("\n");
    assert!(text.contains("rules/1.json:") && text.contains("rules/2.json:"), "{text}");
}

/// S3. `.env` is read, and the environment of the process wins.
#[tokio::test]
async fn variables_come_from_dot_env_unless_the_environment_has_them() {
    let config = ConfigDir::new()
        .file(".env", "GREETING=file\nGREETED=\"the whole world\"\n")
        .rule("a", says("127.0.0.1:0", "${GREETING} ${GREETED} ${NOBODY:-nobody}"));
    let vaned = Vaned::builder(&config).env("GREETING", "process").start().await;
    let addr = vaned.only_addr().await;
    assert_eq!("process the whole world nobody", said(addr).await.unwrap());
    config.write(".env", "GREETING=file\nGREETED=nobody\n");
    vaned.reload().await;
    assert_eq!("process nobody nobody", said(addr).await.unwrap());
}

/// S3. The settings of the daemon itself may stand in `.env` too.
#[tokio::test]
async fn settings_of_the_daemon_come_from_dot_env() {
    let config = ConfigDir::new().file(".env", "VANE_BIND_IPV6=0\n").rule("a", says(":0", "a"));
    let vaned = Vaned::start(&config).await;
    assert_eq!(1, vaned.listeners().await.len());
    let mut refused = Vaned::builder(&config).env("VANE_BIND_IPV6", "2").spawn();
    assert_eq!(Some(2), refused.exit_status(LIMIT).await.code());
}

/// S6. S4. Neither a boot nor a reload leaves anything behind, in the configuration directory or
/// in the state directory.
#[tokio::test]
async fn nothing_is_written_to_the_configuration_and_no_graph_is_kept() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a")).config(json!({}));
    let before = tree(&config.path());
    let vaned = Vaned::start(&config).await;
    vaned.reload().await;
    assert_eq!(before, tree(&config.path()));
    config.write_rule("b", says("127.0.0.2:0", "b"));
    let before = tree(&config.path());
    vaned.reload().await;
    vaned.manage("compile_dry_run", json!({})).await.unwrap();
    assert_eq!(before, tree(&config.path()));
    assert_eq!(BTreeMap::new(), tree(&vaned.state_dir()));
}

/// S3. The argument is nearer to the person than the environment.
#[tokio::test]
async fn the_argument_names_the_directory_before_the_environment_does() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "argument"));
    let other = ConfigDir::new().rule("a", says("127.0.0.1:0", "environment"));
    let path = other.path();
    let starting = Vaned::builder(&config).env("VANE_CONFIG_DIR", &path.to_string_lossy());
    let vaned = starting.start().await;
    assert_eq!("argument", said(vaned.only_addr().await).await.unwrap());
    let shown = super::stats(&vaned).await["config_dir"].as_str().unwrap().to_owned();
    assert_eq!(config.path().to_string_lossy(), shown);
}

fn named(name: &str, listen: &str) -> String {
    let mut rule = says(listen, "a");
    rule["name"] = json!(name);
    rule.to_string()
}

/// Every file below a directory with its time of change and its content.
fn tree(root: &Path) -> BTreeMap<String, (SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                let changed = entry.metadata().unwrap().modified().unwrap();
                let content = std::fs::read(entry.path()).unwrap();
                files.insert(entry.path().display().to_string(), (changed, content));
            }
        }
    }
    files
}
