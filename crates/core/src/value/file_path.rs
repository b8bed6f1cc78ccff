//! Paths of files that the configuration names.

use std::fmt;

use super::Explain;

/// A path as written; not empty and without NUL. Relative ones start at the configuration
/// directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Box<str>);

impl FilePath {
    /// Takes a path as it is.
    ///
    /// # Errors
    /// When it is empty or has a NUL.
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        match text {
            "" => Err(FilePathError::Empty),
            text if text.contains('\0') => Err(FilePathError::Nul),
            text => Ok(Self(text.into())),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePathError {
    /// Nothing is there.
    Empty,
    /// A NUL is in it.
    Nul,
}

impl fmt::Display for FilePathError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "the path of a file is not empty",
            Self::Nul => "the path of a file has no NUL",
        })
    }
}

impl Explain for FilePathError {
    fn help(&self) -> Option<String> {
        None
    }
}
