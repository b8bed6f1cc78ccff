//! The exit statuses of `vaned`.

/// It served until it was told to end, or `--check` found nothing wrong.
pub(crate) const DONE: u8 = 0;
/// The configuration does not compile, or something that the daemon needs was refused to it.
pub(crate) const FAILED: u8 = 1;
/// The command line or the environment is wrong.
pub(crate) const USAGE: u8 = 2;
/// A second signal ended it before what was in flight had finished.
pub(crate) const CUT_SHORT: u8 = 3;
