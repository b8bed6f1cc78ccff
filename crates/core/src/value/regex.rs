//! Regular expressions that run in linear time.

use std::fmt;

use super::Explain;

/// A compiled expression and how it was written. Equality is that of the writing.
#[derive(Clone, Debug)]
pub struct Regex(regex::Regex);

impl Regex {
    /// Compiles an expression; it is anchored only where written.
    ///
    /// # Errors
    /// When the syntax is wrong, it is longer than 16 KiB, or its compiled form would exceed 1 MiB.
    pub fn parse(text: &str) -> Result<Self, RegexError> {
        if text.len() > LONGEST {
            return Err(RegexError::TooLong);
        }
        let compiled = regex::RegexBuilder::new(text).size_limit(LARGEST).build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => RegexError::TooLarge,
            error => RegexError::Syntax(reason(&error.to_string())),
        })
    }

    /// How it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The compiled form.
    pub fn compiled(&self) -> &regex::Regex {
        &self.0
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Regex {}

impl fmt::Display for Regex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegexError {
    /// The reason in one line.
    Syntax(String),
    /// It is longer than 16 KiB.
    TooLong,
    /// The compiled form would be too large.
    TooLarge,
}

impl fmt::Display for RegexError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(reason) => write!(out, "the regular expression is malformed: {reason}"),
            Self::TooLong => out.write_str("the regular expression is longer than 16 KiB"),
            Self::TooLarge => out.write_str("the regular expression compiles to more than 1 MiB"),
        }
    }
}

impl Explain for RegexError {
    fn help(&self) -> Option<String> {
        Some(str::to_owned(match self {
            Self::Syntax(reason)
                if reason.contains("look-around") || reason.contains("backreferences") =>
            {
                "expressions run in linear time, so there is no look-around and no backreference"
            }
            Self::Syntax(_) => "a backslash is written `\\\\` in JSON, so a literal dot is `\\\\.`",
            Self::TooLong => "use several shorter expressions in a list, or `prefix` and `one_of`",
            Self::TooLarge => "use smaller counts in `{n,m}`, or several predicates",
        }))
    }
}

/// The parser draws a picture of several lines; its last line says what is wrong.
fn reason(drawn: &str) -> String {
    let last = drawn.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').to_owned()
}

const LONGEST: usize = 16 << 10;
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        let error = Regex::parse("(a").unwrap_err();
        assert_eq!(error.to_string(), "the regular expression is malformed: unclosed group");
        assert!(Regex::parse("(?=a)").unwrap_err().help().unwrap().contains("linear time"));
        assert_eq!(Regex::parse("(a{1000}){1000}"), Err(RegexError::TooLarge));
    }
}
