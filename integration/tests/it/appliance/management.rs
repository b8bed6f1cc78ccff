use integration::load::{Mix, keep_alive_clients};
use serde_json::json;

use super::rig::{Daemon, Door, LIMIT, Rig, Settings, saying, until_said};

scenarios!(
    the_command_line_beside_the_daemon_shows_and_changes_it_under_load,
    a_shutdown_from_the_command_line_ends_the_daemon,
);

/// S21. S1. S7. Every kind of question, and the changes; meanwhile nothing is lost.
async fn the_command_line_beside_the_daemon_shows_and_changes_it_under_load<R: Rig>(rig: R) {
    let origin = rig.origin().await;
    rig.forwards("web", Door::Clear, &origin.url());
    rig.says("side", Door::Side, "before");
    let daemon = rig.start(&Settings::default()).await;
    let load =
        keep_alive_clients(4, rig.v4(&daemon, Door::Clear).await, &Mix::new("a").get("/headers"));
    load.more_answers(20).await;
    let looks: [(&[&str], &str); 8] = [
        (&["ping"], "vaned"),
        (&["stats"], "generation"),
        (&["get", "listeners"], "listening"),
        (&["get", "connections"], "http1"),
        (&["get", "config"], "web"),
        (&["get", "certs"], ""),
        (&["check", &rig.directory()], ""),
        (&["compile", &rig.directory()], "web"),
    ];
    for (args, part) in looks {
        let output = daemon.vane(args).await;
        assert_eq!(0, output.status, "{args:?}: {output:?}");
        assert!(output.stdout.contains(part), "{args:?}: {output:?}");
    }
    let requests = daemon.stats().await["requests"]["total"].clone();
    assert!(requests.as_u64() >= Some(20), "{requests}");

    // The watcher is not to be quicker than the plan.
    let mut side = saying(&rig.door(Door::Side), "after");
    side["name"] = json!("side");
    rig.config().write_unseen("rules/side.json", &side.to_string());
    let plan = daemon.vane(&["plan"]).await;
    assert!(plan.status == 0 && plan.stdout.contains("side"), "{plan:?}");
    daemon.reload().await;
    until_said(rig.v4(&daemon, Door::Side).await, "after").await;
    rig.config().write_unseen("rules/side.json", "[]]");
    for args in [&["reload"][..], &["check", &rig.directory()], &["cert", "renew", "nobody.test"]] {
        assert_eq!(1, daemon.vane(args).await.status, "{args:?}");
    }
    assert_eq!(2, daemon.vane(&["frobnicate"]).await.status);
    load.more_answers(20).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert_eq!(tally.sent, origin.count());
}

/// S21. S10.
async fn a_shutdown_from_the_command_line_ends_the_daemon<R: Rig>(rig: R) {
    rig.says("web", Door::Clear, "a");
    let mut daemon = rig.start(&Settings::default()).await;
    assert_eq!(json!({ "draining": true }), daemon.json(&["shutdown", "--budget-secs", "2"]).await);
    assert_eq!(0, daemon.exit_status(LIMIT).await);
    assert_ne!(0, daemon.vane(&["ping"]).await.status);
}
