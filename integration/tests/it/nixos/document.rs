use std::path::Path;

use integration::nix::Nix;
use serde_json::{Value, json};

/// The table of options in the document is that of the module. `UPDATE_GOLDEN=1` writes it.
#[test]
fn the_document_lists_the_options_as_they_are() {
    let Some(nix) = Nix::find() else { return };
    let options = nix.evaluate("import ./nixos-module/tests/options.nix").unwrap();
    let rows: String = options.as_array().unwrap().iter().map(row).collect();
    let table = format!("| option | default | type | meaning |\n|---|---|---|---|\n{rows}");
    let page = page();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let current = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(), &current).unwrap();
    }
    assert!(self::page() == current, "{PAGE} is not current; UPDATE_GOLDEN=1 writes it");
}

/// Each example is a system whose configuration compiles.
#[test]
fn the_examples_of_the_document_are_systems_that_can_be_built() {
    let Some(nix) = Nix::find() else { return };
    let page = page();
    let examples = examples(&page);
    assert!(examples.len() >= 6, "{} examples", examples.len());
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("welcome.html"), "<p>Welcome").unwrap();
    for (number, text) in examples.iter().enumerate() {
        let file = place.path().join(format!("{number}.nix"));
        std::fs::write(&file, text).unwrap();
        let config = format!(
            "(import ./nixos-module/tests/system.nix {{
                package = \"{}\";
                modules = [ {} ];
            }}).config",
            nix.package().display(),
            file.display()
        );
        let broken = format!("builtins.filter (a: !a.assertion) {config}.assertions");
        assert_eq!(Ok(json!([])), nix.evaluate(&broken), "{text}");
        let built = nix.build(&format!("{config}.services.vaned.finalConfigDir"));
        built.unwrap_or_else(|error| panic!("{text}\n{error}"));
    }
}

/// The blocks of Nix that are modules.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("```nix\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.contains("services.vaned") && !block.contains("inputs.")).collect()
}

fn row(option: &Value) -> String {
    let of = |key: &str| option[key].as_str().map(|text| text.replace('|', "\\|"));
    let default = of("default").map_or_else(String::new, |default| format!("`{default}`"));
    let (name, kind, meaning) = (of("name"), of("type"), of("description"));
    let [name, kind, meaning] = [name, kind, meaning].map(Option::unwrap);
    format!("| `{name}` | {default} | {kind} | {meaning} |\n")
}

fn page() -> String {
    std::fs::read_to_string(path()).unwrap()
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE)
}

const PAGE: &str = "docs/nixos.md";
const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- end of table -->\n";
