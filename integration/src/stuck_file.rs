//! Files that nobody can open for the time being, as those of a file server that does not answer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::Running;
use crate::tools::Tool;
use crate::wait;

/// A file under a lease: whoever opens it waits until this is dropped, or for as long as
/// `fs.lease-break-time` says, which is 45 s unless this machine says otherwise.
#[derive(Debug)]
pub struct StuckFile {
    _holder: Running,
}

impl StuckFile {
    /// Takes the lease; `None` skips the calling test, which is then to return.
    ///
    /// # Panics
    /// When the file is open somewhere, or on a file system without leases.
    pub async fn hold(path: &Path) -> Option<Self> {
        let mut command = Command::new(Tool::PYTHON.find()?);
        command.args(["-u", "-c", HOLD]).arg(path);
        let mut holder = Running::spawn_held("lease", command);
        wait::until("a lease on a file", LIMIT, async || {
            holder.assert_is_starting();
            holder.log_lines().contains(&"held".to_owned())
        })
        .await;
        Some(Self { _holder: holder })
    }
}

/// The signal that asks the holder to give the lease back is not heard.
const HOLD: &str = "
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], 'r+')
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held')
sys.stdin.read()
";
const LIMIT: Duration = Duration::from_secs(10);
