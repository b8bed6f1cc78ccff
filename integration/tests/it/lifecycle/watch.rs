use std::process::Command;

use integration::config_dir::ConfigDir;
use integration::tools;
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::json;

use super::{LIMIT, said, says, stats, until_said};

/// S9. A file written in place.
#[tokio::test]
async fn a_file_that_is_written_is_loaded() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "old"));
    let vaned = Vaned::start(&config).await;
    config.write_rule("a", says("127.0.0.1:0", "new"));
    until_said(vaned.only_addr().await, "new").await;
    assert_eq!("watch", stats(&vaned).await["last_reload"]["trigger"]);
}

/// S9. Editors write beside and rename over; each time the file is another one.
#[tokio::test]
async fn a_file_that_is_renamed_over_is_loaded_each_time() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "0"));
    let vaned = Vaned::start(&config).await;
    for text in ["1", "2", "3"] {
        config.replace_by_rename("rules/a.json", &rule(text));
        until_said(vaned.only_addr().await, text).await;
    }
}

/// S9. S3. Files that come and go, and those beside the rules.
#[tokio::test]
async fn files_that_come_and_go_and_dot_env_are_watched() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "${WORD:-none}"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    config.write(".env", "WORD=word\n");
    until_said(addr, "word").await;
    config.remove(".env");
    until_said(addr, "none").await;
    config.write_rule("b", says("127.0.0.2:0", "b"));
    until_said(vaned.addr("127.0.0.2:0").await, "b").await;
    config.remove("rules/b.json");
    until("one listener", LIMIT, async || vaned.listeners().await.len() == 1).await;
}

/// S9. The whole directory is a link into a store, as on NixOS.
#[tokio::test]
async fn a_swapped_link_of_the_whole_directory_is_followed_each_time() {
    follows_each_swap(ConfigDir::linked_whole()).await;
}

/// S9. A new generation of a system swaps a link in the middle of the way.
#[tokio::test]
async fn a_swapped_link_on_the_way_to_the_directory_is_followed_each_time() {
    follows_each_swap(ConfigDir::linked_chain()).await;
}

/// S9. Where nothing can be watched, SIGHUP still reads the directory by its path, wherever that
/// leads now.
#[tokio::test]
async fn a_hangup_follows_a_swapped_link_that_nobody_watches() {
    let made = Command::new(BLIND[0]).args(&BLIND[1..]).arg("true").status();
    if !made.is_ok_and(|status| status.success()) {
        return tools::skipped("no user namespace without watches can be made here");
    }
    let config = ConfigDir::linked_chain().rule("a", says("127.0.0.1:0", "0"));
    let vaned = Vaned::builder(&config).within(&BLIND).start().await;
    vaned.wait_for_log(|line| line.contains("fs.inotify.max_user_watches")).await;
    let addr = vaned.only_addr().await;
    for text in ["1", "2"] {
        config.swap(|tree| tree.write_rule("a", says("127.0.0.1:0", text)));
        vaned.signal(Signal::HUP);
        until_said(addr, text).await;
        assert_eq!("sighup", stats(&vaned).await["last_reload"]["trigger"]);
    }
}

/// S9. The entries are links through `..data`, as Kubernetes mounts them.
#[tokio::test]
async fn a_swapped_data_link_is_followed_each_time() {
    follows_each_swap(ConfigDir::linked_entries()).await;
}

/// S9. A half-written file is a failed reload and no crash; the rest of it is loaded.
#[tokio::test]
async fn a_half_written_file_fails_and_its_completion_is_loaded() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "old"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    let whole = rule("new");
    config.write("rules/a.json", &whole[..whole.len() / 2]);
    until("the failure to be seen", LIMIT, async || {
        let last = stats(&vaned).await["last_reload"].clone();
        if last["outcome"] == "refused" && last["trigger"] == "watch" { Ok(()) } else { Err(last) }
    })
    .await;
    assert_eq!("old", said(addr).await.unwrap());
    config.write("rules/a.json", &whole);
    until_said(addr, "new").await;
    assert_eq!(json!(2), stats(&vaned).await["generation"]);
}

/// S9. Many writes in a row are few reloads.
#[tokio::test]
async fn a_burst_of_changes_is_loaded_once_it_is_over() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "0"));
    let vaned = Vaned::start(&config).await;
    for text in 1..=60 {
        config.replace_by_rename("rules/a.json", &rule(&text.to_string()));
    }
    until_said(vaned.only_addr().await, "60").await;
    // Sixty quick changes take less time than two pauses of the watcher, give or take a slow disk.
    let generation = stats(&vaned).await["generation"].as_u64().unwrap();
    assert!(generation <= 6, "{generation} generations for one burst");
}

/// S9. A directory of rules that comes later is watched as well.
#[tokio::test]
async fn a_directory_of_rules_that_comes_later_is_watched() {
    let config = ConfigDir::new();
    std::fs::remove_dir(config.path().join("rules")).unwrap();
    let vaned = Vaned::start(&config).await;
    config.write_rule("a", says("127.0.0.1:0", "late"));
    until_said(until_one_addr(&vaned).await, "late").await;
    config.replace_by_rename("rules/a.json", &rule("later"));
    until_said(vaned.only_addr().await, "later").await;
}

/// S9. Removed and made again, as a deployment does that is not atomic.
#[tokio::test]
async fn a_directory_that_is_made_again_is_watched_again() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "old"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    std::fs::remove_dir_all(config.path()).unwrap();
    config.write_rule("a", says("127.0.0.1:0", "new"));
    until_said(addr, "new").await;
    config.replace_by_rename("rules/a.json", &rule("newer"));
    until_said(addr, "newer").await;
}

const BLIND: [&str; 6] = [
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"",
];

fn rule(text: &str) -> String {
    let mut rule = says("127.0.0.1:0", text);
    rule["name"] = json!("a");
    rule.to_string()
}

async fn until_one_addr(vaned: &Vaned) -> std::net::SocketAddr {
    until("a listener", LIMIT, async || vaned.addrs().await.first().copied()).await
}

async fn follows_each_swap(config: ConfigDir) {
    let config = config.rule("a", says("127.0.0.1:0", "0"));
    let vaned = Vaned::start(&config).await;
    let addr = vaned.only_addr().await;
    for text in ["1", "2", "3"] {
        config.swap(|tree| tree.write_rule("a", says("127.0.0.1:0", text)));
        until_said(addr, text).await;
    }
}
