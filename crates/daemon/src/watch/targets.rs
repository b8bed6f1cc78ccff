//! What a configuration directory consists of: its directories, and every link on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Directories, free of links, and what matters in each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    directories: BTreeMap<PathBuf, Interest>,
    /// Never matters, wherever it lies.
    log: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
enum Interest {
    Everything,
    Names(BTreeSet<OsString>),
}

impl Targets {
    /// Looks at a directory, and at files that it names elsewhere. All paths are absolute. Blocks.
    pub(super) fn of(dir: &Path, log: Option<&Path>, named: &BTreeSet<PathBuf>) -> Self {
        let mut targets = Self::default();
        targets.log =
            log.and_then(|log| Some(targets.follow(log.parent()?)?.join(log.file_name()?)));
        targets.directories.clear();
        if let (Some(parent), Some(name)) = (dir.parent(), dir.file_name())
            && let Some(parent) = targets.follow(parent)
        {
            targets.name(&parent, name);
        }
        for directory in ["", "rules", "wasm"] {
            targets.directory(&dir.join(directory));
        }
        named.iter().for_each(|file| targets.linked(file));
        targets
    }

    /// The directories, parents before what they contain.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.keys().map(PathBuf::as_path)
    }

    /// Whether a change at this path matters.
    pub(super) fn cover(&self, path: &Path) -> bool {
        if self.log.as_deref() == Some(path) {
            return false;
        }
        let inside = path.parent().and_then(|parent| self.directories.get(parent));
        let is_named = match (inside, path.file_name()) {
            (Some(Interest::Everything), _) => true,
            (Some(Interest::Names(names)), Some(name)) => names.contains(name),
            _ => false,
        };
        is_named || matches!(self.directories.get(path), Some(Interest::Everything))
    }

    fn directory(&mut self, directory: &Path) {
        let Some(real) = self.follow(directory) else { return };
        let Ok(entries) = fs::read_dir(&real) else { return };
        self.directories.insert(real, Interest::Everything);
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.linked(&entry.path());
            }
        }
    }

    /// A file, or a link that is not to a directory of ours: every link behind it, and what it leads to.
    fn linked(&mut self, link: &Path) {
        if let Some(real) = self.follow(link)
            && let (Some(parent), Some(name)) = (real.parent(), real.file_name())
        {
            self.name(parent, name);
        }
    }

    /// Follows a path to what it leads to. Notes the place of every link on the way, and of what
    /// is missing, for the moment when it appears.
    fn follow(&mut self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        let mut rest: VecDeque<OsString> = parts(path).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            match fs::read_link(&next) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    self.name(&at, &name);
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    parts(&target).rev().for_each(|part| rest.push_front(part));
                }
                Ok(_) => return None,
                Err(_) if fs::symlink_metadata(&next).is_ok() => at = next,
                Err(_) => {
                    self.name(&at, &name);
                    return None;
                }
            }
        }
        Some(at)
    }

    fn name(&mut self, directory: &Path, name: &OsStr) {
        let interest = self.directories.entry(directory.to_owned());
        if let Interest::Names(names) = interest.or_insert_with(|| Interest::Names(BTreeSet::new()))
        {
            names.insert(name.to_owned());
        }
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    use std::path::Component::{Normal, ParentDir};
    path.components().filter_map(|part| match part {
        Normal(name) => Some(name.to_owned()),
        ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;
