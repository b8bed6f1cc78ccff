//! The management socket as a file: who may own the path, who may connect, who takes it away.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::client::Client;
use crate::error::{BindError, ClientError, Unreachable};

/// A listening management socket. Dropping it closes it, and removes the file if it bound one.
#[derive(Debug)]
pub struct ManagementSocket {
    listener: UnixListener,
    file: Option<SocketFile>,
}

/// What stands in the file system for a socket that this process bound. The lock is held for as
/// long, so that of two daemons on one path exactly one owns it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device_and_inode: Option<(u64, u64)>,
    _lock: OwnedFd,
}

impl ManagementSocket {
    /// Binds `path` and listens. `mode` is the permission bits of the file, [`MODE`] as a rule;
    /// at no moment can anyone connect whom they do not admit.
    ///
    /// A socket file on which nobody listens is replaced. `<path>.lock` is created, locked for
    /// the life of the socket, and left behind: removing a lock file lets two owners in.
    ///
    /// Not cancel safe beyond this: a dropped call leaves no socket file of its own.
    ///
    /// # Errors
    /// [`BindError::InUse`] if another process owns the path, [`BindError::NotASocket`] if
    /// something else is there, [`BindError::Os`] for what the system refuses.
    pub async fn bind(path: impl AsRef<Path>, mode: u32) -> Result<Self, BindError> {
        let path = path.as_ref();
        let Some(lock) = lock(path)? else {
            return Err(in_use(path).await);
        };
        clear(path).await?;
        bind_and_listen(path, mode, lock)
    }

    /// Takes a socket that somebody else bound and listens on. Its file is never removed.
    pub fn from_std(listener: UnixListener) -> Self {
        Self { listener, file: None }
    }

    /// The path that clients connect to; `None` for a socket without a name in the file system.
    pub fn path(&self) -> Option<PathBuf> {
        let address = self.listener.local_addr().ok()?;
        address.as_pathname().map(Path::to_path_buf)
    }

    pub(crate) fn into_parts(self) -> (UnixListener, Option<SocketFile>) {
        (self.listener, self.file)
    }
}

impl Drop for SocketFile {
    /// Removes the file unless it is no longer the one that was bound.
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).ok().map(|found| identity(&found));
        if found.is_some() && found == self.device_and_inode {
            // Nothing is lost when it stays: the next daemon replaces a stale file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Locks the path for this process, or answers `None` if another holds it.
fn lock(path: &Path) -> Result<Option<OwnedFd>, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&lock_path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| failed("open", &lock_path, error.into()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed("lock", &lock_path, error.into())),
    }
}

/// Makes sure that nothing is at the path, by removing a socket file on which nobody listens.
async fn clear(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path, error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket { path: path.to_owned(), found: kind(&found) });
        }
        Ok(_) => {}
    }
    match Client::connect(path).await {
        Err(ClientError::NoDaemon { why: Unreachable::Missing, .. }) => Ok(()),
        Err(ClientError::NoDaemon { why: Unreachable::Refused, .. }) => {
            fs::remove_file(path).map_err(|error| failed("replace the stale", path, error))
        }
        Err(ClientError::NoDaemon { why: Unreachable::Denied, .. }) => {
            Err(failed("replace", path, io::ErrorKind::PermissionDenied.into()))
        }
        Ok(client) => Err(in_use_by(path, pid(client).await)),
        Err(_) => Err(in_use_by(path, None)),
    }
}

fn bind_and_listen(path: &Path, mode: u32, lock: OwnedFd) -> Result<ManagementSocket, BindError> {
    let address =
        SocketAddrUnix::new(path).map_err(|_| failed("bind", path, path_too_long(path)))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| failed("open a socket for", path, error.into()))?;
    rustix::net::bind(&socket, &address).map_err(|error| failed("bind", path, error.into()))?;
    let device_and_inode = fs::symlink_metadata(path).ok().map(|found| identity(&found));
    let file = SocketFile { path: path.to_owned(), device_and_inode, _lock: lock };
    // Between bind and listen every connect is refused, so the bits are in force before anyone
    // can get in, whatever the umask is.
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| failed("set the permissions of", path, error))?;
    rustix::net::listen(&socket, BACKLOG)
        .map_err(|error| failed("listen on", path, error.into()))?;
    Ok(ManagementSocket { listener: UnixListener::from(socket), file: Some(file) })
}

async fn in_use(path: &Path) -> BindError {
    let pid = match Client::connect(path).await {
        Ok(client) => pid(client).await,
        Err(_) => None,
    };
    in_use_by(path, pid)
}

fn in_use_by(path: &Path, pid: Option<u32>) -> BindError {
    BindError::InUse { path: path.to_owned(), pid }
}

async fn pid(client: Client) -> Option<u32> {
    client.with_limit(PING_LIMIT).ping().await.ok().map(|view| view.pid)
}

fn failed(tried: &'static str, path: &Path, source: io::Error) -> BindError {
    BindError::Os { path: path.to_owned(), tried, source }
}

fn path_too_long(path: &Path) -> io::Error {
    let length = path.as_os_str().len();
    let message = format!("a socket path of {length} bytes is too long for the system");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn kind(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_file() {
        "a regular file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a special file"
    }
}

/// The permission bits of a management socket: its owner and its group may connect.
pub const MODE: u32 = 0o660;
/// Clients that may wait to be accepted.
const BACKLOG: i32 = 128;
/// How long another daemon gets to say who it is.
const PING_LIMIT: Duration = Duration::from_secs(1);
