//! A container, whatever runs in it.

use std::net::IpAddr;
use std::time::Duration;

use integration::vane::Output;
use integration::wait::until;
use rustix::process::Signal;
use testcontainers::bollard::models::EndpointSettings;
use testcontainers::bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder,
};
use testcontainers::core::ExecCommand;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use super::engine::{Engine, LABEL, Network, unique};

/// A running or ended container, removed when dropped. When that happens in a failing test, what it
/// said is printed.
pub(super) struct Container {
    /// By this the others on its network find it.
    pub(super) name: String,
    engine: Engine,
    network: String,
    container: ContainerAsync<GenericImage>,
}

impl Container {
    /// Starts it on that network, with no port published.
    pub(super) async fn start(
        role: &str,
        (engine, network): (&Engine, &Network),
        request: ContainerRequest<GenericImage>,
    ) -> Self {
        let name = unique(role);
        Self::start_as(name, (engine, network), request).await
    }

    /// As [`Container::start`], under that name.
    pub(super) async fn start_as(
        name: String,
        (engine, network): (&Engine, &Network),
        request: ContainerRequest<GenericImage>,
    ) -> Self {
        let container = request
            .with_container_name(&name)
            .with_network(&network.name)
            .with_label(LABEL.0, LABEL.1)
            .with_ready_conditions(Vec::new());
        let started = container.start().await;
        let container = started.unwrap_or_else(|error| panic!("{name} cannot start: {error}"));
        Self { name, engine: engine.clone(), network: network.name.clone(), container }
    }

    /// Its addresses of both families; that of IPv6 is missing where its kernel knows none.
    pub(super) async fn addresses(&self) -> (IpAddr, Option<IpAddr>) {
        until("the container to have its addresses", LIMIT, async || {
            let endpoint = self.endpoint().await;
            let parsed = |text: Option<String>| text.and_then(|text| text.parse().ok());
            Some((parsed(endpoint.ip_address)?, parsed(endpoint.global_ipv6_address)))
        })
        .await
    }

    /// Runs a program beside what runs in it.
    pub(super) async fn exec(&self, words: &[&str]) -> Output {
        let command = ExecCommand::new(words.iter().copied());
        let mut running = match self.container.exec(command).await {
            Ok(running) => running,
            Err(error) => return failed(&error.to_string()),
        };
        let stdout = running.stdout_to_vec().await.unwrap_or_default();
        let stderr = running.stderr_to_vec().await.unwrap_or_default();
        let status = until("the status of a command", LIMIT, async || {
            running.exit_code().await.unwrap_or(Some(-1))
        })
        .await;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output {
            status: i32::try_from(status).unwrap_or(-1),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// Sends a signal to what runs in it.
    pub(super) async fn signal(&self, signal: Signal) {
        let number = signal.as_raw().to_string();
        let options = KillContainerOptionsBuilder::new().signal(&number).build();
        let sent = self.engine.docker().kill_container(self.container.id(), Some(options)).await;
        sent.expect("a running container can be signalled");
    }

    /// As `docker stop` with that grace.
    pub(super) async fn stop(&self, grace: Duration) {
        let secs = i32::try_from(grace.as_secs()).expect("a grace is short");
        let stopped = self.container.stop_with_timeout(Some(secs)).await;
        stopped.expect("a running container can be stopped");
    }

    /// As `docker start`.
    pub(super) async fn start_again(&self) {
        self.container.start().await.expect("an ended container can be started");
    }

    /// Whether it has not ended.
    pub(super) async fn is_running(&self) -> bool {
        self.container.is_running().await.expect("a container tells how it is")
    }

    /// Waits for its end.
    pub(super) async fn exit_status(&self, limit: Duration) -> i64 {
        until(&format!("{} to end", self.name), limit, async || {
            self.container.exit_code().await.expect("a container tells how it is")
        })
        .await
    }

    /// Everything that it has said, over all its runs.
    pub(super) async fn log_lines(&self) -> Vec<String> {
        let (stdout, stderr) =
            tokio::join!(self.container.stdout_to_vec(), self.container.stderr_to_vec());
        let said = [stdout.unwrap_or_default(), stderr.unwrap_or_default()].concat();
        String::from_utf8_lossy(&said).lines().map(str::to_owned).collect()
    }

    async fn endpoint(&self) -> EndpointSettings {
        let options = None::<InspectContainerOptions>;
        let told = self.engine.docker().inspect_container(self.container.id(), options).await;
        let networks = told.ok().and_then(|told| told.network_settings?.networks);
        networks.and_then(|mut all| all.remove(&self.network)).unwrap_or_default()
    }
}

impl Drop for Container {
    #[expect(clippy::print_stderr, reason = "belongs to the report of the failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(self.log_lines())
            });
            eprintln!("--- log of {}\n{}\n--- end of log", self.name, lines.join("\n"));
        }
    }
}

/// What is left of a command that could not be run, as in a container that has ended.
fn failed(why: &str) -> Output {
    Output { status: -1, stdout: String::new(), stderr: why.to_owned() }
}

const LIMIT: Duration = Duration::from_secs(30);
