//! Assembly of JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};

use super::Shape;

/// The named parts of a schema, each described once.
#[derive(Default)]
pub struct SchemaDefs {
    defs: Map<String, Value>,
}

impl SchemaDefs {
    /// A reference to a named part, which is described on first use. Parts may be recursive.
    pub fn named(&mut self, name: &str, describe: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.defs.contains_key(name) {
            self.defs.insert(name.to_owned(), Value::Null);
            let described = describe(self);
            self.defs.insert(name.to_owned(), described);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}

/// A whole schema document for `T`.
pub fn document<T: Shape>(title: &str) -> Value {
    let mut defs = SchemaDefs::default();
    let Value::Object(body) = T::schema(&mut defs) else { return Value::Bool(true) };
    let mut document = Map::new();
    document.insert("$schema".to_owned(), DRAFT.into());
    document.insert("title".to_owned(), title.into());
    document.extend(body);
    document.insert("$defs".to_owned(), Value::Object(defs.defs));
    Value::Object(document)
}

/// One property while a schema of an object is built.
pub struct Property {
    /// The key.
    pub key: &'static str,
    /// The lines of its documentation.
    pub doc: &'static [&'static str],
    /// Whether it must be there.
    pub required: bool,
    /// The schema of its value.
    pub schema: Value,
}

/// The schema of an object with exactly these properties.
pub fn object(doc: &[&str], properties: Vec<Property>) -> Value {
    let required: Vec<_> = properties.iter().filter(|p| p.required).map(|p| p.key).collect();
    let mut schema = json!({ "type": "object", "description": prose(doc) });
    let mut known = Map::new();
    for mut property in properties {
        property.schema["description"] = prose(property.doc).into();
        known.insert(property.key.to_owned(), property.schema);
    }
    if let Value::Object(ignored) = ignored_keys() {
        known.extend(ignored);
    }
    schema["properties"] = Value::Object(known);
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema["additionalProperties"] = false.into();
    schema
}

/// The schema of a string that is one of a few words, or has a variable in it.
pub fn words(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": r"\$\{" }] })
}

/// The schemas of the keys that every object may have.
pub(super) fn ignored_keys() -> Value {
    json!({ "$schema": { "type": "string" }, "comment": true })
}

/// Documentation lines as one paragraph.
pub fn prose(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
