//! The socket as a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tempfile::TempDir;
use vane_mgmt::client::Client;
use vane_mgmt::error::BindError;
use vane_mgmt::socket::{MODE, ManagementSocket};

use crate::rig::Rig;

#[tokio::test]
async fn only_owner_and_group_may_connect() {
    let (directory, path) = fresh();
    let _socket = ManagementSocket::bind(&path, MODE).await.unwrap();
    assert_eq!(0o660, fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777);
    drop(directory);
}

#[tokio::test]
async fn a_stale_file_is_replaced() {
    let (directory, path) = fresh();
    drop(UnixListener::bind(&path).unwrap());
    let socket = ManagementSocket::bind(&path, MODE).await.unwrap();
    let rig = Rig::serving(directory, socket);
    assert_eq!(4711, rig.client().await.ping().await.unwrap().pid);
}

#[tokio::test]
async fn a_serving_daemon_is_named_by_its_pid() {
    let rig = Rig::start().await;
    let error = ManagementSocket::bind(rig.path(), MODE).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { pid: Some(4711), .. }), "{error:?}");
    assert!(error.to_string().starts_with("the daemon with pid 4711 already owns"), "{error}");
    assert_eq!(4711, rig.client().await.ping().await.unwrap().pid);
}

#[tokio::test]
async fn a_daemon_without_the_lock_is_found_all_the_same() {
    let (directory, path) = fresh();
    let inherited = ManagementSocket::from_std(UnixListener::bind(&path).unwrap());
    let _rig = Rig::serving(directory, inherited);
    let error = ManagementSocket::bind(&path, MODE).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { pid: Some(4711), .. }), "{error:?}");
}

#[tokio::test]
async fn of_many_that_bind_at_once_exactly_one_wins() {
    for stale in [false, true] {
        let (_directory, path) = fresh();
        if stale {
            drop(UnixListener::bind(&path).unwrap());
        }
        let mut race = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let path = path.clone();
            race.spawn_blocking(move || bind_on_a_runtime_of_its_own(&path));
        }
        let outcomes = race.join_all().await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(1, won, "{outcomes:?}");
        assert!(
            outcomes.iter().all(|o| matches!(o, Ok(_) | Err(BindError::InUse { .. }))),
            "{outcomes:?}"
        );
    }
}

fn bind_on_a_runtime_of_its_own(path: &Path) -> Result<ManagementSocket, BindError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be built").block_on(ManagementSocket::bind(path, MODE))
}

#[tokio::test]
async fn what_is_not_a_socket_is_left_alone() {
    let (_directory, path) = fresh();
    fs::write(&path, "precious").unwrap();
    let error = ManagementSocket::bind(&path, MODE).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket { found: "a regular file", .. }), "{error:?}");
    assert_eq!("precious", fs::read_to_string(&path).unwrap());
}

#[tokio::test]
async fn a_symbolic_link_is_not_followed() {
    let (directory, path) = fresh();
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
    let error = ManagementSocket::bind(&path, MODE).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket { found: "a symbolic link", .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_directory_and_a_long_path_say_what_to_do() {
    let (directory, _) = fresh();
    for path in [directory.path().join("none/m.sock"), directory.path().join("m".repeat(150))] {
        let error = ManagementSocket::bind(&path, MODE).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot "), "{error}");
        assert!(error.help().unwrap().contains("VANE_MGMT_UNIX"), "{error:?}");
    }
}

#[tokio::test]
async fn the_file_goes_with_its_socket_and_the_path_is_free_again() {
    let rig = Rig::start().await;
    let path = rig.path();
    let _directory = rig.stop().await;
    assert!(!path.exists());
    ManagementSocket::bind(&path, MODE).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_removed() {
    let (_directory, path) = fresh();
    let socket = ManagementSocket::bind(&path, MODE).await.unwrap();
    fs::rename(&path, path.with_extension("old")).unwrap();
    let successor = UnixListener::bind(&path).unwrap();
    drop(socket);
    assert!(path.exists());
    drop(successor);
}

#[tokio::test]
async fn an_inherited_socket_serves_and_its_file_stays() {
    let (directory, path) = fresh();
    let socket = ManagementSocket::from_std(UnixListener::bind(&path).unwrap());
    assert_eq!(Some(path.clone()), socket.path());
    let rig = Rig::serving(directory, socket);
    assert_eq!(4711, Client::connect(&path).await.unwrap().ping().await.unwrap().pid);
    let _directory = rig.stop().await;
    assert!(path.exists());
}

fn fresh() -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("m.sock");
    (directory, path)
}
