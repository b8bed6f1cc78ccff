use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use integration::certs::{Authority, Issued, KeyForm};
use integration::config_dir::ConfigDir;
use integration::http_origin::HttpOrigin;
use integration::tls_client::TlsClient;
use integration::vane::Vane;
use integration::wait::until;
use integration::websocket::WebSocket;
use serde_json::json;

use super::{LIMIT, Site, issued, on_loopback, pair, says, site, status};

/// T4. Renamed over, one after the other, as renewal tools do; noticed without being asked.
#[tokio::test]
async fn files_that_are_renamed_over_are_served() {
    let site = Site::ruled(says("x")).await;
    for _ in 0..3 {
        let next = issued();
        let dir = site.config.path();
        let files = next.write(&dir, "next", KeyForm::Sec1);
        fs::rename(files.cert, dir.join("site.pem")).unwrap();
        fs::rename(files.key, dir.join("site.key")).unwrap();
        site.until_shown("a.test", &next).await;
    }
    assert_eq!(1, site.generation().await);
    let line = site.vaned.wait_for_log(|line| line.contains("certificate replaced")).await;
    assert!(line.contains("site.pem"), "{line}");
}

/// T4. Swapped links, as Kubernetes mounts secrets, in a directory of their own.
#[tokio::test]
async fn a_swapped_data_link_is_followed_each_time() {
    let secrets = tempfile::tempdir().unwrap();
    let first = issued();
    mount(secrets.path(), "0", &first);
    let path = |file: &str| json!(secrets.path().join(file));
    let tls = json!({ "cert_file": path("tls.pem"), "key_file": path("tls.key") });
    let rule = json!({ "match": { "http.host": "a.test" }, "respond": {}, "tls": tls });
    let site = Site::of(ConfigDir::new().rule("a", on_loopback(rule))).await;
    assert_eq!(Ok(first.certificate()), site.shown("a.test").await);
    for number in ["1", "2", "3"] {
        let next = issued();
        mount(secrets.path(), number, &next);
        site.until_shown("a.test", &next).await;
    }
    assert_eq!(1, site.generation().await);
}

/// T4. The configuration directory itself is such a tree, certificates in it.
#[tokio::test]
async fn a_swapped_tree_of_configuration_brings_its_certificates() {
    let config = ConfigDir::linked_entries();
    let mut rule = on_loopback(says("x"));
    rule["tls"] = pair("site");
    let first = issued();
    let config = config
        .file("site.pem", &first.chain_pem())
        .file("site.key", &first.key_pem(KeyForm::Pkcs8))
        .rule("all", rule);
    let site = Site::of(config).await;
    for _ in 0..2 {
        let next = issued();
        site.config.swap(|tree| {
            tree.write("site.pem", &next.chain_pem());
            tree.write("site.key", &next.key_pem(KeyForm::Pkcs8));
        });
        site.until_shown("a.test", &next).await;
    }
}

/// T4. Whatever is wrong with a pair, the one from before goes on, everybody is told, and a
/// mended pair serves.
#[tokio::test]
async fn a_pair_that_cannot_be_used_leaves_the_one_from_before() {
    let first = issued();
    let site = Site::ruled(says("x")).await;
    site.write("site", &first);
    site.until_shown("a.test", &first).await;
    let other = issued();
    let half = &other.chain_pem()[..200];
    let bad: [(&str, Spoil<'_>); 6] = [
        ("the key is not that of the certificate", &|dir| put(dir, "site.pem", &other.chain_pem())),
        ("its PEM is broken", &|dir| put(dir, "site.pem", half)),
        ("there is no certificate in it", &|dir| put(dir, "site.pem", "")),
        ("there is no key in it", &|dir| put(dir, "site.key", "none")),
        ("cannot read", &|dir| fs::remove_file(dir.join("site.key")).unwrap()),
        ("cannot read", &|dir| {
            fs::remove_file(dir.join("site.pem")).unwrap();
            fs::create_dir(dir.join("site.pem")).unwrap();
        }),
    ];
    for (problem, spoil) in bad {
        first.write(&site.config.path(), "site", KeyForm::Pkcs8);
        spoil(&site.config.path());
        assert_is_told(&site, problem).await;
        assert_eq!(Ok(first.certificate()), site.shown("a.test").await, "{problem}");
    }
    fs::remove_dir(site.config.path().join("site.pem")).unwrap();
    let mended = issued();
    site.write("site", &mended);
    site.until_shown("a.test", &mended).await;
    let told = site.vaned.reload().await;
    assert_eq!(json!(["unchanged", []]), json!([told["outcome"], told["diagnostics"]]));
    assert_eq!(1, site.generation().await);
}

/// Makes a pair unusable.
type Spoil<'a> = &'a dyn Fn(&Path);

/// The log, whoever reloads, and the view of certificates say what is wrong.
async fn assert_is_told(site: &Site, problem: &str) {
    let view = site.vaned.reload().await;
    assert_eq!("unchanged", view["outcome"], "{view:#}");
    let told = view["diagnostics"].as_array().unwrap();
    let message = told[0]["message"].as_str().unwrap();
    assert!(told.len() == 1 && message.contains(problem), "{problem}: {view:#}");
    assert_eq!("warning", told[0]["severity"]);
    let output = Vane::new().socket(site.vaned.socket()).run(&["reload"]).await;
    assert!(
        output.status == 0 && output.stdout.contains(problem) || output.stderr.contains(problem),
        "{output:?}"
    );
    let cert = site.certs().await[0].clone();
    assert!(cert["last_error"].as_str().unwrap().contains(problem), "{cert:#}");
    site.vaned.wait_for_log(|line| line.contains(problem) && line.contains("\"WARN\"")).await;
}

/// T4. At the start there is nothing from before, so it does not start.
#[tokio::test]
async fn a_daemon_without_a_usable_pair_does_not_start() {
    let config = site(says("x"));
    config.write("site.key", "no key");
    let mut vaned = integration::vaned::Vaned::builder(&config).spawn();
    assert_eq!(Some(1), vaned.exit_status(LIMIT).await.code());
    let said = vaned.log_lines().join("\n");
    assert!(said.contains("site.key") && said.contains("no key in it"), "{said}");
}

/// T4. A new rule has nothing from before either: its reload is refused, and names the file. The
/// certificates that serve go on, whatever became of their files meanwhile.
#[tokio::test]
async fn a_new_rule_without_a_usable_pair_refuses_the_reload() {
    let site = Site::ruled(says("x")).await;
    let before = site.shown("a.test").await;
    let mut rule = on_loopback(json!({ "match": { "http.host": "new.test" }, "respond": {} }));
    rule["tls"] = pair("new");
    site.config.write("site.pem", "spoilt");
    site.config.write_rule("new", rule);
    let refused = site.vaned.manage("reload", json!({})).await.unwrap_err().to_string();
    assert!(refused.contains("new.pem") && refused.contains("cannot read"), "{refused}");
    assert_eq!((before, 1), (site.shown("a.test").await, site.generation().await));
    let next = Authority::root("root").server(&["new.test"]);
    site.write("new", &next);
    site.until_shown("new.test", &next).await;
    assert!(site.shown("a.test").await.is_ok());
}

/// T4. S15. No connection notices: neither one that idles, nor one with an answer under way, nor
/// a WebSocket; and no generation passes.
#[tokio::test]
async fn a_replacement_disturbs_no_connection() {
    let origin = HttpOrigin::start().await;
    let site = Site::forwarding(&origin.url()).await;
    let (mut idle, mut waiting) = (site.https().await, site.https().await);
    let http2 = site.h2().await;
    assert_eq!(Ok(200), status(&mut idle, "a.test").await);
    assert_eq!(200, http2.get("/").await.unwrap().status);
    let mut socket = WebSocket::over(site.https().await, "/ws", "a.test").await.unwrap();
    waiting.send("GET /gate/g HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    origin.gate("g").wait_for(1, LIMIT).await;

    let next = issued();
    site.write("site", &next);
    site.until_shown("a.test", &next).await;
    origin.gate("g").open();
    let answer = waiting.read_response().await.unwrap();
    assert_eq!((200, true), (answer.status, answer.keeps_alive()));
    let answer = idle.get("/", "a.test").await.unwrap();
    assert_eq!((200, true), (answer.status, answer.keeps_alive()));
    assert_eq!(200, http2.get("/").await.unwrap().status);
    assert_eq!(None, http2.ending());
    assert_eq!("still", socket.echo("still").await.unwrap());
    assert_eq!(1, site.generation().await);
}

/// T4. T6. New files of a listener's terms are a new generation: a client of an authority that has
/// just been added gets in, one of an authority that has gone does not.
#[tokio::test]
async fn a_changed_authority_takes_effect() {
    let (old, new) = (Authority::root("old"), Authority::root("new"));
    let auth = json!({ "mode": "require", "ca_files": "ca.pem" });
    let tls = super::pair_with("site", &json!({ "client_auth": auth }));
    let config = site(json!({ "respond": { "body": "{tls.peer_cert.issuer_cn}" }, "tls": tls }));
    old.write(&config.path(), "ca");
    let site = Site::of(config).await;
    assert_eq!(Ok("old".to_owned()), said_to(&site, &old).await);
    assert!(said_to(&site, &new).await.is_err());

    site.config.write("ca.pem", "no certificate");
    let refused = site.vaned.manage("reload", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("ca.pem"), "{refused:#}");
    assert_eq!(Ok("old".to_owned()), said_to(&site, &old).await);

    new.write(&site.config.path(), "ca");
    until("the new authority", LIMIT, async || said_to(&site, &new).await).await;
    assert!(said_to(&site, &old).await.is_err());
    assert_eq!(2, site.generation().await);
}

async fn said_to(site: &Site, authority: &Authority) -> Result<String, String> {
    let issued = authority.issue(&integration::certs::Spec::client("alice"));
    let client = TlsClient::builder().identity(&issued).build();
    let connection = site.connect(&client, "a.test").await.map_err(|error| error.to_string())?;
    let answer = connection.http1().get("/", "a.test").await.map_err(|error| error.to_string())?;
    Ok(answer.text())
}

fn put(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).unwrap();
}

/// A tree of its own behind `..data`, swapped in one step; the tree before it goes.
fn mount(dir: &Path, number: &str, issued: &Issued) {
    let tree = dir.join(format!("..{number}"));
    fs::create_dir(&tree).unwrap();
    issued.write(&tree, "tls", KeyForm::Pkcs8);
    let before = fs::read_link(dir.join("..data"));
    symlink(format!("..{number}"), dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    match before {
        Ok(before) => fs::remove_dir_all(dir.join(before)).unwrap(),
        Err(_) => ["tls.pem", "tls.key"]
            .iter()
            .for_each(|file| symlink(Path::new("..data").join(file), dir.join(file)).unwrap()),
    }
}
