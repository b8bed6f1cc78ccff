//! Files that the operator names, which may be anything.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};

/// Bytes of a certificate with its chain, or of a key; many times what one has.
pub(crate) const PAIR: u64 = 1 << 20;
/// Bytes of authorities or revocation lists, which can be long.
pub(crate) const LIST: u64 = 64 << 20;

/// The bytes of a file that has at most `most`. Opening a pipe would wait until somebody writes, so
/// only regular files are opened. Blocks.
pub(crate) fn read(path: &str, most: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        let problem = "it is not a regular file: name a file, or a symbolic link to one";
        return Err(io::Error::new(ErrorKind::InvalidInput, problem));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it has more than {most} bytes: is it the file that is meant?");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn fails(path: &std::path::Path, most: u64) -> String {
        let path = path.to_str().expect("the name is UTF-8");
        read(path, most).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_pipe_and_a_directory_are_refused_and_a_link_to_a_file_is_read() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let (pipe, file, link) =
            (dir.path().join("pipe"), dir.path().join("file"), dir.path().join("link"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe can be made");
        for path in [&pipe, dir.path()] {
            assert!(fails(path, 9).starts_with("it is not a regular file"));
        }
        fs::write(&file, "content").expect("a file can be written");
        symlink(&file, &link).expect("a link can be made");
        assert_eq!(read(link.to_str().expect("UTF-8"), 7).expect("it is a file"), b"content");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("file");
        fs::write(&path, "content").expect("a file can be written");
        assert!(fails(&path, 6).starts_with("it has more than 6 bytes"));
    }
}
