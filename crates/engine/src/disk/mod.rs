//! Files that are replaced as a whole or not at all, and are nobody else's to read.

pub(crate) mod damage;

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use self::damage::{Damage, Defect};

/// Replaces a file, or makes it. When this returns, the disk has it.
pub(crate) fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::create(target)?;
    draft.fill(bytes)?;
    draft.sync()?;
    draft.publish()?;
    sync_parent(target)
}

/// What a file will be, under another name. Removed when dropped before it is published.
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        loop {
            let path = draft_path(target);
            match OpenOptions::new().write(true).create_new(true).mode(FILE).open(&path) {
                // One that a process of the same id left behind.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                file => return Ok(Self { file: file?, path, target: target.to_owned() }),
            }
        }
    }

    pub(crate) fn fill(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A umask may have taken rights of the owner.
        self.file.set_permissions(Permissions::from_mode(FILE))?;
        self.file.write_all(bytes)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    pub(crate) fn publish(self) -> io::Result<()> {
        if is_dir(&self.target) {
            set_aside(&self.target)?;
        }
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Not there when it was published; if it stays for another reason, a sweep takes it.
        let _ = fs::remove_file(&self.path);
    }
}

fn draft_path(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".{name}.{}-{count}{DRAFT}", process::id()))
}

fn is_draft(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(DRAFT)
}

/// The bytes of a file; `None` if there is none. Rights of others are taken away first.
pub(crate) fn read(path: &Path, damage: &mut Vec<Damage>) -> Result<Option<Vec<u8>>, Defect> {
    match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(Defect::Unreadable(error.kind())),
        Ok(found) if !found.is_file() => return Err(Defect::NotAFile),
        Ok(found) => tighten(path, &found, damage),
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Defect::Unreadable(error.kind())),
        Ok(0) => Err(Defect::Empty),
        Ok(length) if length as u64 > LARGEST => Err(Defect::TooLarge),
        Ok(_) => Ok(Some(bytes)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Makes a directory if it is not there; moves aside what stands in its place.
pub(crate) fn make_dir(path: &Path, damage: &mut Vec<Damage>) -> io::Result<()> {
    let found = fs::symlink_metadata(path);
    if let Some(found) = found.as_ref().ok().filter(|found| found.is_dir()) {
        tighten(path, found, damage);
        return Ok(());
    }
    if found.is_ok() {
        let kept_as = set_aside(path)?;
        damage.push(Damage { path: path.to_owned(), defect: Defect::NotADirectory, kept_as });
    }
    match DirBuilder::new().mode(DIRECTORY).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_dir(path) => return Ok(()),
        made => made?,
    }
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY))?;
    sync_parent(path)
}

/// Opens the file that is locked, which has no content.
pub(crate) fn open_lock(path: &Path, damage: &mut Vec<Damage>) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        let kept_as = set_aside(path)?;
        damage.push(Damage { path: path.to_owned(), defect: Defect::NotAFile, kept_as });
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(FILE).open(path)
}

/// Whether an open file is the one that is found at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let id = |found: io::Result<Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    id(file.metadata()).is_some_and(|open| id(fs::symlink_metadata(path)) == Some(open))
}

/// Removes the drafts in a directory, and takes away the rights that others have to what is in it.
pub(crate) fn sweep(dir: &Path, damage: &mut Vec<Damage>) {
    for path in entries(dir) {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if !(is_draft(&path) && found.is_file() && fs::remove_file(&path).is_ok()) {
            tighten(&path, &found, damage);
        }
    }
}

/// What is in a directory; nothing, if it cannot be read.
pub(crate) fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// Gives a file or directory the mode it should have. What cannot be changed is not reported: it
/// belongs to somebody else.
fn tighten(path: &Path, found: &Metadata, damage: &mut Vec<Damage>) {
    let wanted = match found.file_type() {
        kind if kind.is_dir() => DIRECTORY,
        kind if kind.is_file() => FILE,
        _ => return,
    };
    let mode = found.permissions().mode() & 0o7777;
    let changed =
        mode != wanted && fs::set_permissions(path, Permissions::from_mode(wanted)).is_ok();
    if changed && mode & OTHERS != 0 {
        let defect = Defect::Exposed { mode };
        damage.push(Damage { path: path.to_owned(), defect, kept_as: None });
    }
}

/// Moves something to `<name>.damaged`, over what is there; removes it if it is empty. Says where
/// it is now.
pub(crate) fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if is_empty(path) {
        remove(path)?;
        return Ok(None);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let aside = path.with_file_name(name);
    remove(&aside)?;
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

fn is_empty(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    (found.is_file() && found.len() == 0) || (found.is_dir() && entries(path).next().is_none())
}

/// Removes a file or a directory with all that is in it, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if is_dir(path) { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if is_absent(&error) => Ok(()),
        removed => removed.and_then(|()| sync_parent(path)),
    }
}

/// Whether it is a directory itself, not a link to one.
pub(crate) fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Makes sure that the disk knows what the directory of `path` lists.
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

const FILE: u32 = 0o600;
const DIRECTORY: u32 = 0o700;
const OTHERS: u32 = 0o077;
const DRAFT: &str = ".tmp";
/// Bytes; many times what is ever written.
const LARGEST: u64 = 1 << 20;
