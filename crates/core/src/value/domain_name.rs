//! Names of the domain name system that are not hosts: zones, keys.

use std::fmt;

use super::{Explain, visible};

/// A domain name in lower case, without the dot at its end: labels of letters, digits, `-`, `_`
/// and `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// Parses a name, with or without a dot at its end.
    ///
    /// # Errors
    /// When a label is empty or has more than 63 characters, the name more than 253, or a
    /// character is another one.
    pub fn parse(text: &str) -> Result<Self, DomainNameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_/.".contains(*c);
        match name.chars().find(|c| !allowed(c)) {
            Some(bad) => Err(DomainNameError::BadCharacter(bad)),
            None if name.len() > LONGEST => Err(DomainNameError::TooLong),
            None if name.split('.').any(str::is_empty) => Err(DomainNameError::EmptyLabel),
            None if name.split('.').any(|label| label.len() > LONGEST_LABEL) => {
                Err(DomainNameError::LongLabel)
            }
            None => Ok(Self(name.to_ascii_lowercase().into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why a text is not a domain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainNameError {
    /// Nothing is there, two dots meet, or one stands in front.
    EmptyLabel,
    /// A label has more than 63 characters.
    LongLabel,
    /// More than 253 characters.
    TooLong,
    /// A character that these names do not have.
    BadCharacter(char),
}

impl fmt::Display for DomainNameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyLabel => out.write_str("a domain name has no empty label"),
            Self::LongLabel => {
                write!(out, "a label of a domain name has at most {LONGEST_LABEL} characters")
            }
            Self::TooLong => write!(out, "a domain name has at most {LONGEST} characters"),
            Self::BadCharacter(c) => write!(out, "a domain name cannot contain `{}`", visible(*c)),
        }
    }
}

impl Explain for DomainNameError {
    fn help(&self) -> Option<String> {
        Some("write a name such as `example.com`".to_owned())
    }
}

const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_at_the_end_and_capitals_make_no_difference() {
        for text in ["acme.Example.com", "ACME.example.com."] {
            assert_eq!(DomainName::parse(text).unwrap().as_str(), "acme.example.com");
        }
        assert_eq!(DomainName::parse("0/25._x.test").unwrap().as_str(), "0/25._x.test");
    }

    #[test]
    fn each_bad_name_is_told_apart() {
        use DomainNameError as E;
        let error = |text: &str| DomainName::parse(text).unwrap_err();
        for text in ["", ".", "a..b", ".a"] {
            assert_eq!(error(text), E::EmptyLabel);
        }
        assert_eq!(error("a b"), E::BadCharacter(' '));
        assert_eq!(error(&"a".repeat(64)), E::LongLabel);
        assert_eq!(error(&["a"; 128].join(".")), E::TooLong);
    }
}
