//! Reads a configuration directory and compiles it. The one place that touches its files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vane_core::compile::{Compiled, Options, compile};
use vane_core::diagnostic::code::Code;
use vane_core::graph::FlowGraph;
use vane_core::graph::files::{self, FileUse};
use vane_core::load::directory::{self, ConfigDir, Directory};
use vane_core::load::{EnvProblem, MAX_FILE_BYTES, RawContent};

/// Reads a directory. Blocks.
pub(crate) fn read(dir: &Path, environment: &BTreeMap<String, String>) -> Directory {
    directory::read(&DiskDir(dir), environment)
}

/// Compiles what was read from `dir`. Files that rules name count from there. One that answers are
/// made of and that cannot be read is an error; certificates may be secrets that whoever checks
/// cannot read. Blocks.
pub(crate) fn compile_directory(dir: &Path, read: Directory, options: &Options) -> Compiled {
    let mut compiled = compile(&read.files, &Options { env: read.variables, ..options.clone() });
    if let Some(graph) = &mut compiled.graph {
        let base = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        files::resolve(graph, |path| resolved(&base, path));
        for problem in unreadable(graph) {
            compiled.diagnostics.general(Code::FileUnreadable, problem);
        }
    }
    if compiled.diagnostics.has_errors() {
        compiled.graph = None;
    }
    compiled
}

/// The files that a graph has taken in, each with what tells a new content from an old one.
/// Certificates of listeners are not taken in, but replaced while they serve. Blocks.
pub(crate) fn stamps(graph: &FlowGraph) -> BTreeMap<Box<str>, Option<Stamp>> {
    let taken = |kind| matches!(kind, FileUse::Body | FileUse::Authority | FileUse::Identity);
    let paths = files::all(graph).filter(|(kind, _)| taken(*kind));
    paths.map(|(_, path)| (path.into(), Stamp::of(path).ok())).collect()
}

/// Tells a file's new content from its old one. Length and time are not enough behind links that
/// are swapped: all files of a Nix store are of the same second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    place: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &str) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            place: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

struct DiskDir<'a>(&'a Path);

impl ConfigDir for DiskDir<'_> {
    fn list(&self, directory: &str) -> Result<Option<Vec<String>>, String> {
        let entries = match fs::read_dir(self.0.join(directory)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let names: io::Result<Vec<_>> = entries.map(name).collect();
        names.map(Some).map_err(|error| error.to_string())
    }

    fn read(&self, path: &str) -> Option<RawContent> {
        let path = self.0.join(path);
        match bounded(&path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let dangling = fs::symlink_metadata(&path).is_ok();
                let why = || RawContent::Unreadable("the symbolic link leads nowhere".to_owned());
                dangling.then(why)
            }
            Err(error) => Some(RawContent::Unreadable(error.to_string())),
        }
    }

    fn parse_env(&self, text: &[u8]) -> (Vec<(String, String)>, Vec<EnvProblem>) {
        let (mut variables, mut problems) = (Vec::new(), Vec::new());
        for line in dotenvy::from_read_iter(text) {
            match line {
                Ok(variable) => variables.push(variable),
                Err(dotenvy::Error::LineParse(line, _)) => problems.push(EnvProblem { line }),
                // Bytes that are not UTF-8 are found when the file is loaded.
                Err(_) => break,
            }
        }
        (variables, problems)
    }
}

fn bounded(path: &Path) -> io::Result<RawContent> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Ok(RawContent::Unreadable("it is not a regular file".to_owned()));
    }
    if found.len() > MAX_FILE_BYTES {
        return Ok(RawContent::TooLarge(found.len()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        length if length > MAX_FILE_BYTES => Ok(RawContent::TooLarge(length)),
        _ => Ok(RawContent::Bytes(bytes)),
    }
}

/// Opening a pipe would wait until somebody writes.
fn openable(path: &str) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path).map(drop)
}

fn resolved(base: &Path, path: &str) -> Box<str> {
    let joined: PathBuf = base.join(path);
    joined.to_str().unwrap_or(path).into()
}

fn unreadable(graph: &FlowGraph) -> Vec<String> {
    let mut problems: Vec<_> = files::all(graph)
        .filter(|(kind, _)| *kind == FileUse::Body)
        .filter_map(|(_, path)| {
            let problem = openable(path).err()?;
            Some(format!("cannot read the body file `{path}`: {problem}"))
        })
        .collect();
    problems.sort();
    problems.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("made");
            fs::write(path, text).expect("a file can be written");
        }
        dir
    }

    fn codes(dir: &Path) -> Vec<&'static str> {
        let read = read(dir, &BTreeMap::new());
        let compiled = compile_directory(dir, read, &Options::default());
        compiled.diagnostics.sorted().iter().map(|diagnostic| diagnostic.code.as_str()).collect()
    }

    #[test]
    fn a_directory_is_read_with_its_variables() {
        let dir = directory(&[
            (".env", "PORT=8080\n"),
            (
                "rules/a.json",
                r#"{ "name": "a", "listen": ":${PORT}", "respond": { "body": "x" } }"#,
            ),
        ]);
        assert_eq!(codes(dir.path()), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_and_directories_are_unreadable() {
        let dir = directory(&[("rules/b.json/x", "")]);
        symlink("nowhere", dir.path().join("rules/a.json")).expect("a link can be made");
        symlink("nowhere", dir.path().join("config.json")).expect("a link can be made");
        assert_eq!(codes(dir.path()), ["file-unreadable"; 3]);
    }

    #[test]
    fn body_files_count_from_the_configuration_directory() {
        let rule = r#"{ "name": "a", "listen": ":80", "respond": { "body_file": "a.html" } }"#;
        let dir = directory(&[("rules/a.json", rule)]);
        assert_eq!(codes(dir.path()), ["file-unreadable"]);
        fs::write(dir.path().join("a.html"), "<p>").expect("a file can be written");
        assert_eq!(codes(dir.path()), [""; 0]);
    }

    #[test]
    fn a_new_content_of_a_body_file_changes_its_stamp() {
        let dir = directory(&[("a", "1")]);
        let path = dir.path().join("a").to_str().expect("the name is UTF-8").to_owned();
        let before = Stamp::of(&path).expect("it exists");
        fs::write(&path, "12").expect("it can be written");
        assert_ne!(before, Stamp::of(&path).expect("it exists"));
    }

    #[test]
    fn a_link_to_another_file_of_the_same_length_and_time_changes_the_stamp() {
        let dir = directory(&[("1", "a"), ("2", "b")]);
        for file in ["1", "2"] {
            let file = File::options().write(true).open(dir.path().join(file)).expect("it exists");
            file.set_modified(std::time::UNIX_EPOCH).expect("its time can be set");
        }
        let link = dir.path().join("link");
        let stamp = |target: &str| {
            symlink(target, &link).expect("a link can be made");
            let stamp = Stamp::of(link.to_str().expect("the name is UTF-8")).expect("it exists");
            fs::remove_file(&link).expect("a link can be removed");
            stamp
        };
        assert_ne!(stamp("1"), stamp("2"));
        assert_eq!(stamp("1"), stamp("1"));
    }

    #[test]
    fn a_bad_line_of_the_env_file_is_an_error_and_the_others_count() {
        let text = b"A=1\nnot a line\nB='2 3'\nneither this\n";
        let (variables, problems) = DiskDir(Path::new(".")).parse_env(text);
        let expected = [("A", "1"), ("B", "2 3")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(variables, expected);
        let lines: Vec<_> = problems.iter().map(|problem| &*problem.line).collect();
        assert_eq!(lines, ["not a line", "neither this"]);
    }
}
