//! The files of the repository, as text and, for the rules that ask, as parsed Rust.

use std::cell::OnceCell;
use std::env;
use std::fs;
use std::path::Path;

use crate::source::Source;

/// Everything that the rules look at.
#[derive(Default)]
pub(crate) struct Repository {
    /// Every file in lexical order of directories; one that is not text reads as empty.
    pub(crate) texts: Vec<Text>,
    sources: OnceCell<Vec<Source>>,
}

/// One file.
pub(crate) struct Text {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Repository {
    /// The repository that this test belongs to.
    pub(crate) fn read() -> Self {
        // Of the run, not of the build: worktrees may share a target directory.
        let here = env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package lies");
        let root = Path::new(&here).join("..");
        let mut files = Vec::new();
        collect(&root, "", &mut files);
        Self::of(files)
    }

    /// A repository of the given files.
    pub(crate) fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let texts = files.into_iter().map(|(path, text)| Text { path, text }).collect();
        Self { texts, sources: OnceCell::new() }
    }

    /// Every Rust file, parsed; panics when one does not parse.
    pub(crate) fn sources(&self) -> &[Source] {
        self.sources.get_or_init(|| {
            let files = self.texts.iter().filter(|text| text.path.ends_with(".rs"));
            let parsed = files.map(|text| Source::parse(&text.path, &text.text));
            parsed.map(|source| source.unwrap_or_else(|error| panic!("{error}"))).collect()
        })
    }

    /// The text of the file at `path`.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|text| text.path == path).map(|text| text.text.as_str())
    }

    /// Whether a file, or a directory that holds one, lies at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        let dir = format!("{path}/");
        path.is_empty()
            || self.texts.iter().any(|text| text.path == path || text.path.starts_with(&dir))
    }

    /// The directories `crates/<name>` that hold a manifest.
    pub(crate) fn crates(&self) -> Vec<&str> {
        let manifests = self.texts.iter().filter_map(|text| text.path.strip_suffix("/Cargo.toml"));
        manifests.filter(|dir| dir.starts_with("crates/")).collect()
    }
}

/// What is built or fetched is not ours to judge.
fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", dir.display()))
        .map(|entry| entry.expect("the repository does not change during its test"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !is_foreign(&path) {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if !is_dir {
            files.push((path, fs::read_to_string(entry.path()).unwrap_or_default()));
        }
    }
}

fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    FOREIGN.contains(&name) || ["fuzz/corpus", "fuzz/artifacts"].contains(&path)
}

const FOREIGN: [&str; 4] = [".git", "target", "result", "node_modules"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_found() {
        let repository = Repository::read();
        assert!(repository.has("xtask/tests/tidy/main.rs"));
        assert!(repository.has("xtask/tests"));
        assert!(!repository.has("xtask/test"));
        assert!(repository.crates().contains(&"crates/core"));
        assert!(!repository.texts.iter().any(|text| text.path.starts_with("target/")));
    }
}
