//! The copies of the JSON Schemas that editors are pointed at are those that the code gives.
//!
//! `UPDATE_GOLDEN=1` rewrites them.

use std::{fs, path::Path};

use serde_json::Value;
use vane_core::config::schema;

#[test]
fn the_schemas_in_the_repository_are_current() {
    for (name, schema) in [("config", schema::config()), ("rules", schema::rules())] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = root.join(format!("../../docs/schema/{name}.schema.json"));
        let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &current).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == current, "{} is not current; UPDATE_GOLDEN=1 writes it", path.display());
    }
}

#[test]
fn every_reference_leads_to_a_description() {
    for schema in [schema::config(), schema::rules()] {
        let mut references = Vec::new();
        collect_references(&schema, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let name = reference.strip_prefix("#/$defs/").unwrap();
            assert!(schema["$defs"][name].is_object(), "{reference}");
        }
    }
}

#[test]
fn every_property_of_every_object_is_described_and_strangers_are_refused() {
    for schema in [schema::config(), schema::rules()] {
        for (name, part) in schema["$defs"].as_object().unwrap() {
            let Some(properties) = part["properties"].as_object() else { continue };
            assert_eq!(part["additionalProperties"], false, "{name}");
            for (key, property) in properties {
                let described = property["description"].as_str().is_some_and(|d| d.len() > 3);
                let ignored = key == "$schema" || key == "comment";
                assert!(described || ignored, "{name}.{key}");
            }
        }
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                into.push(reference.to_owned());
            }
            members.values().for_each(|value| collect_references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}
