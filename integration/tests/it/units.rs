//! The units for systemd, as systemd itself judges them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use integration::binary;
use integration::tools::Tool;
use tempfile::TempDir;

/// S20. systemd finds nothing to complain of.
#[test]
fn the_units_are_clean() {
    let Some(analyze) = Tool::SYSTEMD_ANALYZE.find() else { return };
    let place = units();
    let paths = UNITS.map(|unit| place.path().join(unit));
    let Output { status, stderr, .. } =
        Command::new(analyze).args(["verify", "--man=no"]).args(paths).output().unwrap();
    let complaints = String::from_utf8_lossy(&stderr);
    // What it says of the units of this machine is none of ours.
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("vaned")).collect();
    assert!(status.success() && ours.is_empty(), "{status}: {complaints}");
}

/// S20. The service may do little beside serving.
#[test]
fn the_service_is_hardened() {
    let Some(analyze) = Tool::SYSTEMD_ANALYZE.find() else { return };
    let judged = Command::new(analyze)
        .args(["security", "--offline=true", "--no-pager", &format!("--threshold={EXPOSURE}")])
        .arg(directory().join("vaned.service"))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{}: {words}", judged.status);
}

/// S20. What the packages create fits what the units name.
#[test]
fn the_user_of_the_service_can_be_created() {
    let Some(sysusers) = Tool::SYSUSERS.find() else { return };
    let root = tempfile::tempdir().unwrap();
    let created = Command::new(sysusers)
        .arg("--dry-run")
        .arg(format!("--root={}", root.path().display()))
        .arg("--inline")
        .arg(std::fs::read_to_string(directory().join("sysusers.d/vaned.conf")).unwrap().trim())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&created.stderr);
    assert!(created.status.success() && words.contains("vaned"), "{}: {words}", created.status);
    let service = std::fs::read_to_string(directory().join("vaned.service")).unwrap();
    assert!(service.contains("\nUser=vaned\nGroup=vaned\n"));
}

/// The units with the built daemon in place of the installed one.
fn units() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let text = std::fs::read_to_string(directory().join(unit)).unwrap();
        let built = binary::path("vaned").display().to_string();
        std::fs::write(place.path().join(unit), text.replace("/usr/bin/vaned", &built)).unwrap();
    }
    place
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

const UNITS: [&str; 3] = ["vaned.service", "vaned.socket", "vaned-mgmt.socket"];
/// In tenths, as the option takes it: 1.5.
const EXPOSURE: u32 = 15;
