use std::net::TcpListener;
use std::time::{Duration, Instant};

use integration::config_dir::ConfigDir;
use integration::vaned::{Builder, Vaned};
use integration::wait::until;
use serde_json::json;

use super::{is_logged, listener, said, says, until_said, until_state};

/// S13. After the last attempt the listener gives up and says why; the others never notice.
#[tokio::test]
async fn a_listener_whose_address_stays_taken_gives_up_alone() {
    let held = TcpListener::bind("127.13.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let config = ConfigDir::new().rule("a", says(&taken, "a")).rule("b", says("127.0.0.1:0", "b"));
    let begun = Instant::now();
    let starting = patient(&config, "40", "5000", "5").while_binding();
    let vaned = starting.start().await;
    until_said(vaned.addr("127.0.0.1:0").await, "b").await;
    let failed = until_state(&vaned, &taken, "failed").await;
    // 40 + 80 + 160 + 320 ms lie between five attempts.
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert_eq!((&json!(5), &json!(null)), (&failed["attempts"], &failed["local"]));
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("in use") && error.contains("ss -ltnp"), "{error}");
    let line = vaned.wait_for_log(|line| is_logged(line, "ERROR", &taken)).await;
    assert!(line.contains("gave up"), "{line}");
    assert_eq!("b", said(vaned.addr("127.0.0.1:0").await).await.unwrap());
}

/// S13. An address that becomes free in time is taken.
#[tokio::test]
async fn a_listener_whose_address_becomes_free_is_bound() {
    let held = TcpListener::bind("127.13.0.2:0").unwrap();
    let taken = held.local_addr().unwrap();
    let config = ConfigDir::new().rule("a", says(&taken.to_string(), "a"));
    let vaned = patient(&config, "10", "40", "100000").while_binding().start().await;
    let address = taken.to_string();
    until("some attempts", super::LIMIT, async || {
        let now = listener(&vaned, &address).await;
        let tried = now["attempts"].as_u64() >= Some(3) && now["state"] == "binding";
        if tried { Ok(()) } else { Err(now) }
    })
    .await;
    assert!(listener(&vaned, &address).await["error"].as_str().unwrap().contains("in use"));
    drop(held);
    let bound = until_state(&vaned, &address, "listening").await;
    assert_eq!((&json!(null), &json!(address)), (&bound["error"], &bound["local"]));
    assert_eq!("a", said(taken).await.unwrap());
}

/// S13. The pause between attempts stays within its bound.
#[tokio::test]
async fn the_pause_between_attempts_is_bounded() {
    let held = TcpListener::bind("127.13.0.3:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let config = ConfigDir::new().rule("a", says(&taken, "a"));
    let vaned = patient(&config, "1", "4", "200").start().await;
    // Ready means that it gave up. Doubling without a bound, 200 attempts never end.
    assert_eq!(json!(200), listener(&vaned, &taken).await["attempts"]);
}

/// S13. S14. A listener that gave up is tried again by the next reload.
#[tokio::test]
async fn a_failed_listener_is_tried_again_by_the_next_reload() {
    let held = TcpListener::bind("127.13.0.4:0").unwrap();
    let taken = held.local_addr().unwrap();
    let config = ConfigDir::new().rule("a", says(&taken.to_string(), "old"));
    let vaned = patient(&config, "1", "2", "2").start().await;
    assert_eq!("failed", listener(&vaned, &taken.to_string()).await["state"]);
    drop(held);
    config.write_rule("a", says(&taken.to_string(), "new"));
    vaned.reload().await;
    assert_eq!("new", said(taken).await.unwrap());
}

/// S13. S9. That holds for a reload that finds the same graph as well: the person who freed the
/// address has nothing to change in the configuration.
#[tokio::test]
async fn a_failed_listener_is_tried_again_by_a_reload_to_the_same_graph() {
    let held = TcpListener::bind("127.13.0.5:0").unwrap();
    let taken = held.local_addr().unwrap();
    let config = ConfigDir::new().rule("a", says(&taken.to_string(), "a"));
    let vaned = patient(&config, "1", "2", "2").start().await;
    assert_eq!("failed", listener(&vaned, &taken.to_string()).await["state"]);
    drop(held);
    let view = vaned.reload().await;
    assert_eq!((&json!("unchanged"), &json!(1)), (&view["outcome"], &view["generation"]));
    assert_eq!("a", said(taken).await.unwrap());
}

/// S13. An address that is not of this host is told apart from one that is taken.
#[tokio::test]
async fn an_address_of_another_host_says_so() {
    let config = ConfigDir::new().rule("a", says("192.0.2.1:8080", "a"));
    let vaned = patient(&config, "1", "2", "2").start().await;
    let failed = listener(&vaned, "192.0.2.1:8080").await;
    assert_eq!("failed", failed["state"]);
    assert!(failed["error"].as_str().unwrap().contains("no interface"), "{failed}");
}

/// S13. S14. A listener that is removed while it is being bound goes at once.
#[tokio::test]
async fn a_listener_can_be_removed_while_it_is_being_bound() {
    let held = TcpListener::bind("127.13.0.6:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let config = ConfigDir::new().rule("a", says(&taken, "a")).rule("b", says("127.0.0.1:0", "b"));
    let vaned = patient(&config, "60000", "60000", "100").while_binding().start().await;
    until_state(&vaned, &taken, "binding").await;
    config.remove("rules/a.json");
    vaned.reload().await;
    assert_eq!(1, vaned.listeners().await.len());
    assert_eq!("b", said(vaned.only_addr().await).await.unwrap());
}

/// S10. S13. Nor does it hold up the end.
#[tokio::test]
async fn a_listener_that_is_being_bound_does_not_hold_up_the_end() {
    let held = TcpListener::bind("127.13.0.7:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let config = ConfigDir::new().rule("a", says(&taken, "a"));
    let mut vaned = patient(&config, "60000", "60000", "100").while_binding().start().await;
    vaned.signal(rustix::process::Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(Duration::from_secs(2)).await.code());
}

fn patient(config: &ConfigDir, initial: &str, max: &str, attempts: &str) -> Builder {
    Vaned::builder(config)
        .env("VANE_BIND_BACKOFF_INITIAL_MS", initial)
        .env("VANE_BIND_BACKOFF_MAX_MS", max)
        .env("VANE_BIND_MAX_ATTEMPTS", attempts)
}
