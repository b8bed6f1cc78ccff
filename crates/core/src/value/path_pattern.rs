//! Paths that the operator writes, to compare with those of requests or to put in front of them.

use std::fmt;

use super::{
    Explain,
    path::{PathError, normalise},
};

/// An absolute path in the normal form that requests are brought to, without query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern(Box<str>);

impl PathPattern {
    /// Parses a path such as `/v1` or `/assets/`.
    ///
    /// # Errors
    /// When no request can ever have it: it is not absolute, has a query or fragment, or is not
    /// in normal form.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        if text.contains(['?', '#']) {
            return Err(PathPatternError::Query);
        }
        let normal = normalise(text).map_err(PathPatternError::Path)?;
        if normal != text {
            return Err(PathPatternError::NotNormal(normal.into_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why no request can have a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPatternError {
    /// It is malformed.
    Path(PathError),
    /// It has a query or fragment, which are not part of a path.
    Query,
    /// Requests for it are compared in this other form.
    NotNormal(String),
}

impl fmt::Display for PathPatternError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(out),
            Self::Query => out.write_str("a path has no query or fragment"),
            Self::NotNormal(_) => out.write_str("this path is not in its normal form"),
        }
    }
}

impl Explain for PathPatternError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.help(),
            Self::Query => Some(
                "ask `http.query` or `http.query.<name>`; a literal `?` in a path is `%3F`"
                    .to_owned(),
            ),
            Self::NotNormal(normal) => {
                Some(format!("write `{normal}`, as which requests for it are compared"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_absolute_paths_are_taken() {
        assert_eq!(PathPattern::parse("/v1/").unwrap().as_str(), "/v1/");
        assert_eq!(PathPattern::parse("v1"), Err(PathPatternError::Path(PathError::NotAbsolute)));
        assert_eq!(PathPattern::parse("/a/../b"), Err(PathPatternError::NotNormal("/b".into())));
        assert_eq!(PathPattern::parse("/a?b"), Err(PathPatternError::Query));
    }
}
