use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::tools::skipped;
use integration::vaned::Vaned;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;

use super::LIMIT;
use super::rig::{NAME, Rig, files, renew, until_cert, until_failed};

/// S4. Nothing of the state is for others, whatever the umask, and what was is no longer.
#[tokio::test]
async fn what_is_stored_is_for_its_owner_alone() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let daemon = rig.daemon().within(&["sh", "-c", "umask 000; exec \"$@\"", "sh"]);
    let mut vaned = daemon.start().await;
    rig.issued(&vaned, NAME).await;
    rig.assert_private();
    for name in ["certificate.pem", "state.json"] {
        assert_eq!(1, rig.stored(name).len(), "{name}: {:?}", files(&rig.state()));
    }
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    for path in files(&rig.state()) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let vaned = rig.start().await;
    vaned.wait_for_log(|line| line.contains("certificate.pem") && line.contains("by others")).await;
    rig.issued(&vaned, NAME).await;
    rig.assert_private();
}

/// S4. Whatever is left of the files, the daemon starts, says what is wrong with them, and the
/// site has its certificate in the end.
#[tokio::test]
async fn damaged_files_are_reported_and_the_certificate_comes_all_the_same() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let mut vaned = rig.start().await;
    rig.issued(&vaned, NAME).await;
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |whole| whole[..whole.len() / 2].to_vec(),
        |whole| whole.iter().map(|byte| byte ^ 0x55).collect(),
        |whole| [whole.as_slice(), b"{}"].concat(),
    ];
    for damage in damages {
        vaned.signal(Signal::TERM);
        vaned.exit_status(LIMIT).await;
        let damaged = damaged(&rig, damage);
        let keeps_nothing = fs::read(&damaged[0]).unwrap().is_empty();
        vaned = rig.start().await;
        rig.issued(&vaned, NAME).await;
        for path in &damaged {
            let name = path.file_name().unwrap().to_str().unwrap();
            vaned
                .wait_for_log(|line| line.contains(name) && line.contains("counts as missing"))
                .await;
            let kept = path.with_extension(extension(path) + ".damaged");
            assert!(keeps_nothing || kept.exists(), "{name} is kept");
        }
        rig.assert_private();
    }
    assert_eq!(5, rig.pebble.orders());
}

/// Spoils every file of the state that holds something; yields which.
fn damaged(rig: &Rig, damage: fn(Vec<u8>) -> Vec<u8>) -> Vec<PathBuf> {
    let order = rig.stored("state.json")[0].with_file_name("order.json");
    fs::write(&order, json!({ "url": "https://127.0.0.1/", "names": [NAME] }).to_string()).unwrap();
    let acme = files(&rig.state().join("acme"));
    let is_kept = |path: &PathBuf| path.is_file() && KEPT.contains(&&*extension(path));
    // An end in the middle of a write leaves a draft, which nobody reads.
    let is_draft = |path: &PathBuf| path.file_name().unwrap().as_bytes().starts_with(b".");
    let spoiled: Vec<_> =
        acme.into_iter().filter(|path| is_kept(path) && !is_draft(path)).collect();
    assert_eq!(4, spoiled.len(), "{spoiled:?}");
    for path in &spoiled {
        fs::write(path, damage(fs::read(path).unwrap())).unwrap();
    }
    spoiled
}

fn extension(path: &Path) -> String {
    path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_owned()
}

/// S4. Without a place for keys nothing is ordered; everything else is served, and who looks is
/// told.
#[tokio::test]
async fn a_state_directory_that_cannot_be_used_costs_the_site_that_needs_it_alone() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let file = rig.config.path().join("config.json");
    for unusable in [Path::new("/nonexistent/state"), Path::new("/proc"), &file] {
        let unusable = unusable.to_str().unwrap();
        let vaned = rig.daemon().env("VANE_STATE_DIR", unusable).start().await;
        let cert = until_cert(&vaned, NAME, |cert| cert["last_error"].is_string()).await;
        assert_eq!(json!("missing"), cert["state"]);
        let error = cert["last_error"].as_str().unwrap();
        for words in ["certificates cannot be kept in", unusable, "VANE_STATE_DIR"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        let said =
            |line: &str| line.contains("no certificates are ordered") && line.contains(error);
        vaned.wait_for_log(said).await;
        assert_serves_in_clear(&rig).await;
        assert!(rig.handshake(NAME).await.is_err());
        let mut check = rig.daemon().env("VANE_STATE_DIR", unusable).arg("--check").spawn();
        assert!(check.exit_status(LIMIT).await.success(), "{:?}", check.log_lines());
    }
    assert!(files(&rig.state()).is_empty());
    assert_eq!(0, rig.pebble.orders());
}

/// S4. The same for a site that comes by a reload; once there is a place it has its certificate.
#[tokio::test]
async fn a_site_that_waits_for_a_state_directory_is_ordered_once_there_is_one() {
    let Some(rig) = Rig::usual().await else { return };
    let state = rig.state().join("later");
    let vaned = rig.daemon().env("VANE_STATE_DIR", state.to_str().unwrap()).start().await;
    rig.one_site();
    vaned.reload().await;
    until_cert(&vaned, NAME, |cert| cert["last_error"].is_string()).await;
    assert_serves_in_clear(&rig).await;
    fs::create_dir(&state).unwrap();
    // It looks again by itself, and sooner when it is asked.
    renew(&vaned, NAME).await;
    rig.issued(&vaned, NAME).await;
    assert_eq!(1, rig.pebble.orders());
}

/// S4. What is stored is served, also where nothing can be stored any more.
#[tokio::test]
async fn what_is_stored_serves_where_nothing_can_be_written() {
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|done| done.success()) {
        return skipped("a file system cannot be made read-only here: no right to mount");
    }
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let mut vaned = rig.start().await;
    let leaf = rig.issued(&vaned, NAME).await.leaf;
    vaned.signal(Signal::TERM);
    vaned.exit_status(LIMIT).await;
    let read_only = "mount --bind \"$VANE_STATE_DIR\" \"$VANE_STATE_DIR\" \
                     && mount -o remount,bind,ro \"$VANE_STATE_DIR\" && exec \"$@\"";
    let daemon = rig.daemon().within(&["unshare", "-m", "sh", "-c", read_only, "sh"]);
    let vaned = daemon.start().await;
    let cert = until_cert(&vaned, NAME, |cert| cert["last_error"].is_string()).await;
    assert!(cert["last_error"].as_str().unwrap().contains("Read-only file system"), "{cert}");
    assert_eq!(leaf, rig.handshake(NAME).await.unwrap().leaf);
    assert_serves_in_clear(&rig).await;
    assert_eq!(1, rig.pebble.orders());
}

/// S4. A full disk: nothing is asked of the authority that could not be kept.
#[tokio::test]
async fn without_room_no_account_is_made_and_nothing_is_ordered() {
    let Some(mut rig) = Rig::usual().await else { return };
    let front = rig.pebble.front(|request, way| async move { way.pass(&request).await }).await;
    rig.by_way_of(front.directory_url());
    rig.one_site();
    let vaned = rig.daemon().within(&WITH_A_FULL_DISK).start().await;
    let failed = until_failed(&vaned, NAME, 1).await;
    assert!(failed["last_error"].as_str().unwrap().contains("cannot write"), "{failed}");
    assert!(front.seen().is_empty(), "{:?}", front.seen());
    set_room(&vaned, None);
    renew(&vaned, NAME).await;
    rig.issued(&vaned, NAME).await;
    assert_eq!(1, rig.pebble.orders());
}

/// S4. A disk that fills up during an order: its certificate serves, and is stored once it can be.
#[tokio::test]
async fn a_certificate_that_cannot_be_stored_serves_and_is_stored_later() {
    let Some(mut rig) = Rig::usual().await else { return };
    let (_front, gate) = rig.held_at("/certZ/").await;
    rig.one_site();
    let vaned = rig.daemon().within(&ON_A_DISK_THAT_MAY_FILL_UP).start().await;
    gate.wait_for(1, LIMIT).await;
    set_room(&vaned, Some(0));
    gate.open();
    let shown = until_cert(&vaned, NAME, |cert| {
        cert["managed"]["ordering"] == false && cert["served"].is_object()
    });
    let shown = shown.await;
    assert!(shown["last_error"].as_str().unwrap().contains("not stored yet"), "{shown}");
    let leaf = rig.handshake(NAME).await.unwrap().leaf;
    assert!(rig.stored("certificate.pem").is_empty());
    set_room(&vaned, None);
    let more = json!({ "listen": rig.http().to_string(), "match": { "http.path": "/x" },
        "respond": {} });
    rig.config.write_rule("more", more);
    vaned.reload().await;
    until_cert(&vaned, NAME, |cert| cert["state"] == "serving").await;
    assert_eq!(1, rig.stored("certificate.pem").len());
    assert_eq!(leaf, rig.handshake(NAME).await.unwrap().leaf);
    assert_eq!(1, rig.pebble.orders());
}

/// How large the files of a daemon may become, in bytes; `None` for any size.
fn set_room(vaned: &Vaned, current: Option<u64>) {
    let pid = Pid::from_raw(vaned.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
}

async fn assert_serves_in_clear(rig: &Rig) {
    let mut client = integration::raw_client::RawClient::connect(rig.http()).await.unwrap();
    assert_eq!(404, client.get("/", NAME).await.unwrap().status);
}

/// Every write to a file fails, and does not end the process.
const WITH_A_FULL_DISK: [&str; 4] = ["sh", "-c", "trap '' XFSZ; ulimit -S -f 0; exec \"$@\"", "sh"];
/// A write that finds no room does not end the process.
const ON_A_DISK_THAT_MAY_FILL_UP: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
/// How files end that hold something.
const KEPT: [&str; 2] = ["json", "pem"];
