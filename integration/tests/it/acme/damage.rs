use std::fs;
use std::path::{Path, PathBuf};

use integration::vane::Vane;
use integration::vaned::Vaned;
use rustix::process::Signal;
use serde_json::json;

use super::LIMIT;
use super::rig::{NAME, Rig, files};

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
    let whole = |path: &PathBuf| {
        path.is_file() && !["damaged", "lock"].contains(&&*extension_or_name(path))
    };
    let spoiled: Vec<_> = acme.into_iter().filter(whole).collect();
    assert_eq!(4, spoiled.len(), "{spoiled:?}");
    for path in &spoiled {
        fs::write(path, damage(fs::read(path).unwrap())).unwrap();
    }
    spoiled
}

fn extension(path: &Path) -> String {
    path.extension().unwrap().to_str().unwrap().to_owned()
}

fn extension_or_name(path: &Path) -> String {
    path.extension().or(path.file_name()).unwrap().to_str().unwrap().to_owned()
}

/// S4. Without a place for keys nothing starts that would have to keep some; checking needs none.
#[tokio::test]
async fn a_state_directory_that_cannot_be_used_is_refused_with_words() {
    let Some(rig) = Rig::usual().await else { return };
    rig.one_site();
    let file = rig.config.path().join("config.json");
    for unusable in [Path::new("/nonexistent/state"), Path::new("/proc"), &file] {
        let unusable = unusable.to_str().unwrap();
        let mut vaned = rig.daemon().env("VANE_STATE_DIR", unusable).spawn();
        let status = vaned.exit_status(LIMIT).await;
        let log = vaned.log_lines().join("\n");
        assert!(status.code().is_some_and(|code| code != 0), "{status}: {log}");
        for words in ["certificates cannot be kept in", unusable, "VANE_STATE_DIR"] {
            assert!(log.contains(words), "{words}: {log}");
        }
        let mut check = rig.daemon().env("VANE_STATE_DIR", unusable).arg("--check").spawn();
        assert!(check.exit_status(LIMIT).await.success(), "{:?}", check.log_lines());
    }
    assert!(files(&rig.state()).is_empty());
}

/// S4. A reload that would need such a place is refused, and what served goes on.
#[tokio::test]
async fn a_reload_that_needs_a_state_directory_without_one_is_refused() {
    let Some(rig) = Rig::usual().await else { return };
    let vaned = rig.daemon().env("VANE_STATE_DIR", "/nonexistent/state").start().await;
    rig.one_site();
    let output = Vane::new().socket(vaned.socket()).run(&["reload"]).await;
    assert_eq!(1, output.status, "{output:?}");
    assert!(output.stderr.contains("certificates cannot be kept in"), "{output:?}");
    assert_still_serves(&rig, &vaned).await;
}

async fn assert_still_serves(rig: &Rig, vaned: &Vaned) {
    let mut client = integration::raw_client::RawClient::connect(rig.http()).await.unwrap();
    assert_eq!(404, client.get("/", NAME).await.unwrap().status);
    assert_eq!(1, vaned.listeners().await.len());
}
