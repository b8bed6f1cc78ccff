//! Reads variables by the table and keeps every problem.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table::{Default, Kind, Variable};

/// A variable with a value that it does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadVariable {
    /// The variable.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: String,
    /// What it takes.
    pub(crate) range: String,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, range } = self;
        write!(f, "{name} is `{}`; it takes {range}", value.escape_debug())
    }
}

/// Answers each variable's value, or its default where the value is bad.
pub(super) struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    pub(super) problems: Vec<BadVariable>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self { variables, problems: Vec::new() }
    }

    /// The value; none where it is not set or empty.
    pub(super) fn text(&self, variable: &Variable) -> Option<&'a str> {
        self.variables.get(variable.name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn absolute_path(&mut self, variable: &'static Variable) -> Option<PathBuf> {
        let value = self.text(variable)?;
        if !Path::new(value).is_absolute() {
            self.refuse(variable, variable.range());
        }
        Some(PathBuf::from(value))
    }

    /// Whether it is on, which it is unless it is `0`.
    pub(super) fn flag(&mut self, variable: &'static Variable) -> bool {
        match self.text(variable) {
            None | Some("1") => true,
            Some("0") => false,
            Some(_) => {
                self.refuse(variable, variable.range());
                true
            }
        }
    }

    /// One of its words.
    pub(super) fn word(&mut self, variable: &'static Variable) -> &'static str {
        let Kind::Word(words) = &variable.kind else { unreachable!("read as what it is") };
        let Some(value) = self.text(variable) else { return words[0] };
        match words.iter().find(|word| **word == value) {
            Some(word) => word,
            None => {
                self.refuse(variable, variable.range());
                words[0]
            }
        }
    }

    /// A number; the given one where it is not set and the table has no fixed default.
    pub(super) fn number_or<N: TryFrom<u64>>(
        &mut self,
        variable: &'static Variable,
        unset: N,
    ) -> N {
        let Kind::Number { min, max, default } = &variable.kind else {
            unreachable!("read as what it is")
        };
        let value = match (self.text(variable), default) {
            (None, Default::Fixed(number)) => Some(*number),
            (None, Default::Words(_)) => return unset,
            (Some(value), _) => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                value.parse().ok().filter(|number| digits && (min..=max).contains(&number))
            }
        };
        match value.and_then(|value| N::try_from(value).ok()) {
            Some(number) => number,
            None => {
                self.refuse(variable, variable.range());
                unset
            }
        }
    }

    pub(super) fn milliseconds(&mut self, variable: &'static Variable) -> Duration {
        Duration::from_millis(self.number_or(variable, 0))
    }

    /// Keeps the problem that a variable's value is not what it takes.
    pub(super) fn refuse(&mut self, variable: &'static Variable, range: String) {
        let value = self.text(variable).unwrap_or_default().to_owned();
        self.problems.push(BadVariable { name: variable.name, value, range });
    }
}
