//! What the compiler said, from its JSON form, where the daemon sends no rendered text.

use serde_json::Value;

use crate::output::palette::Palette;
use crate::output::words::printable;

/// One block for each diagnostic: severity, code and message, place, label, help. Whatever a
/// newer compiler adds is left out; what is not an array of objects gives an empty text.
pub(crate) fn rendered(diagnostics: &Value, palette: Palette) -> String {
    let Some(diagnostics) = diagnostics.as_array() else { return String::new() };
    diagnostics.iter().map(|diagnostic| block(diagnostic, palette)).collect()
}

fn block(diagnostic: &Value, palette: Palette) -> String {
    let text = |key: &str| diagnostic[key].as_str().map(printable);
    let severity = text("severity").unwrap_or_else(|| "error".to_owned());
    let head = format!("{severity}[{}]", text("code").unwrap_or_default());
    let head = if severity == "error" { palette.red(&head) } else { palette.yellow(&head) };
    let mut block = format!("{head}: {}\n", text("message").unwrap_or_default());
    if let Some(place) = place(diagnostic) {
        block += &format!("  --> {place}\n");
    }
    if let Some(label) = text("label") {
        block += &format!("   = note: {label}\n");
    }
    for help in helps(&diagnostic["help"]) {
        block += &format!("   = help: {}\n", printable(help));
    }
    block + "\n"
}

fn place(diagnostic: &Value) -> Option<String> {
    let file = printable(diagnostic["file"].as_str()?);
    Some(match (diagnostic["line"].as_u64(), diagnostic["column"].as_u64()) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        _ => file,
    })
}

fn helps(help: &Value) -> Vec<&str> {
    match help {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diagnostic_says_what_and_where_and_how_to_go_on() {
        let diagnostics = json!([
            { "code": "unknown-field", "severity": "error", "message": "`http.hots` is no field",
              "file": "rules/site.json", "line": 4, "column": 16,
              "label": "did you mean `http.host`?", "help": ["see `vane fields`"] },
            { "code": "empty-config", "severity": "warning", "message": "there are no rules" },
        ]);
        let expected = "\
error[unknown-field]: `http.hots` is no field
  --> rules/site.json:4:16
   = note: did you mean `http.host`?
   = help: see `vane fields`

warning[empty-config]: there are no rules

";
        assert_eq!(expected, rendered(&diagnostics, Palette::Plain));
    }

    #[test]
    fn another_shape_gives_nothing() {
        assert_eq!("", rendered(&json!(null), Palette::Plain));
        assert_eq!("", rendered(&json!("x"), Palette::Plain));
    }
}
