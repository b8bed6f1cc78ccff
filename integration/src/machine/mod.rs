//! A machine of its own with the systemd of this one as process 1, seen from outside.

mod network;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::geteuid;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::network::Visit;
use crate::binary;
use crate::child::Running;
use crate::management::Management;
use crate::tools::{self, Tool};
use crate::vane::{Output, finished};
use crate::wait;

/// A running machine. Its files are in memory, and nothing of it is left when it is dropped.
#[derive(Debug)]
pub struct Machine {
    running: Running,
    pid: u32,
    _place: TempDir,
}

impl Machine {
    /// Boots one; `None` skips the calling test, which is then to return. A kernel that does not
    /// allow it, or a user who may not, is a restriction of the place and never a failure: no
    /// package could mend it.
    ///
    /// # Panics
    /// When systemd does not come up, or is missing and must not be.
    pub async fn boot() -> Option<Self> {
        Tool::SYSTEMD.find()?;
        if !geteuid().is_root() {
            tools::skipped("a machine of its own takes root");
            return None;
        }
        let place = tempfile::tempdir().expect("a place for it");
        let mut command = Command::new("sh");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/machine/boot.sh");
        command.arg(script).arg(place.path());
        let mut running = Running::spawn_held("machine", command);
        let pid = match started(&mut running).await {
            Ok(pid) => pid,
            Err(why) => {
                tools::skipped(&why);
                return None;
            }
        };
        let machine = Self { running, pid, _place: place };
        machine.until_up().await;
        Some(machine)
    }

    /// Where a file of it is found.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid)).join(inside.trim_start_matches('/'))
    }

    /// Writes a file of it, in directories that are made where they are missing.
    ///
    /// # Panics
    /// When the file system refuses it.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        let written = fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .and_then(|()| fs::write(&path, text));
        written.unwrap_or_else(|error| panic!("{inside}: {error}"));
    }

    /// Copies a file into it, with its permissions.
    ///
    /// # Panics
    /// When the file system refuses it.
    pub fn copy(&self, from: &Path, inside: &str) {
        let copied = fs::copy(from, self.path(inside));
        copied.unwrap_or_else(|error| panic!("{} to {inside}: {error}", from.display()));
    }

    /// Writes one rule of the daemon's configuration.
    pub fn rule(&self, name: &str, mut rule: Value) {
        rule["name"] = json!(name);
        self.write(&format!("/etc/vaned/rules/{name}.json"), &json!([rule]).to_string());
    }

    /// Runs a program in it, as root, and yields how it went.
    ///
    /// # Panics
    /// When it does not end within a minute.
    pub async fn run(&self, line: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--mount", "--pid", "--net", "--ipc"]);
        command.args(["--uts", "--cgroup"]).args(line);
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        finished(command, &format!("{line:?}")).await
    }

    /// What a program says that has to go well.
    ///
    /// # Panics
    /// When it does not.
    pub async fn done(&self, line: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(line).await;
        assert_eq!(0, status, "{line:?}: {stdout}{stderr}");
        stdout
    }

    /// What its systemd says of a unit, by the name of a property.
    pub async fn property(&self, unit: &str, name: &str) -> String {
        self.done(&["systemctl", "show", "--value", "--property", name, unit]).await.trim().into()
    }

    /// The process id of the daemon, as its systemd knows it; 0 while none runs.
    pub async fn daemon(&self) -> String {
        self.property("vaned.service", "MainPID").await
    }

    /// The daemon's management socket.
    pub fn management(&self) -> Management {
        Management::at(&self.path("/run/vaned.sock"))
    }

    /// Moves the calling thread to its network.
    pub fn visit(&self) -> Visit {
        Visit::to(self.pid)
    }

    /// Installs the two programs and the units by the lines of `docs/operations.md`.
    ///
    /// # Panics
    /// When a line fails, or the document has them no more.
    pub async fn install_by_hand(&self) {
        fs::create_dir_all(self.path("/root/vane")).expect("a directory in memory");
        for program in ["vaned", "vane"] {
            self.copy(&binary::path(program), &format!("/root/vane/{program}"));
        }
        for directory in ["", "sysusers.d/", "tmpfiles.d/"] {
            let from = repository().join("systemd").join(directory);
            fs::create_dir_all(self.path(&format!("/root/vane/systemd/{directory}"))).expect("so");
            for file in files(&from) {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.copy(&file, &format!("/root/vane/systemd/{directory}{name}"));
            }
        }
        let document = fs::read_to_string(repository().join("docs/operations.md")).expect("it is");
        let blocks = document.split("```\n");
        let lines = blocks.into_iter().find(|block| block.starts_with("install -m 755 vaned vane"));
        self.script(&format!("cd /root/vane\n{}", lines.expect("the lines to type"))).await;
    }

    /// Runs lines of a shell, each of which has to go well.
    ///
    /// # Panics
    /// When one does not.
    pub async fn script(&self, lines: &str) -> String {
        self.done(&["sh", "-ec", lines]).await
    }

    async fn until_up(&self) {
        wait::until("systemd to have booted", LIMIT, async || {
            let state = self.run(&["systemctl", "is-system-running"]).await;
            if state.stdout == "running\n" { Ok(()) } else { Err(format!("{state:?}")) }
        })
        .await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_journal();
        }
        self.running.release();
    }
}

impl Machine {
    #[expect(clippy::print_stderr, reason = "belongs to the report of the failed test")]
    fn print_journal(&self) {
        let journal = Command::new("nsenter")
            .args(["--target", &self.pid.to_string(), "--mount", "--pid", "--"])
            .args(["journalctl", "--no-pager", "--lines=200", "--output=short-precise"])
            .output();
        let text = journal.map(|output| output.stdout).unwrap_or_default();
        eprintln!("--- journal\n{}--- end of journal", String::from_utf8_lossy(&text));
    }
}

/// The process id of its systemd; or what the kernel did not allow.
async fn started(running: &mut Running) -> Result<u32, String> {
    let pid = |line: &String| line.strip_prefix("booting ")?.parse().ok();
    wait::until("a machine to boot", LIMIT, async || {
        let lines = running.log_lines();
        if let Some(pid) = lines.iter().find_map(pid) {
            return Some(Ok(pid));
        }
        let status = running.exited()?;
        assert_eq!(Some(NOT_ALLOWED), status.code(), "the machine: {status}: {lines:?}");
        Some(Err(format!("no machine can be booted here: {}", lines.join("; "))))
    })
    .await
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of the repository");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.filter(|path| path.is_file()).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the script ends with where the kernel does not allow it.
const NOT_ALLOWED: i32 = 77;
const LIMIT: Duration = Duration::from_secs(60);
