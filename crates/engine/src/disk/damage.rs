//! What was found on disk and should not have been.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Something that was found, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where.
    pub(crate) path: PathBuf,
    /// What was wrong.
    pub(crate) defect: Defect,
    /// Where it was moved to, if it was.
    pub(crate) kept_as: Option<PathBuf>,
}

/// What is wrong with a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// There is nothing in it.
    Empty,
    /// Others could read it; no longer.
    Exposed {
        /// Its permissions before.
        mode: u32,
    },
    /// It stands where a directory belongs.
    NotADirectory,
    /// It stands where a file belongs.
    NotAFile,
    /// It is not what was written: cut off, or overwritten.
    Rubbish,
    /// It is larger than anything that is kept here.
    TooLarge,
    /// The disk does not give it away.
    Unreadable(io::ErrorKind),
}

impl Defect {
    /// Whether it would be the same the next time.
    pub(crate) fn is_for_good(self) -> bool {
        !matches!(self, Self::Unreadable(_) | Self::Exposed { .. })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.display(), self.defect)?;
        match &self.kept_as {
            Some(path) => write!(f, "; moved to `{}`", path.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty and counts as missing"),
            Self::Exposed { mode } => {
                write!(f, "could be read by others (mode {mode:04o}), and no longer can")
            }
            Self::NotADirectory => f.write_str("is not a directory and counts as missing"),
            Self::NotAFile => f.write_str("is not a file and counts as missing"),
            Self::Rubbish => f.write_str("is not what was written there and counts as missing"),
            Self::TooLarge => f.write_str("is too large and counts as missing"),
            Self::Unreadable(kind) => write!(f, "cannot be read and counts as missing: {kind}"),
        }
    }
}
