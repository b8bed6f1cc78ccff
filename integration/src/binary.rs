//! Where the built binaries are.

use std::path::{Path, PathBuf};

/// The path of a binary of this workspace, in the build profile of the running test.
///
/// # Panics
/// When it has not been built, with the command that builds it.
pub fn path(name: &str) -> PathBuf {
    let profile = profile();
    let path = profile.join(name);
    assert!(path.is_file(), "{} is missing: {}", path.display(), how_to_build(&profile));
    path
}

/// Another file beside the binaries, if it is there.
pub fn beside(name: &str) -> Option<PathBuf> {
    Some(profile().join(name)).filter(|path| path.is_file())
}

fn profile() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let directory = own.parent().expect("a program lies in a directory");
    match directory.file_name() {
        Some(last) if last == "deps" => {
            directory.parent().expect("deps lies in the profile").into()
        }
        _ => directory.to_owned(),
    }
}

fn how_to_build(profile: &Path) -> String {
    let option = match profile.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => String::new(),
        Some(name) => format!(" --profile {name}"),
    };
    format!("run `cargo build -p vaned -p vane{option}` first")
}
