//! Names that the operator gives to rules and upstreams.

use std::fmt;

use super::{Explain, visible};

/// A name of letters, digits, `.`, `_` and `-`; 1 to 128 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// The name of a rule, as it appears in logs, metrics and explanations.
pub type RuleName = Name;

/// The name of an upstream.
pub type UpstreamName = Name;

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has another character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match text.chars().find(|c| !allowed(c)) {
            Some(bad) => Err(NameError::BadCharacter(bad)),
            None if text.is_empty() => Err(NameError::Empty),
            None if text.len() > LONGEST => Err(NameError::TooLong),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing is there.
    Empty,
    /// More than 128 characters.
    TooLong,
    /// A character that names do not have.
    BadCharacter(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("a name is not empty"),
            Self::TooLong => write!(out, "a name has at most {LONGEST} characters"),
            Self::BadCharacter(c) => write!(out, "a name cannot contain `{}`", visible(*c)),
        }
    }
}

impl Explain for NameError {
    fn help(&self) -> Option<String> {
        Some("names are made of letters, digits, `.`, `_` and `-`".to_owned())
    }
}

const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_small_alphabet() {
        assert_eq!(Name::parse("api-v1.blue_2").unwrap().as_str(), "api-v1.blue_2");
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert_eq!(Name::parse("a b"), Err(NameError::BadCharacter(' ')));
        assert_eq!(Name::parse(&"a".repeat(129)), Err(NameError::TooLong));
    }
}
