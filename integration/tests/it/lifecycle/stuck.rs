//! Files that cannot be read for the time being, as on a file server that does not answer.

use std::fs;

use integration::activation::Activation;
use integration::config_dir::ConfigDir;
use integration::stuck_file::StuckFile;
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::json;

use super::{LIMIT, said, says};

/// S10. A reload that waits for a file for ever does not keep the daemon from ending: what serves
/// drains as ever, and whoever asked for the reload is told.
#[tokio::test]
async fn a_reload_that_cannot_read_a_file_does_not_delay_the_end() {
    let mut activation = Activation::new();
    let web = activation.tcp("http", "127.0.0.1:0");
    let config = ConfigDir::new().rule("a", says(&web.to_string(), "a"));
    let mut vaned = Vaned::builder(&config).activated(&activation).start().await;
    activation.told_in_the_end("READY=1").await;
    let Some(_stuck) = StuckFile::hold(&config.path().join("rules/a.json")).await else { return };
    let management = vaned.client();
    let asked = tokio::spawn(async move { management.call("reload", json!({})).await });
    activation.told_in_the_end("STATUS=reloading").await;
    assert_eq!("a", said(web).await.unwrap());
    vaned.signal(Signal::TERM);
    activation.told_in_the_end("STOPPING=1").await;
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    let refused = asked.await.unwrap().unwrap_err();
    assert_eq!("refused", refused["data"]["outcome"], "{refused}");
}

/// S8. A start that waits for a file for ever can be ended.
#[tokio::test]
async fn a_start_that_cannot_read_a_file_can_be_ended() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let Some(_stuck) = StuckFile::hold(&config.path().join("rules/a.json")).await else { return };
    let mut vaned = Vaned::builder(&config).spawn();
    until("signals to be caught", LIMIT, async || {
        let status = fs::read_to_string(format!("/proc/{}/status", vaned.pid())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
        u64::from_str_radix(caught, 16).unwrap() & (1 << (Signal::TERM.as_raw() - 1)) != 0
    })
    .await;
    vaned.signal(Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
}
