//! Edits header fields.

use http::{HeaderMap, HeaderName, HeaderValue};
use vane_core::graph::facts::Facts;
use vane_core::graph::render::render;
use vane_core::rules::middleware::HeaderEdit;
use vane_core::value::template::Template;

/// An edit whose templates have their values, so that the flow it reads may be changed by it.
#[derive(Debug)]
pub struct PreparedEdit<'e> {
    edit: &'e HeaderEdit,
    set: Vec<Prepared<'e>>,
    add: Vec<Prepared<'e>>,
}

type Prepared<'e> = (&'e HeaderName, Option<HeaderValue>);

/// Gives the templates of an edit their values for one flow.
pub fn prepare<'e>(
    edit: &'e HeaderEdit,
    facts: &Facts<'_>,
    unix_ms: impl Fn() -> u64,
) -> PreparedEdit<'e> {
    let value = |(name, template): &'e (HeaderName, Template)| {
        let value = match template.as_literal() {
            Some(text) => HeaderValue::from_str(text).ok(),
            None => HeaderValue::try_from(render(template, facts, &unix_ms)).ok(),
        };
        (name, value)
    };
    PreparedEdit {
        edit,
        set: edit.set.iter().map(value).collect(),
        add: edit.add.iter().map(value).collect(),
    }
}

impl<'e> PreparedEdit<'e> {
    /// Removes, then sets, then adds. Names the fields whose value cannot stand in a header (a
    /// line end, say, that came with the request); these stay as they were.
    pub fn apply(self, headers: &mut HeaderMap) -> Vec<&'e HeaderName> {
        let mut skipped = Vec::new();
        for name in &self.edit.remove {
            headers.remove(name);
        }
        for (name, value) in self.set {
            match value {
                Some(value) => drop(headers.insert(name, value)),
                None => skipped.push(name),
            }
        }
        for (name, value) in self.add {
            match value {
                Some(value) => drop(headers.append(name, value)),
                None => skipped.push(name),
            }
        }
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::tests::with_request;

    fn named(name: &'static str) -> HeaderName {
        HeaderName::from_static(name)
    }

    fn field(name: &'static str, template: &str) -> (HeaderName, Template) {
        (named(name), Template::parse(template).unwrap())
    }

    fn applied(edit: &HeaderEdit, target: &str) -> (HeaderMap, Vec<String>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("old"));
        headers.append("x-a", HeaderValue::from_static("older"));
        let prepared = with_request(target, |facts| prepare(edit, facts, || 17));
        let skipped = prepared.apply(&mut headers).iter().map(ToString::to_string).collect();
        (headers, skipped)
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let edit = HeaderEdit {
            remove: vec![named("x-a")],
            set: vec![field("x-a", "{http.query.q}-{time.unix_ms}")],
            add: vec![field("x-a", "more")],
        };
        let (headers, skipped) = applied(&edit, "/?q=v");
        let values: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["v-17", "more"]);
        assert!(skipped.is_empty());
    }

    #[test]
    fn a_value_that_cannot_stand_in_a_header_is_skipped_and_named() {
        let edit = HeaderEdit {
            set: vec![field("x-a", "{http.query.q}")],
            add: vec![field("x-b", "{http.query.q}"), field("x-c", "c")],
            ..HeaderEdit::default()
        };
        let (headers, skipped) = applied(&edit, "/?q=a%0D%0AX-Evil:+1");
        assert_eq!(headers["x-a"], "old");
        assert_eq!(headers["x-c"], "c");
        assert!(!headers.contains_key("x-b"));
        assert_eq!(skipped, ["x-a", "x-b"]);
    }
}
