//! What a TLS handshake costs, full and resumed: CPU time of the server's processes, user and kernel,
//! for each handshake, beside nginx in the same run.

use std::net::SocketAddr;
use std::time::Duration;

use integration::certs::{Authority, Files, KeyForm};
use integration::config_dir::ConfigDir;
use integration::cpu::CpuTime;
use integration::handshakes::Handshakes;
use integration::proxies::RealProxy;
use integration::tls_client::TlsClient;
use integration::vaned::Vaned;
use rustls::NamedGroup;
use serde_json::json;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handshakes in one round.
    #[arg(long, default_value_t = 4000)]
    handshakes: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Rounds, in each of which every server has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads of each server.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// A server under load, and what its handshakes cost in each round.
struct Contender {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    costs: Vec<Duration>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run(args: &Args) {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let authority = Authority::root("Bench");
    let files = authority.server(&[NAME]).write(place.path(), "server", KeyForm::Pkcs8);
    let config = ConfigDir::new().rule("all", rule(&files));
    let vaned = Vaned::builder(&config)
        .env("VANE_WORKERS", &args.threads.to_string())
        .env("VANE_LOG", "warn")
        .env("VANE_SEC_HANDSHAKES_PER_SECOND", "1000000")
        .start()
        .await;
    let nginx = RealProxy::nginx_tls(args.threads, &files);
    let mut contenders = vec![Contender::new("vaned", vaned.only_addr().await, vaned.pid())];
    match &nginx {
        Some(nginx) => contenders.push(Contender::new("nginx", nginx.addr(), nginx.pid())),
        None => println!("nginx is not installed: `apt-get install nginx`"),
    }
    let client = || TlsClient::builder().groups(&[NamedGroup::X25519]);
    measure("full", &mut contenders, args, &|| client().build()).await;
    measure("resumed", &mut contenders, args, &|| client().resuming().build()).await;
}

fn rule(files: &Files) -> serde_json::Value {
    json!({
        "listen": "127.0.0.1:0",
        "tls": { "cert_file": files.cert, "key_file": files.key, "names": NAME },
        "respond": { "status": 204 },
    })
}

async fn measure(
    what: &str,
    contenders: &mut [Contender],
    args: &Args,
    client: &dyn Fn() -> TlsClient,
) {
    // One for each server: a session belongs to whoever began it.
    let clients: Vec<_> = contenders.iter().map(|_| client()).collect();
    for _ in 0..args.rounds.max(1) {
        for (contender, client) in contenders.iter_mut().zip(&clients) {
            contender.round(what, args, client).await;
        }
    }
    report(what, contenders);
}

impl Contender {
    fn new(name: &'static str, address: SocketAddr, pid: u32) -> Self {
        Self { name, address, pid, costs: Vec::new() }
    }

    async fn round(&mut self, what: &str, args: &Args, client: &TlsClient) {
        let before = CpuTime::of_tree(self.pid);
        let (total, at_once) = (args.handshakes, args.connections);
        let tally = Handshakes::start(client, self.address, NAME, total, at_once).finish().await;
        let spent = CpuTime::of_tree(self.pid).since(before).total();
        tally.assert_all_succeeded(total);
        assert!(what == "full" || tally.resumed >= total * 9 / 10, "{tally}");
        self.costs.push(spent / u32::try_from(total).expect("fewer than 2^32 handshakes"));
    }
}

fn report(what: &str, contenders: &mut [Contender]) {
    let mut medians = Vec::new();
    for contender in contenders.iter_mut() {
        contender.costs.sort();
        let costs = std::mem::take(&mut contender.costs);
        let (least, most) = (costs[0], costs[costs.len() - 1]);
        let median = costs[costs.len() / 2];
        println!(
            "{what:8} {:6} median {median:>9.2?} of CPU for each handshake (least {least:.2?}, most {most:.2?})",
            contender.name,
        );
        medians.push(median);
    }
    if let [vaned, nginx] = medians.as_slice() {
        let ratio = vaned.as_secs_f64() / nginx.as_secs_f64();
        println!("{what:8} vaned takes {ratio:.2} times nginx");
    }
}

const NAME: &str = "bench.example";
