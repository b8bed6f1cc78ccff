//! Where the management socket is: pure functions that the daemon and every tool share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The path of the management socket that a daemon makes by the given environment: `VANE_MGMT_UNIX`,
/// else `vaned.sock` in `XDG_RUNTIME_DIR`, else [`SYSTEM_SOCKET`].
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

/// The path at which a tool looks for a daemon: that of [`socket_path`], but [`SYSTEM_SOCKET`] where a
/// login session has an `XDG_RUNTIME_DIR` with nothing there. So whoever runs a daemon of their own
/// reaches it, and everybody else that of the system. `exists` says whether there is something at a path.
pub fn daemon_path(
    variables: &BTreeMap<String, String>,
    exists: impl Fn(&Path) -> bool,
) -> PathBuf {
    let own = socket_path(variables);
    let is_named = variables.get("VANE_MGMT_UNIX").is_some_and(|value| !value.is_empty());
    let system = Path::new(SYSTEM_SOCKET);
    if !is_named && !exists(&own) && exists(system) { system.to_owned() } else { own }
}

/// Where the socket is when the environment says nothing.
pub const SYSTEM_SOCKET: &str = "/var/run/vaned.sock";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(variables: &[(&str, &str)]) -> PathBuf {
        socket_path(&variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn found(variables: &[(&str, &str)], existing: &[&str]) -> PathBuf {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        daemon_path(&variables, |path| existing.iter().any(|each| Path::new(each) == path))
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
    fn a_tool_asks_the_daemon_of_the_system_where_the_session_has_none() {
        let session = [("XDG_RUNTIME_DIR", "/run/user/0")];
        let own = "/run/user/0/vaned.sock";
        assert_eq!(Path::new(SYSTEM_SOCKET), found(&session, &[SYSTEM_SOCKET]));
        assert_eq!(Path::new(own), found(&session, &[SYSTEM_SOCKET, own]));
        assert_eq!(Path::new(own), found(&session, &[]));
        assert_eq!(Path::new(SYSTEM_SOCKET), found(&[], &[]));
    }

    #[test]
    fn a_tool_asks_no_daemon_but_the_one_that_is_named() {
        let named = [("XDG_RUNTIME_DIR", "/run/user/0"), ("VANE_MGMT_UNIX", "/tmp/m.sock")];
        assert_eq!(Path::new("/tmp/m.sock"), found(&named, &[SYSTEM_SOCKET]));
    }

    #[test]
    fn empty_and_relative_values_count_as_unset() {
        let variables = [("XDG_RUNTIME_DIR", "run"), ("VANE_MGMT_UNIX", "")];
        assert_eq!(Path::new(SYSTEM_SOCKET), path(&variables));
    }
}
