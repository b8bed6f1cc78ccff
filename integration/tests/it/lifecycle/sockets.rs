use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use integration::config_dir::ConfigDir;
use integration::management::Management;
use integration::vaned::Vaned;
use integration::wait::until;
use rustix::process::Signal;
use serde_json::json;

use super::{LIMIT, said, says};

/// S5. Owner and group may talk to the daemon, nobody else.
#[tokio::test]
async fn the_management_socket_has_mode_0660_and_goes_with_the_daemon() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::start(&config).await;
    let metadata = std::fs::metadata(vaned.socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(0o660, metadata.permissions().mode() & 0o7777);
    vaned.signal(Signal::TERM);
    assert_eq!(Some(0), vaned.exit_status(LIMIT).await.code());
    assert!(!vaned.socket().exists());
}

/// S5. Without a setting, it lies in the runtime directory of the user.
#[tokio::test]
async fn the_socket_lies_in_the_runtime_directory_by_default() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let runtime = tempfile::tempdir().unwrap();
    let starting = Vaned::builder(&config)
        .unset("VANE_MGMT_UNIX")
        .env("XDG_RUNTIME_DIR", &runtime.path().to_string_lossy());
    let vaned = starting.spawn();
    let management = Management::at(&runtime.path().join("vaned.sock"));
    let pid = until("the daemon to answer", LIMIT, async || {
        management.call("ping", json!({})).await.map(|answer| answer["pid"].clone())
    })
    .await;
    assert_eq!(json!(vaned.pid()), pid);
}

/// S5. What a killed daemon left behind is in nobody's way.
#[tokio::test]
async fn a_stale_socket_file_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("stale.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let starting = Vaned::builder(&config).env("VANE_MGMT_UNIX", &path.to_string_lossy());
    let _vaned = starting.spawn();
    let management = Management::at(&path);
    until("the daemon to answer", LIMIT, async || management.call("ping", json!({})).await.is_ok())
        .await;
}

/// S5. The second daemon says which socket and which process, and the first one goes on.
#[tokio::test]
async fn of_two_daemons_on_one_socket_the_second_does_not_start() {
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let first = Vaned::start(&config).await;
    let path = first.socket().to_string_lossy().into_owned();
    let mut second = Vaned::builder(&config).env("VANE_MGMT_UNIX", &path).spawn();
    assert_eq!(Some(1), second.exit_status(LIMIT).await.code());
    let text = second.log_lines().join("\n");
    assert!(text.contains(&path) && text.contains(&first.pid().to_string()), "{text}");
    assert_eq!(json!(first.pid()), first.manage("ping", json!({})).await.unwrap()["pid"]);
    assert_eq!("a", said(first.only_addr().await).await.unwrap());
}

/// S5. Nor do both win when they start at the same moment.
#[tokio::test]
async fn of_daemons_that_start_at_once_on_one_socket_exactly_one_stays() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("m.sock").to_string_lossy().into_owned();
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let start = || Vaned::builder(&config).env("VANE_MGMT_UNIX", &path).spawn();
    let mut daemons = [start(), start(), start(), start()];
    let mut running = 4;
    until("all but one to end", LIMIT, async || {
        running = daemons.iter_mut().filter_map(|each| each.is_running().then_some(())).count();
        if running == 1 { Ok(()) } else { Err(running) }
    })
    .await;
    let management = Management::at(std::path::Path::new(&path));
    let answer =
        until("the one to answer", LIMIT, async || management.call("ping", json!({})).await).await;
    let left = daemons.iter_mut().filter_map(|each| each.is_running().then(|| each.pid())).next();
    assert_eq!((1, json!(left)), (running, answer["pid"].clone()));
}

/// S5. A file that is no socket is somebody's, and is left alone.
#[tokio::test]
async fn a_file_in_place_of_the_socket_ends_the_boot_and_stays() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let mut vaned = Vaned::builder(&config).env("VANE_MGMT_UNIX", &path.to_string_lossy()).spawn();
    assert_eq!(Some(1), vaned.exit_status(LIMIT).await.code());
    assert_eq!("data", std::fs::read_to_string(&path).unwrap());
    assert!(vaned.log_lines().join("\n").contains("precious"));
}

/// S5. The log goes to a file where one is named, and SIGHUP opens it again by its path, so that
/// it can be rotated.
#[tokio::test]
async fn the_log_goes_to_a_file_when_told_to_and_is_opened_again_at_sighup() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("vaned.log");
    let config = ConfigDir::new().rule("a", says("127.0.0.1:0", "a"));
    let starting = Vaned::builder(&config).env("VANE_LOG_FILE", &path.to_string_lossy());
    let vaned = starting.start().await;
    let lines = std::fs::read_to_string(&path).unwrap();
    assert!(lines.lines().count() > 0);
    for line in lines.lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(parsed["level"].is_string(), "{line}");
    }
    std::fs::rename(&path, place.path().join("vaned.log.1")).unwrap();
    vaned.signal(Signal::HUP);
    until("a new log file with a line", LIMIT, async || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.contains("sighup"))
    })
    .await;
}
