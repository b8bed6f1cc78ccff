use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::vaned::Vaned;
use rustix::process::Signal;
use serde_json::json;

use super::{LIMIT, listener, said, says};

/// S8. Diagnostics are on standard error, and the status says no.
#[tokio::test]
async fn a_configuration_that_does_not_compile_ends_the_boot_with_1() {
    let config = ConfigDir::new()
        .rule("good", says("127.0.0.1:0", "good"))
        .rule("bad", json!({ "listen": "127.0.0.1:0", "respnd": { "status": 200 } }));
    let mut vaned = Vaned::builder(&config).spawn();
    let status = vaned.exit_status(LIMIT).await;
    let text = vaned.log_lines().join("\n");
    assert_eq!(Some(1), status.code(), "{text}");
    assert!(text.contains("error[unknown-key]"), "{text}");
    assert!(text.contains("rules/bad.json:"), "{text}");
    assert!(text.contains("did you mean `respond`?"), "{text}");
    assert!(!vaned.socket().exists());
}

/// S8. Nobody has to start the daemon once for each mistake.
#[tokio::test]
async fn bad_values_in_the_environment_are_told_all_at_once_and_end_the_boot_with_2() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let starting = Vaned::builder(&config)
        .env("VANE_WORKERS", "lots")
        .env("VANE_DRAIN_TIMEOUT_SECS", "99999999")
        .env("VANE_BIND_IPV4", "maybe");
    let mut vaned = starting.spawn();
    let status = vaned.exit_status(LIMIT).await;
    let text = vaned.log_lines().join("\n");
    assert_eq!(Some(2), status.code(), "{text}");
    for part in ["VANE_WORKERS", "lots", "1 to 1024"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["VANE_DRAIN_TIMEOUT_SECS", "99999999", "0 to 86400", "VANE_BIND_IPV4", "maybe"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// S8. Arguments come first.
#[tokio::test]
async fn an_unknown_argument_ends_the_boot_with_2() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::builder(&config).arg("--frobnicate").spawn();
    assert_eq!(Some(2), vaned.exit_status(LIMIT).await.code());
    assert!(vaned.log_lines().join("\n").contains("--frobnicate"));
}

/// S8. S13.
#[tokio::test]
async fn a_listener_that_cannot_be_bound_is_logged_while_the_others_serve() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let config = ConfigDir::new()
        .rule("taken", says(&taken, "taken"))
        .rule("free", says("127.0.0.2:0", "free"));
    let starting = Vaned::builder(&config)
        .env("VANE_BIND_BACKOFF_INITIAL_MS", "5")
        .env("VANE_BIND_MAX_ATTEMPTS", "3");
    let vaned = starting.start().await;
    assert_eq!("free", said(vaned.addr("127.0.0.2:0").await).await.unwrap());
    assert_eq!("failed", listener(&vaned, &taken).await["state"]);
    let line = vaned.wait_for_log(|line| super::is_logged(line, "ERROR", &taken)).await;
    assert!(line.contains("in use"), "{line}");
}

/// S8. Management is there as soon as listeners are, and says that the boot was a reload.
#[tokio::test]
async fn a_boot_is_the_first_reload() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let vaned = Vaned::start(&config).await;
    let stats = super::stats(&vaned).await;
    assert_eq!("boot", stats["last_reload"]["trigger"]);
    assert_eq!("installed", stats["last_reload"]["outcome"]);
    assert_eq!((&json!(1), &json!("running")), (&stats["generation"], &stats["state"]));
    assert_eq!(vaned.pid(), stats["pid"].as_u64().unwrap() as u32);
}

/// S8. An empty directory is a warning: rules may come later.
#[tokio::test]
async fn a_directory_without_rules_boots_and_gets_its_rules_later() {
    let config = ConfigDir::new();
    let vaned = Vaned::start(&config).await;
    assert!(vaned.listeners().await.is_empty());
    config.write_rule("first", says("127.0.0.1:0", "first"));
    vaned.reload().await;
    assert_eq!("first", said(vaned.only_addr().await).await.unwrap());
}

/// S8. S7. `--check` compiles and nothing else: no listener, no socket.
#[tokio::test]
async fn a_check_compiles_and_touches_nothing() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut good = Vaned::builder(&config).arg("--check").spawn();
    assert_eq!(Some(0), good.exit_status(LIMIT).await.code());
    assert!(!good.socket().exists());
    config.write("rules/b.json", "{ \"name\": ");
    let mut bad = Vaned::builder(&config).arg("--check").spawn();
    assert_eq!(Some(1), bad.exit_status(LIMIT).await.code());
    assert!(bad.log_lines().join("\n").contains("error[json-syntax]"));
}

/// S8. A signal during the boot is not lost, from the moment at which it is caught.
#[tokio::test]
async fn a_signal_that_comes_early_ends_the_daemon_in_good_order() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    for _ in 0..20 {
        let mut vaned = Vaned::builder(&config).spawn();
        // Without the pauses of `until`, so as to come as early as can be.
        while !catches_term(vaned.pid()) {
            tokio::task::yield_now().await;
        }
        vaned.signal(Signal::TERM);
        assert_eq!(Some(0), vaned.exit_status(Duration::from_secs(5)).await.code());
    }
}

const CAUGHT: u64 = 1 << 14;

/// Whether the process has a handler for SIGTERM, which is that bit of the mask in its status.
fn catches_term(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & CAUGHT == CAUGHT)
}
