use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use integration::certs::{Authority, Spec};
use integration::config_dir::ConfigDir;
use integration::tls_client::{Builder, TlsClient};
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::json;

use super::{LIMIT, Site, pair_with, says, site};

/// One client for each version, which keeps its sessions over all daemons.
struct Clients([TlsClient; 2]);

impl Clients {
    fn new() -> Self {
        let versions: [fn(Builder) -> Builder; 2] = [Builder::tls12_only, Builder::tls13_only];
        Self(versions.map(|version| version(TlsClient::builder()).resuming().build()))
    }

    /// Connects with each, and leaves each with a ticket for the next time.
    async fn assert_resumed(&self, site: &Site, expected: bool) {
        for client in &self.0 {
            let mut connection = site.connect(client, "a.test").await.unwrap();
            assert_eq!(
                expected, connection.handshake.resumed,
                "{:?}",
                connection.handshake.version
            );
            if client.wants_ticket(&connection.handshake) {
                connection.ticket().await.unwrap();
            }
            let answer = connection.http1().get("/", "a.test").await.unwrap();
            assert_eq!(200, answer.status);
        }
    }
}

async fn with_state(config: ConfigDir, state: &Path) -> Site {
    Site::with(config, &[("VANE_STATE_DIR", state.to_str().unwrap())]).await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

async fn end(mut site: Site) -> ConfigDir {
    site.vaned.signal(Signal::TERM);
    assert_eq!(Some(0), site.vaned.exit_status(LIMIT).await.code());
    site.config
}

/// T5. S16. Within one daemon, over a reload, and over another certificate.
#[tokio::test]
async fn sessions_are_resumed_over_reloads() {
    let site = Site::ruled(says("x")).await;
    let clients = Clients::new();
    clients.assert_resumed(&site, false).await;
    clients.assert_resumed(&site, true).await;
    let mut changed = super::on_loopback(says("y"));
    changed["tls"] = super::pair("site");
    site.config.write_rule("all", changed);
    assert_eq!("installed", site.vaned.reload().await["outcome"]);
    clients.assert_resumed(&site, true).await;
    let next = super::issued();
    site.write("site", &next);
    site.until_shown("a.test", &next).await;
    clients.assert_resumed(&site, true).await;
    let counts = site.stats().await["handshakes"].clone();
    assert_eq!(json!(6), counts["resumed"], "{counts}");
}

/// T5. S4. Over a restart with the same state directory, whose file is nobody else's to read; not
/// with another one.
#[tokio::test]
async fn sessions_are_resumed_over_a_restart_with_the_same_state() {
    let (kept, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clients = Clients::new();
    let site = with_state(site(says("x")), kept.path()).await;
    clients.assert_resumed(&site, false).await;
    let file = kept.path().join("tls/ticket-keys");
    assert_eq!((0o600, 0o700), (mode(&file), mode(file.parent().unwrap())));

    let config = end(site).await;
    let site = with_state(config, kept.path()).await;
    clients.assert_resumed(&site, true).await;
    let config = end(site).await;
    let site = with_state(config, other.path()).await;
    clients.assert_resumed(&site, false).await;
    clients.assert_resumed(&site, true).await;
}

/// T5. A file that is damaged, or for others to read, costs handshakes and no start.
#[tokio::test]
async fn a_damaged_file_of_keys_costs_a_handshake() {
    let state = tempfile::tempdir().unwrap();
    let clients = Clients::new();
    let mut config = site(says("x"));
    for damage in [&b""[..], b"\xff\0 rubbish", b"00 11 22\n"] {
        let site = with_state(config, state.path()).await;
        clients.assert_resumed(&site, false).await;
        config = end(site).await;
        let file = state.path().join("tls/ticket-keys");
        assert_eq!(0o600, mode(&file));
        fs::write(&file, damage).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    }
    let site = with_state(config, state.path()).await;
    clients.assert_resumed(&site, false).await;
    clients.assert_resumed(&site, true).await;
}

/// T5. Without a state directory that can be written to, everything works, and the log says once
/// what is missing.
#[tokio::test]
async fn without_a_state_directory_sessions_last_as_long_as_the_daemon() {
    let place = tempfile::tempdir().unwrap();
    // Not even root makes a directory below a file.
    fs::write(place.path().join("file"), "").unwrap();
    let dangling = place.path().join("link");
    symlink("nowhere/at/all", &dangling).unwrap();
    for state in [place.path().join("file/state"), dangling] {
        let site = with_state(site(says("x")), &state).await;
        let clients = Clients::new();
        clients.assert_resumed(&site, false).await;
        clients.assert_resumed(&site, true).await;
        let mut changed = super::on_loopback(says("y"));
        changed["tls"] = super::pair("site");
        site.config.write_rule("all", changed);
        site.vaned.reload().await;
        clients.assert_resumed(&site, true).await;
        let lines = site.vaned.log_lines();
        let said = lines.iter().filter(|line| line.contains("keys of session tickets"));
        assert_eq!(1, said.count(), "{lines:#?}");
    }
}

/// T5. T6. A session of a client that was verified is resumed under the same terms, with all that
/// its certificate says, and never under others.
#[tokio::test]
async fn a_session_is_not_resumed_under_other_terms() {
    let root = Authority::root("people");
    let rule = |auth: serde_json::Value| {
        let mut rule = super::on_loopback(says("{tls.peer_cert.subject_cn}"));
        rule["tls"] = pair_with("site", &auth);
        rule
    };
    let auth = |mode: &str, ca: &str| json!({ "client_auth": { "mode": mode, "ca_files": ca } });
    let config = site(rule(auth("request", "ca.pem")));
    root.write(&config.path(), "ca");
    fs::copy(config.path().join("ca.pem"), config.path().join("same.pem")).unwrap();
    Authority::root("others").write(&config.path(), "others");
    let site = Site::of(config).await;
    let alice = root.issue(&Spec::client("alice"));
    let versions: [fn(Builder) -> Builder; 2] = [Builder::tls12_only, Builder::tls13_only];
    let clients =
        versions.map(|version| version(TlsClient::builder().identity(&alice)).resuming().build());
    let terms = [
        (auth("request", "ca.pem"), Some(false)),
        (auth("request", "ca.pem"), Some(true)),
        // Another file of the same content is the same.
        (auth("request", "same.pem"), Some(true)),
        (auth("require", "ca.pem"), Some(false)),
        (json!({}), Some(false)),
        (auth("request", "others.pem"), None),
    ];
    for (terms, resumed) in terms {
        site.config.write_rule("all", rule(terms.clone()));
        site.vaned.reload().await;
        for client in &clients {
            let seen = match site.connect(client, "a.test").await {
                Ok(mut connection) => {
                    let seen = connection.handshake.resumed;
                    let wants = client.wants_ticket(&connection.handshake);
                    let refused = wants && connection.ticket().await.is_err();
                    let mut http = connection.http1();
                    let answer = http.get("/", "a.test").await;
                    answer.ok().filter(|_| !refused).map(|answer| {
                        let expected = if terms == json!({}) { "" } else { "alice" };
                        assert_eq!(expected, answer.text(), "{terms}");
                        seen
                    })
                }
                Err(_) => None,
            };
            assert_eq!(resumed, seen, "{terms}");
        }
    }
}

/// T5. Two daemons on one state directory, as in an upgrade, resume each other's sessions.
#[tokio::test]
async fn a_daemon_that_takes_over_resumes() {
    let state = tempfile::tempdir().unwrap();
    let clients = Clients::new();
    let first = with_state(site(says("x")), state.path()).await;
    clients.assert_resumed(&first, false).await;
    let second =
        Vaned::builder(&first.config).env("VANE_STATE_DIR", state.path().to_str().unwrap());
    let second = second.start().await;
    let addr = second.only_addr().await;
    let second = Site { vaned: second, addr, config: site(says("x")) };
    clients.assert_resumed(&second, true).await;
    until("the first to answer still", LIMIT, async || first.generation().await == 1).await;
}
