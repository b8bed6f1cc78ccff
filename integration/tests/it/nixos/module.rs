use integration::nix::Nix;
use integration::tools;
use serde_json::Value;

use super::nixpkgs_lib;

/// What the module makes of its options, in the cases of `nixos-module/tests/evaluate.nix`.
#[test]
fn the_module_evaluates_as_its_cases_say() {
    let Some(nix) = Nix::find() else { return };
    let lib = nixpkgs_lib();
    if lib == "null" {
        tools::skipped("NIXPKGS_LIB is not set: evaluated with what stands in for nixpkgs' lib");
    }
    let expression = format!("import ./nixos-module/tests/evaluate.nix {{ nixpkgsLib = {lib}; }}");
    let cases = nix.evaluate(&expression).unwrap();
    assert_eq!(Value::Array(Vec::new()), cases["failed"]);
    assert!(cases["passed"].as_array().unwrap().len() > 30, "{cases}");
}

/// S7. The configuration is compiled while the system is built, variables being unset there.
#[test]
fn a_system_is_built_only_with_a_configuration_that_compiles() {
    let Some(nix) = Nix::find() else { return };
    let good = r#"{ listen = ":80"; forward = "http://${APP}:3000"; }"#;
    let directory = nix.build(&system(&nix, &rule(&good.replace("${", "\\${")))).unwrap();
    let rule_file = std::fs::read_to_string(directory.join("rules/front.json")).unwrap();
    let written: Value = serde_json::from_str(&rule_file).unwrap();
    assert_eq!("front", written["name"]);
    let refused = nix.build(&system(&nix, &rule(r#"{ lisen = ":80"; }"#))).unwrap_err();
    for words in ["error[unknown-key]", "rules/front.json", "did you mean `listen`"] {
        assert!(refused.contains(words), "{refused}");
    }
}

/// Plugins lie where the language of the configuration has them.
#[test]
fn the_files_of_plugins_become_part_of_the_configuration() {
    let Some(nix) = Nix::find() else { return };
    let plugin = "{ wasmModules.auth = ./package.nix; }";
    let directory = nix.build(&system(&nix, plugin)).unwrap();
    let written = std::fs::read(directory.join("wasm/auth.wasm")).unwrap();
    assert_eq!(std::fs::read("../package.nix").unwrap(), written);
}

/// S7. Settings of the daemon are part of what is checked, and so is a directory that is given as a
/// whole.
#[test]
fn bad_settings_and_a_bad_directory_are_not_built_either() {
    let Some(nix) = Nix::find() else { return };
    let loud = r#"{ environment.VANE_WORKERS = 0; }"#;
    let refused = nix.build(&system(&nix, loud)).unwrap_err();
    assert!(refused.contains("VANE_WORKERS"), "{refused}");
    let place = tempfile::tempdir().unwrap();
    let as_module = format!("{{ configDir = {}; }}", place.path().display());
    nix.build(&system(&nix, &as_module)).unwrap();
    std::fs::write(place.path().join("config.json"), "{").unwrap();
    let refused = nix.build(&system(&nix, &as_module)).unwrap_err();
    assert!(refused.contains("error[json-syntax]"), "{refused}");
}

/// Whoever cannot have a check has none.
#[test]
fn a_configuration_that_is_not_to_be_checked_is_built_as_it_is() {
    let Some(nix) = Nix::find() else { return };
    let unchecked = r#"{ validateConfig = false; rules.front = { lisen = ":80"; }; }"#;
    let directory = nix.build(&system(&nix, unchecked)).unwrap();
    assert!(directory.join("rules/front.json").exists());
}

/// The directory that a system with these settings of `services.vaned` serves.
fn system(nix: &Nix, settings: &str) -> String {
    let package = nix.package();
    format!(
        "(import ./nixos-module/tests/system.nix {{
            package = \"{}\";
            modules = [ {{ services.vaned.enable = true; }} {{ services.vaned = {settings}; }} ];
        }}).config.services.vaned.finalConfigDir",
        package.display()
    )
}

fn rule(text: &str) -> String {
    format!("{{ rules.front = {text}; }}")
}
