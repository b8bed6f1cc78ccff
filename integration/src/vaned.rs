//! The daemon as a child process.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::activation::{Activation, Handover};
use crate::binary;
use crate::child::Running;
use crate::config_dir::ConfigDir;
use crate::management::Management;
use crate::vane::remove_own_variables;
use crate::wait;

/// A daemon to be started; made by [`Vaned::builder`].
#[derive(Debug)]
pub struct Builder {
    config: PathBuf,
    program: Option<PathBuf>,
    within: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    unset: Vec<String>,
    await_listeners: bool,
    management: Option<PathBuf>,
    handover: Option<Handover>,
}

/// A running daemon, killed when dropped. When that happens in a failing test, what it logged is
/// printed.
#[derive(Debug)]
pub struct Vaned {
    running: Running,
    place: TempDir,
    management: Management,
    await_listeners: bool,
}

impl Vaned {
    /// A daemon on that configuration directory, with a state directory and a management socket
    /// of its own.
    pub fn builder(config: &ConfigDir) -> Builder {
        Builder {
            config: config.path(),
            program: None,
            within: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            await_listeners: true,
            management: None,
            handover: None,
        }
    }

    /// Starts it on that directory with nothing else set.
    pub async fn start(config: &ConfigDir) -> Self {
        Self::builder(config).start().await
    }

    /// Waits until management answers and no listener is `binding`.
    ///
    /// # Panics
    /// When it ends before, or takes longer than 30 seconds.
    pub async fn ready(&mut self) {
        wait::until("vaned to be ready", START_LIMIT, async || {
            self.running.assert_is_starting();
            ready(&self.management, self.await_listeners).await
        })
        .await;
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The path of its management socket.
    pub fn socket(&self) -> &Path {
        self.management.path()
    }

    /// Its state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.place.path().join("state")
    }

    /// The calls on its management socket.
    pub fn client(&self) -> Management {
        self.management.clone()
    }

    /// One call; see [`Management::call`].
    ///
    /// # Errors
    /// The error object of the answer.
    pub async fn manage(&self, method: &str, params: Value) -> Result<Value, Value> {
        self.management.call(method, params).await
    }

    /// Reloads and yields the result.
    ///
    /// # Panics
    /// When the reload is refused.
    pub async fn reload(&self) -> Value {
        match self.manage("reload", json!({})).await {
            Ok(result) => result,
            Err(error) => panic!("the reload was refused: {error:#}"),
        }
    }

    /// The listeners as the daemon reports them.
    pub async fn listeners(&self) -> Vec<Value> {
        let view = self.manage("get_listeners", json!({})).await;
        let view = view.unwrap_or_else(|error| panic!("get_listeners failed: {error:#}"));
        view["listeners"].as_array().cloned().unwrap_or_default()
    }

    /// Where clients reach the listener configured as `configured`, once it listens.
    ///
    /// # Panics
    /// When it does not within 10 seconds.
    pub async fn addr(&self, configured: &str) -> SocketAddr {
        wait::until(&format!("a listener on {configured}"), LIMIT, async || {
            let listeners = self.listeners().await;
            let found = listeners.iter().find(|listener| listener["address"] == configured);
            found.and_then(reachable).ok_or_else(|| format!("{listeners:?}"))
        })
        .await
    }

    /// Where clients reach the one listener there is.
    ///
    /// # Panics
    /// When there are several, or none within 10 seconds.
    pub async fn only_addr(&self) -> SocketAddr {
        let addrs = wait::until("a listener", LIMIT, async || {
            Some(self.addrs().await).filter(|addrs| !addrs.is_empty())
        })
        .await;
        assert_eq!(1, addrs.len(), "more than one listener: {addrs:?}");
        addrs[0]
    }

    /// Where clients reach the listeners that listen now, in the order of the report.
    pub async fn addrs(&self) -> Vec<SocketAddr> {
        self.listeners().await.iter().filter_map(reachable).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it runs longer than `limit`.
    pub async fn exit_status(&mut self, limit: Duration) -> ExitStatus {
        self.running.exit_status(limit).await
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.running.exited().is_none()
    }

    /// The lines it has written to standard error so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.running.log_lines()
    }

    /// The first line of the log that the predicate takes, past or to come.
    ///
    /// # Panics
    /// When there is none within 10 seconds.
    pub async fn wait_for_log(&self, predicate: impl Fn(&str) -> bool) -> String {
        self.running.wait_for_log(predicate).await
    }
}

impl Builder {
    /// Adds an argument behind `--config DIR`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets a variable. Those of the surroundings that begin with `VANE_` are not passed on.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a variable unset that a daemon gets otherwise. Without `VANE_MGMT_UNIX`, the calls
    /// on the management socket reach nobody.
    pub fn unset(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    /// Runs this program in place of the built `vaned`.
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// Runs it within another program, which is given here with its arguments in front, and which
    /// passes signals and exit status on.
    pub fn within(mut self, command: &[&str]) -> Self {
        self.within = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Does not wait until no listener is `binding`, for tests in which one never ends that.
    pub fn while_binding(mut self) -> Self {
        self.await_listeners = false;
        self
    }

    /// Has its management socket at that path, which outlives it.
    pub fn management_at(mut self, path: &Path) -> Self {
        self.management = Some(path.to_owned());
        self
    }

    /// Hands it the sockets of a service manager, as they are now, and has it notify that one.
    pub fn activated(mut self, by: &Activation) -> Self {
        self.handover = Some(by.handover());
        self
    }

    /// Starts it and waits until it is [ready](Vaned::ready).
    pub async fn start(self) -> Vaned {
        let mut vaned = self.spawn();
        vaned.ready().await;
        vaned
    }

    /// Starts it and does not wait, for a boot that is to fail.
    pub fn spawn(self) -> Vaned {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = self.management.unwrap_or_else(|| place.path().join("m.sock"));
        let state = place.path().join("state");
        std::fs::create_dir(&state).expect("a directory can be made");
        let program = self.program.unwrap_or_else(|| binary::path("vaned"));
        let activate = self.handover.is_some().then(Handover::program);
        let within = activate.iter().map(|path| path.as_os_str());
        let within = within.chain(self.within.iter().map(OsStr::new));
        let mut words = within.chain([program.as_os_str()]);
        let mut command = Command::new(words.next().expect("at least the daemon itself"));
        command.args(words);
        remove_own_variables(&mut command);
        command.arg("--config").arg(&self.config).args(&self.args);
        command.env("VANE_MGMT_UNIX", &socket).env("VANE_STATE_DIR", &state);
        command.env("VANE_LOG_FORMAT", "json").envs(self.env);
        for name in &self.unset {
            command.env_remove(name);
        }
        let handover = self.handover.map(|handover| handover.describe(&mut command));
        let stdin = handover.unwrap_or_else(Stdio::null);
        let running = Running::spawn("vaned", command, stdin);
        let management = Management::at(&socket);
        Vaned { running, place, management, await_listeners: self.await_listeners }
    }
}

async fn ready(management: &Management, await_listeners: bool) -> Result<(), String> {
    let call = async |method| {
        let answer = management.call(method, json!({})).await;
        answer.map_err(|error| format!("{method}: {error}"))
    };
    call("ping").await?;
    if !await_listeners {
        return Ok(());
    }
    let view = call("get_listeners").await?;
    let listeners = view["listeners"].as_array().cloned().unwrap_or_default();
    let binding = listeners.iter().filter(|listener| listener["state"] == "binding");
    match binding.count() {
        0 => Ok(()),
        count => Err(format!("{count} listeners are binding")),
    }
}

/// The address that a client uses, where an unspecified one stands for loopback.
fn reachable(listener: &Value) -> Option<SocketAddr> {
    let local: SocketAddr = listener["local"].as_str()?.parse().ok()?;
    let ip = match local.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (listener["state"] == "listening").then_some(SocketAddr::new(ip, local.port()))
}

const LIMIT: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(30);
