//! What the Dockerfiles are given: a directory for each below `target/image`, made anew each time.
//! An engine compares what files hold, so what did not change is not built again.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::{self, Failure, Program};

/// A file that is not there or cannot be copied, or a program that cannot say what it needs.
#[derive(Debug)]
pub(super) enum ContextError {
    File(PathBuf, io::Error),
    Libraries(PathBuf, Failure),
    Program(&'static str),
}

/// Where the product's programs are put before [`product`] takes them along.
pub(super) fn programs() -> PathBuf {
    images().join("programs")
}

/// For the Dockerfile at the root, with everything prebuilt.
pub(super) fn product() -> Result<PathBuf, ContextError> {
    let context = empty("product")?;
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&command::repository().join(file), &context.join(file))?;
    }
    copy_dir(&command::repository().join("container"), &context.join("container"))?;
    copy_dir(&programs(), &context.join("prebuilt"))?;
    copy_dir(Path::new(ROOTS), &context.join("prebuilt/roots"))?;
    Ok(context)
}

/// For the shell of a build stage.
pub(super) fn builder() -> Result<PathBuf, ContextError> {
    let context = empty("builder")?;
    copy(Path::new(super::BUSYBOX), &context.join("busybox"))?;
    Ok(context)
}

/// For the ACME server: programs and libraries, each where the host has it.
pub(super) fn pebble() -> Result<PathBuf, ContextError> {
    let context = empty("pebble")?;
    for name in ["pebble", "pebble-challtestsrv"] {
        let program = command::which(name).ok_or(ContextError::Program(name))?;
        copy(&program, &context.join("usr/bin").join(name))?;
        let said = Program::new("ldd").args([&program]).stdout();
        let said = said.map_err(|failure| ContextError::Libraries(program, failure))?;
        for library in libraries(&said) {
            copy(Path::new(library), &context.join(library.trim_start_matches('/')))?;
        }
    }
    Ok(context)
}

/// The files that `ldd` names: `libc.so.6 => /lib/libc.so.6 (0x7f)`, `/lib64/ld.so (0x7f)`.
fn libraries(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

fn images() -> PathBuf {
    command::target_dir().join("image")
}

fn empty(name: &str) -> Result<PathBuf, ContextError> {
    let context = images().join(name);
    match fs::remove_dir_all(&context) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ContextError::File(context, error));
        }
        _ => {}
    }
    make(&context)?;
    Ok(context)
}

fn copy_dir(from: &Path, to: &Path) -> Result<(), ContextError> {
    let failed = |error| ContextError::File(from.to_owned(), error);
    make(to)?;
    for entry in from.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy_dir(&path, &copied)? } else { copy(&path, &copied)? }
    }
    Ok(())
}

/// Follows links, so that what arrives is a file.
fn copy(from: &Path, to: &Path) -> Result<(), ContextError> {
    if let Some(parent) = to.parent() {
        make(parent)?;
    }
    fs::copy(from, to).map(|_| ()).map_err(|error| ContextError::File(from.to_owned(), error))
}

fn make(dir: &Path) -> Result<(), ContextError> {
    fs::create_dir_all(dir).map_err(|error| ContextError::File(dir.to_owned(), error))
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Libraries(program, failure) => {
                write!(f, "the libraries of {} are not known: {failure}", program.display())
            }
            Self::Program(name) => write!(f, "there is no program `{name}`"),
        }
    }
}

/// Those of Debian's package alone: the bundle of a host may hold roots that are its own.
const ROOTS: &str = "/usr/share/ca-certificates/mozilla";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_the_files_that_ldd_names() {
        let said = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t\
                    /lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries(said).collect();
        assert_eq!(["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"], found.as_slice());
        assert_eq!(0, libraries("\tstatically linked\n").count());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let missing = copy(Path::new("/no/such/file"), &images().join("nothing"));
        assert!(missing.unwrap_err().to_string().starts_with("/no/such/file: "));
    }
}
