//! Configuration directories in a temporary place, edited as editors, deployers and orchestrators
//! edit them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A configuration directory, removed when dropped.
///
/// Every operation panics when the file system refuses it.
#[derive(Debug)]
pub struct ConfigDir {
    root: TempDir,
    layout: Layout,
    swaps: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Plain,
    LinkedWhole,
    LinkedEntries,
    LinkedChain,
}

impl ConfigDir {
    /// A plain directory.
    pub fn new() -> Self {
        Self::laid_out(Layout::Plain)
    }

    /// A directory whose own path is a symbolic link into a store, as on NixOS.
    pub fn linked_whole() -> Self {
        Self::laid_out(Layout::LinkedWhole)
    }

    /// A directory whose entries are links through a `..data` link, as Kubernetes mounts them.
    pub fn linked_entries() -> Self {
        Self::laid_out(Layout::LinkedEntries)
    }

    /// A directory that is reached through four links, of which a new generation of the system swaps
    /// the second, as NixOS has it in `/etc`. What was there before stays, and all files are of the
    /// same second.
    pub fn linked_chain() -> Self {
        Self::laid_out(Layout::LinkedChain)
    }

    /// Adds `rules/NAME.json` with that rule. An object gets its `name` from the file where it
    /// has none.
    pub fn rule(self, name: &str, rule: Value) -> Self {
        self.write_rule(name, rule);
        self
    }

    /// Adds a file with that text.
    pub fn file(self, path: &str, text: &str) -> Self {
        self.write(path, text);
        self
    }

    /// Adds `config.json`.
    pub fn config(self, config: impl Into<Value>) -> Self {
        self.file("config.json", &pretty(&config.into()))
    }

    /// What `--config` names.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("config")
    }

    /// Writes over a file in place: truncate, then write.
    pub fn write(&self, path: &str, text: &str) {
        write(&self.path().join(path), text.as_bytes());
        self.link_entries();
    }

    /// Writes over the file of one rule in place, as [`ConfigDir::rule`] lays it out.
    pub fn write_rule(&self, name: &str, rule: Value) {
        self.write(&rule_path(name), &pretty(&named(name, rule)));
    }

    /// Writes a file beside and renames it over, as editors do.
    pub fn replace_by_rename(&self, path: &str, text: &str) {
        let target = self.path().join(path);
        let beside = target.with_extension("json~new");
        write(&beside, text.as_bytes());
        fs::rename(&beside, &target).expect("rename within a directory");
    }

    /// Writes over a file by a second name outside of the directory, which is no event in it: no
    /// daemon that watches the directory learns of it.
    pub fn write_unseen(&self, path: &str, text: &str) {
        let beside = self.root.path().join("second-name");
        fs::hard_link(self.path().join(path), &beside).expect("a file can have a second name");
        write(&beside, text.as_bytes());
        fs::remove_file(&beside).expect("a name can be taken away");
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        let path = self.path().join(path);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("remove {}: {error}", path.display()));
    }

    /// Makes the next tree as a copy of the present one, lets `edit` change it, and swaps the
    /// symbolic link in one step. The tree before it is removed afterwards.
    ///
    /// # Panics
    /// On a plain directory, which has no link to swap.
    pub fn swap(&self, edit: impl FnOnce(&Tree)) {
        let link = self.link();
        let old = fs::canonicalize(&link).expect("the link has a target");
        let number = self.swaps.fetch_add(1, Ordering::Relaxed) + 1;
        let new = old.with_file_name(format!("..tree-{number}"));
        copy(&old, &new);
        edit(&Tree(new.clone()));
        if self.layout == Layout::LinkedChain {
            return self.switch(&new, number);
        }
        point(&link, &self.target(&new));
        self.link_entries();
        fs::remove_dir_all(&old).expect("the tree before can be removed");
    }

    fn laid_out(layout: Layout) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let dir = Self { root, layout, swaps: AtomicU32::new(0) };
        let tree = dir.root.path().join("config");
        match layout {
            Layout::Plain => make(&tree),
            Layout::LinkedWhole => {
                make(&dir.root.path().join("store/..tree-0"));
                point(&tree, &dir.root.path().join("store/..tree-0"));
            }
            Layout::LinkedEntries => {
                make(&tree.join("..tree-0"));
                point(&tree.join("..data"), Path::new("..tree-0"));
                dir.link_entries();
            }
            Layout::LinkedChain => {
                let first = dir.root.path().join("store/..tree-0");
                make(&first);
                dir.switch(&first, 0);
                point(&tree, &dir.root.path().join("static/vaned"));
            }
        }
        dir
    }

    /// What the link says: within the directory only the name, so that the directory can be
    /// mounted elsewhere.
    fn target(&self, tree: &Path) -> PathBuf {
        match self.layout {
            Layout::LinkedEntries => tree.file_name().expect("a tree has a name").into(),
            Layout::Plain | Layout::LinkedWhole | Layout::LinkedChain => tree.to_owned(),
        }
    }

    /// `config -> static/vaned`, `static -> etc`, `etc/vaned -> checked -> tree`.
    fn switch(&self, tree: &Path, number: u32) {
        let store = self.root.path().join("store");
        let (checked, etc) = (format!("..checked-{number}"), format!("..etc-{number}"));
        date(tree);
        point(&store.join(&checked), tree);
        fs::create_dir(store.join(&etc)).expect("a directory can be made");
        point(&store.join(&etc).join("vaned"), &store.join(&checked));
        point(&self.root.path().join("static"), &store.join(&etc));
    }

    fn link(&self) -> PathBuf {
        match self.layout {
            Layout::Plain => panic!("a plain directory has no link to swap"),
            Layout::LinkedWhole | Layout::LinkedChain => self.path(),
            Layout::LinkedEntries => self.path().join("..data"),
        }
    }

    /// Gives each entry behind `..data` its link, and moves what was written in front of it.
    fn link_entries(&self) {
        if self.layout != Layout::LinkedEntries {
            return;
        }
        let data = self.path().join("..data");
        for (name, path) in entries(&self.path()) {
            let is_file = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
            if is_file {
                fs::rename(&path, data.join(&name)).expect("move into the tree");
            }
        }
        for (name, _) in entries(&data) {
            let link = self.path().join(&name);
            if fs::symlink_metadata(&link).is_err() {
                point(&link, &Path::new("..data").join(&name));
            }
        }
    }
}

impl Default for ConfigDir {
    fn default() -> Self {
        Self::new()
    }
}

/// The tree that [`ConfigDir::swap`] is about to put in place.
#[derive(Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        write(&self.0.join(path), text.as_bytes());
    }

    /// Writes the file of one rule, as [`ConfigDir::rule`] lays it out.
    pub fn write_rule(&self, name: &str, rule: Value) {
        self.write(&rule_path(name), &pretty(&named(name, rule)));
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.0.join(path)).expect("the file to remove is there");
    }
}

fn rule_path(name: &str) -> String {
    format!("rules/{name}.json")
}

fn named(name: &str, mut rule: Value) -> Value {
    if let Value::Object(members) = &mut rule {
        members.entry("name").or_insert_with(|| json!(name));
    }
    rule
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn make(tree: &Path) {
    fs::create_dir_all(tree.join("rules")).expect("a directory can be made");
}

fn write(path: &Path, bytes: &[u8]) {
    let parent = path.parent().expect("a file lies in a directory");
    fs::create_dir_all(parent).expect("a directory can be made");
    fs::write(path, bytes).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
}

/// Gives every file the time that a store gives it.
fn date(tree: &Path) {
    for (_, path) in entries(tree) {
        if path.is_dir() {
            date(&path);
        } else {
            let file = fs::File::open(&path).expect("the file can be opened");
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).expect("its time can be set");
        }
    }
}

/// Makes or swaps a link in one step, so that there is no moment without it.
fn point(link: &Path, target: &Path) {
    let beside = link.with_file_name("..link-new");
    symlink(target, &beside).expect("a link can be made");
    fs::rename(&beside, link).expect("a link can be swapped");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for (name, path) in entries(from) {
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).expect("a file can be copied")),
        }
    }
}

/// The entries of a directory by name, without those that serve the layout itself.
fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    let listed = fs::read_dir(directory).expect("the directory can be read");
    let paths = listed.map(|entry| entry.expect("an entry can be read").path());
    let named = paths.filter_map(|path| {
        let name = path.file_name().and_then(OsStr::to_str)?.to_owned();
        (!name.starts_with("..")).then_some((name, path))
    });
    named.collect()
}
