use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use integration::nix::Nix;
use integration::tools::{self, Tool};
use serde_json::Value;
use tempfile::TempDir;

/// S20. systemd finds nothing to complain of but words that came after its own version.
#[test]
fn the_units_of_the_module_are_clean() {
    let Some(analyze) = Tool::SYSTEMD_ANALYZE.find() else { return };
    let Some(units) = Units::render() else { return };
    let Output { status, stderr, .. } =
        Command::new(analyze).args(["verify", "--man=no"]).args(units.paths()).output().unwrap();
    let complaints = String::from_utf8_lossy(&stderr);
    let (younger, ours): (Vec<_>, Vec<_>) = complaints
        .lines()
        .filter(|line| line.contains("vaned"))
        .partition(|line| YOUNGER.iter().any(|word| line.contains(word)));
    if !younger.is_empty() {
        tools::skipped("this systemd is older than 254 and cannot judge all of NixOS's units");
    }
    assert!(status.success() && ours.is_empty(), "{status}: {complaints}");
}

/// S20. On NixOS the daemon may do as little beside serving as elsewhere.
#[test]
fn the_service_of_the_module_is_hardened() {
    let Some(analyze) = Tool::SYSTEMD_ANALYZE.find() else { return };
    let Some(units) = Units::render() else { return };
    let judged = Command::new(analyze)
        .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
        .arg(units.path("vaned.service"))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{}: {words}", judged.status);
}

/// S20. What the two ways to install say is the same, but for what NixOS does in its own way.
#[test]
fn the_units_of_the_module_say_what_those_of_the_package_say() {
    let Some(units) = Units::render() else { return };
    for unit in ["vaned.service", "vaned.socket", "vaned-mgmt.socket"] {
        let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(unit);
        let (packaged, rendered) = (settings(&packaged), settings(&units.path(unit)));
        let names: Vec<_> = packaged.keys().chain(rendered.keys()).collect();
        let differ = names.into_iter().filter(|name| packaged.get(*name) != rendered.get(*name));
        let differ: Vec<_> = differ.filter(|name| !OWN_WAY.contains(&name.as_str())).collect();
        assert!(differ.is_empty(), "{unit}: {differ:?}: {packaged:?} {rendered:?}");
    }
}

/// The units of a system with the built daemon, as files.
struct Units(TempDir);

impl Units {
    fn render() -> Option<Self> {
        let nix = Nix::find()?;
        let package = nix.package();
        let rendered = nix.evaluate(&format!(
            "import ./nixos-module/tests/units.nix {{
                package = \"{}\";
                module.services.vaned.enable = true;
            }}",
            package.display()
        ));
        let Value::Object(units) = rendered.unwrap() else { panic!("not a set of units") };
        let place = tempfile::tempdir().unwrap();
        // The package goes with Nix, and systemd looks whether the program is there.
        let built = integration::binary::path("vaned").display().to_string();
        let installed = package.join("bin/vaned").display().to_string();
        for (name, text) in units {
            let text = text.as_str().unwrap().replace(&installed, &built);
            std::fs::write(place.path().join(name), text).unwrap();
        }
        Some(Self(place))
    }

    fn path(&self, unit: &str) -> PathBuf {
        self.0.path().join(unit)
    }

    fn paths(&self) -> [PathBuf; 3] {
        ["vaned.service", "vaned.socket", "vaned-mgmt.socket"].map(|unit| self.path(unit))
    }
}

/// What a unit sets, each with its values in one form and order.
fn settings(unit: &Path) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(unit).unwrap();
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for (name, value) in lines.filter_map(|line| line.split_once('=')) {
        let value = match value {
            "yes" => "true",
            other => other,
        };
        settings.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    settings.retain(|_, values| values.iter().any(|value| !value.is_empty()));
    settings
}

/// The protocol of reloads with systemd 253 and later, longer pauses with 254, and what is NixOS's
/// to name, to place or to enable.
const OWN_WAY: [&str; 18] = [
    "Type",
    "ReloadSignal",
    "ExecReload",
    "RestartSteps",
    "RestartMaxDelaySec",
    "ExecStart",
    "Environment",
    "EnvironmentFile",
    "SupplementaryGroups",
    "LoadCredential",
    "ConfigurationDirectory",
    "ConfigurationDirectoryMode",
    "FileDescriptorName",
    "Documentation",
    "Also",
    "Wants",
    "WantedBy",
    "Description",
];
/// In what systemd before 254 complains of.
const YOUNGER: [&str; 4] =
    ["notify-reload", "'ReloadSignal'", "'RestartSteps'", "'RestartMaxDelaySec'"];
