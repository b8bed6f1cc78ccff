//! Where the management socket is: one pure function that the daemon and every tool share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The path of the management socket by the given environment: `VANE_MGMT_UNIX`, else
/// `vaned.sock` in `XDG_RUNTIME_DIR`, else [`SYSTEM_SOCKET`].
///
/// An empty variable counts as unset. A relative `XDG_RUNTIME_DIR` is ignored, as the XDG base
/// directory specification demands.
pub fn socket_path(variables: &BTreeMap<String, String>) -> PathBuf {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    if let Some(path) = set("VANE_MGMT_UNIX") {
        return PathBuf::from(path);
    }
    match set("XDG_RUNTIME_DIR").map(Path::new).filter(|directory| directory.is_absolute()) {
        Some(directory) => directory.join("vaned.sock"),
        None => PathBuf::from(SYSTEM_SOCKET),
    }
}

/// Where the socket is when the environment says nothing.
pub const SYSTEM_SOCKET: &str = "/var/run/vaned.sock";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(variables: &[(&str, &str)]) -> PathBuf {
        socket_path(&variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn without_variables_the_system_path_is_used() {
        assert_eq!(Path::new("/var/run/vaned.sock"), path(&[]));
    }

    #[test]
    fn the_runtime_directory_comes_before_the_system_path() {
        let expected = Path::new("/run/user/1000/vaned.sock");
        assert_eq!(expected, path(&[("XDG_RUNTIME_DIR", "/run/user/1000")]));
    }

    #[test]
    fn the_own_variable_comes_before_the_runtime_directory() {
        let variables = [("XDG_RUNTIME_DIR", "/run/user/1000"), ("VANE_MGMT_UNIX", "/tmp/m.sock")];
        assert_eq!(Path::new("/tmp/m.sock"), path(&variables));
    }

    #[test]
    fn empty_and_relative_values_count_as_unset() {
        let variables = [("XDG_RUNTIME_DIR", "run"), ("VANE_MGMT_UNIX", "")];
        assert_eq!(Path::new(SYSTEM_SOCKET), path(&variables));
    }
}
