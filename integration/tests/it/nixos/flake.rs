use std::path::{Path, PathBuf};
use std::process::Command;

use integration::nix::Nix;
use integration::tools;
use serde_json::json;

/// Every file for Nix can be read.
#[test]
fn every_file_for_nix_parses() {
    let Some(nix) = Nix::find() else { return };
    let files = nix_files();
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        nix.parse(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// The flake offers what its users name.
#[test]
fn the_flake_has_packages_module_overlay_checks_shell_and_formatter() {
    let Some(nix) = Nix::find() else { return };
    tools::skipped("`nix flake check` and its virtual machines need nixpkgs and a network");
    let names = |of: &str| {
        let outputs = "import ./nixos-module/tests/flake.nix";
        nix.evaluate(&format!("builtins.attrNames ({outputs}).{of}")).unwrap()
    };
    let systems = json!(["aarch64-linux", "x86_64-linux"]);
    assert_eq!(systems, names("packages"));
    assert_eq!(json!(["default", "vane"]), names("packages.x86_64-linux"));
    assert_eq!(json!(["default", "vaned"]), names("nixosModules"));
    assert_eq!(json!(["default"]), names("overlays"));
    assert_eq!(json!(["default"]), names("devShells.x86_64-linux"));
    assert_eq!(systems, names("formatter"));
    let checks = json!(["acme", "dual-stack", "etc", "module", "package", "reload"]);
    assert_eq!(checks, names("checks.aarch64-linux"));
}

/// Nix takes the flake for one, and everything in it has the form that its place asks for.
#[test]
fn the_flake_is_whole_over_what_stands_in_for_nixpkgs() {
    let Some(nix) = Nix::find() else { return };
    let place = tempfile::tempdir().unwrap();
    let (flake, nixpkgs) = (place.path().join("flake"), place.path().join("nixpkgs"));
    copy(&["flake.nix", "package.nix", "Cargo.toml", "Cargo.lock", "nixos-module"], &flake);
    let tests = Path::new("nixos-module/tests");
    copy(&[tests.join("nixpkgs.nix"), tests.join("stand-in.nix")], &nixpkgs);
    std::fs::write(nixpkgs.join("flake.nix"), "{ outputs = _: import ./nixpkgs.nix; }").unwrap();
    nix.check_flake(&flake, &nixpkgs).unwrap_or_else(|error| panic!("{error}"));
}

/// The package is of this version and of files that are there, and says which Rust it needs.
#[test]
fn the_package_is_of_this_version_and_of_files_that_are_there() {
    let Some(nix) = Nix::find() else { return };
    let package = |rust: &str| {
        let call = format!("import ./nixos-module/tests/package.nix {{ rust = \"{rust}\"; }}");
        nix.evaluate(&call)
    };
    let made = package("1.95.0").unwrap();
    assert_eq!(env!("CARGO_PKG_VERSION"), made["version"]);
    assert_eq!(json!([]), made["missing"]);
    let refused = package("1.94.1").unwrap_err();
    assert!(refused.contains("vane needs Rust 1.95"), "{refused}");
}

/// The configurations of the virtual machines are ones that the daemon takes.
#[test]
fn the_virtual_machines_have_configurations_that_compile() {
    let Some(nix) = Nix::find() else { return };
    let machines = format!(
        "import ./nixos-module/tests/machines.nix {{ package = \"{}\"; }}",
        nix.package().display()
    );
    let names = nix.evaluate(&format!("builtins.attrNames ({machines})")).unwrap();
    assert_eq!(json!(["acme-edge", "dual-stack-both", "dual-stack-old", "reload-machine"]), names);
    for name in names.as_array().unwrap() {
        nix.build(&format!("({machines}).{name}")).unwrap();
    }
}

/// Copies files and directories of the repository.
fn copy(what: &[impl AsRef<Path>], to: &Path) {
    std::fs::create_dir(to).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let paths = what.iter().map(|path| root.join(path));
    let copied = Command::new("cp").arg("--recursive").args(paths).arg(to).status().unwrap();
    assert!(copied.success(), "{copied}");
}

fn nix_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut waiting = vec![root.join("nixos-module")];
    let mut files = vec![root.join("flake.nix"), root.join("package.nix")];
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let (directories, found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        waiting.extend(directories);
        files.extend(found.into_iter().filter(|path| path.extension() == Some("nix".as_ref())));
    }
    files
}
