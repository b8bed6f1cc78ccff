//! What decoding needs beside the value: variables, and where to report.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use crate::{
    diagnostic::{Diagnostics, code::Code},
    json::{Value, ValueKind},
    shape::{shortened, type_mismatch},
    value::suggest,
};

/// The context of a decoding run.
pub struct Decoder<'a> {
    diagnostics: &'a mut Diagnostics,
    variables: &'a BTreeMap<String, String>,
    allow_unset: bool,
}

/// A string with its variables filled in.
pub struct Text<'v> {
    /// The text that counts.
    pub text: Cow<'v, str>,
    /// How far it can be trusted and shown.
    pub origin: Origin,
}

/// Where the text of a string came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Exactly as in the file.
    Written,
    /// Partly from variables, whose values may be secret and are never repeated in messages.
    Variables,
    /// A variable is missing and that is tolerated: the text is a stand-in, so no further
    /// complaint about it makes sense.
    Unset,
}

impl<'a> Decoder<'a> {
    /// A context that fills `${NAME}` from `variables`.
    ///
    /// With `allow_unset` a variable that is neither set nor defaulted is a warning.
    pub fn new(
        diagnostics: &'a mut Diagnostics,
        variables: &'a BTreeMap<String, String>,
        allow_unset: bool,
    ) -> Self {
        Self { diagnostics, variables, allow_unset }
    }

    /// Where problems go.
    pub fn diagnostics(&mut self) -> &mut Diagnostics {
        self.diagnostics
    }

    /// The word that was probably meant, unless there are so many problems that nobody will read
    /// it.
    pub fn nearest<'w>(&mut self, word: &str, known: &[&'w str]) -> Option<&'w str> {
        if self.diagnostics.is_full() {
            return None;
        }
        suggest::nearest(word, known.iter().copied())
    }

    /// The text of a string value. Anything else is reported as not being `what`.
    pub fn text<'v>(&mut self, value: &'v Value, what: &str) -> Option<Text<'v>> {
        let ValueKind::String(written) = &value.kind else {
            type_mismatch(value, what, self);
            return None;
        };
        if !written.as_bytes().contains(&b'$') || !written.contains("${") {
            return Some(Text { text: Cow::Borrowed(written), origin: Origin::Written });
        }
        self.substitute(value, written)
    }

    fn substitute<'v>(&mut self, value: &Value, written: &str) -> Option<Text<'v>> {
        let mut text = String::with_capacity(written.len());
        let mut origin = Origin::Written;
        let mut at = 0;
        while let Some(dollar) = written[at..].find('$').map(|found| at + found) {
            text.push_str(&written[at..dollar]);
            at = match &written.as_bytes()[dollar..] {
                [b'$', b'$', b'{', ..] => {
                    text.push_str("${");
                    dollar + 3
                }
                [b'$', b'{', ..] => {
                    let reference = self.reference(value, written, dollar)?;
                    origin = self.fill(value, &reference, &mut text, origin)?;
                    reference.place.end
                }
                _ => {
                    text.push('$');
                    dollar + 1
                }
            };
            if text.len() > LONGEST {
                return self.too_long(value);
            }
        }
        text.push_str(&written[at..]);
        Some(Text { text: Cow::Owned(text), origin })
    }

    fn reference<'w>(
        &mut self,
        value: &Value,
        written: &'w str,
        dollar: usize,
    ) -> Option<Reference<'w>> {
        let inner = &written[dollar + 2..];
        let parsed = inner.find('}').map(|end| (end, split_default(&inner[..end])));
        match parsed {
            Some((end, (name, default))) if is_variable_name(name) => {
                Some(Reference { name, default, place: dollar..dollar + 2 + end + 1 })
            }
            Some((end, (name, _))) => {
                let place = dollar..dollar + 2 + end + 1;
                let message = format!("`{}` is not the name of a variable", shortened(name));
                self.bad_reference(value, place, message);
                None
            }
            None => {
                self.bad_reference(value, dollar..dollar + 2, "a `${` is never closed".to_owned());
                None
            }
        }
    }

    fn bad_reference(&mut self, value: &Value, place: Range<usize>, message: String) {
        self.diagnostics
            .error(Code::BadVariableSyntax, value.span_within(place), message)
            .help("write `${NAME}` or `${NAME:-default}` with a name of letters, digits and `_`")
            .help("a literal `${` is written `$${`");
    }

    /// As in a shell, an empty variable takes its default too.
    fn fill(
        &mut self,
        value: &Value,
        reference: &Reference<'_>,
        text: &mut String,
        origin: Origin,
    ) -> Option<Origin> {
        let set = self.variables.get(reference.name).map(String::as_str);
        let filled = match (set, reference.default) {
            (Some("") | None, Some(default)) => default,
            (Some(set), _) => set,
            (None, None) => return self.unset(value, reference, text),
        };
        text.push_str(filled);
        Some(if origin == Origin::Unset { origin } else { Origin::Variables })
    }

    fn unset(&mut self, at: &Value, missing: &Reference<'_>, text: &mut String) -> Option<Origin> {
        let name = shortened(missing.name);
        let message = format!("the variable `{name}` is not set and has no default");
        let span = at.span_within(missing.place.clone());
        let help = format!("set it in `.env` or the environment, or write `${{{name}:-default}}`");
        if !self.allow_unset {
            self.diagnostics.error(Code::UnsetVariable, span, message).help(help);
            return None;
        }
        self.diagnostics.warning(Code::UnsetVariable, span, message).help(help);
        text.push_str("${");
        text.push_str(missing.name);
        text.push('}');
        Some(Origin::Unset)
    }

    fn too_long<'v>(&mut self, value: &Value) -> Option<Text<'v>> {
        let message = "variables make this string longer than 1 MiB";
        self.diagnostics.error(Code::BadValue, value.span, message);
        None
    }
}

struct Reference<'w> {
    name: &'w str,
    default: Option<&'w str>,
    place: Range<usize>,
}

fn split_default(inner: &str) -> (&str, Option<&str>) {
    match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    }
}

fn is_variable_name(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const LONGEST: usize = 1 << 20;
