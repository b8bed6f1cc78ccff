//! From the bytes of a configuration directory to what is written in it.
//!
//! Reading is the caller's: this module is given the files, also those that could not be read,
//! and the variables. It knows in which order they count and what makes a file unfit.

pub mod directory;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use crate::{
    config::{DaemonConfig, Rule, rule::RuleFile},
    diagnostic::{Diagnostics, code::Code},
    json,
    shape::{Decoder, Shape},
    source::{Sources, Spanned},
};

/// The files of a configuration directory.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `config.json`, if there is one.
    pub config: Option<RawFile>,
    /// `rules/*.json` in any order.
    pub rules: Vec<RawFile>,
    /// `.env`, if there is one. Its text is never quoted.
    pub env_file: Option<RawFile>,
    /// What the reader of `.env` stumbled over, in the order of its lines.
    pub env_problems: Vec<EnvProblem>,
}

/// A file as the caller found it.
#[derive(Clone, Debug)]
pub struct RawFile {
    /// Path relative to the configuration directory, with `/`, such as `rules/site.json`.
    pub path: String,
    /// Its bytes, or why there are none.
    pub content: RawContent,
}

/// The content of a file, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawContent {
    /// All of it.
    Bytes(Vec<u8>),
    /// The operating system refused, in its own words.
    Unreadable(String),
    /// It has this many bytes, more than [`MAX_FILE_BYTES`], and was not read.
    TooLarge(u64),
}

/// A line of `.env` that is not `NAME=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvProblem {
    /// The line as the parser gave it back; only used to find its place.
    pub line: String,
}

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// A variable that is neither set nor defaulted is a warning, not an error.
    pub allow_unset: bool,
}

/// What is written in a directory.
#[derive(Clone, Debug)]
pub struct Written {
    /// The files, for places.
    pub sources: Sources,
    /// `config.json`, or the empty one where there is none or it has a problem.
    pub config: DaemonConfig,
    /// All rules without problems, in the order of files and places.
    pub rules: Vec<Spanned<Box<Rule>>>,
    /// Whether something had a problem and is left out. References to what is not there then
    /// prove nothing, so no pass should complain about them.
    pub incomplete: bool,
}

/// Reads what is written, reporting every problem of every file. Files of rules count in the
/// lexical order of their paths.
pub fn written(
    files: &Files,
    variables: &BTreeMap<String, String>,
    options: LoadOptions,
    diagnostics: &mut Diagnostics,
) -> Written {
    let mut loader = Loader { sources: Sources::default(), diagnostics, variables, options };
    loader.env_file(files);
    let config = files.config.as_ref().map(|file| loader.decode::<DaemonConfig>(file));
    let rules = loader.rules(&files.rules);
    let incomplete = loader.diagnostics.has_errors();
    if rules.is_empty() && !incomplete {
        let help = "put rules into `rules/*.json`; nothing is served without one";
        loader.diagnostics.general(Code::EmptyConfig, "there is no rule").help(help);
    }
    let config = config.flatten().unwrap_or_else(DaemonConfig::empty);
    Written { sources: loader.sources, config, rules, incomplete }
}

struct Loader<'a> {
    sources: Sources,
    diagnostics: &'a mut Diagnostics,
    variables: &'a BTreeMap<String, String>,
    options: LoadOptions,
}

impl Loader<'_> {
    fn rules(&mut self, files: &[RawFile]) -> Vec<Spanned<Box<Rule>>> {
        let mut ordered: Vec<_> = files.iter().collect();
        ordered.sort_by(|a, b| a.path.cmp(&b.path));
        let files = ordered.into_iter().filter_map(|file| self.decode::<RuleFile>(file));
        files.flat_map(|file| file.rules).collect()
    }

    fn decode<T: Shape>(&mut self, file: &RawFile) -> Option<T> {
        let (id, text) = text::read(file, &mut self.sources, self.diagnostics)?;
        let value = json::parse(id, &text, self.diagnostics)?;
        let allow_unset = self.options.allow_unset;
        T::decode(&value, &mut Decoder::new(self.diagnostics, self.variables, allow_unset))
    }

    fn env_file(&mut self, files: &Files) {
        let Some(file) = &files.env_file else { return };
        let read = text::read_confidential(file, &mut self.sources, self.diagnostics);
        if let Some((id, text)) = read {
            text::report_env_problems(id, &text, &files.env_problems, self.diagnostics);
        }
    }
}

/// Files above this size are not read; no configuration written by a person or for one comes near.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
