//! The NixOS module and the flake, as far as a machine without nixpkgs can tell: every file parses,
//! the module is evaluated, its units are judged by systemd, and configurations are checked by a
//! build. What is missing is noted as skipped.

mod document;
mod flake;
mod module;
mod units;

/// nixpkgs' `lib` as an expression, where `NIXPKGS_LIB` says where it is; else `null`, for which
/// the module's tests have what stands in for it.
fn nixpkgs_lib() -> String {
    match std::env::var("NIXPKGS_LIB") {
        Ok(path) if !path.is_empty() => format!("(import {path})"),
        _ => "null".to_owned(),
    }
}
