//! What a proxied request costs: CPU time of the proxy's processes, user and kernel, for each
//! request, beside real peers in the same run.

use std::net::SocketAddr;
use std::time::Duration;

use integration::config_dir::ConfigDir;
use integration::cpu::CpuTime;
use integration::proxies::RealProxy;
use integration::vaned::Vaned;
use serde_json::json;

use crate::{load, origin};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests in one round.
    #[arg(long, default_value_t = 40_000)]
    requests: usize,
    /// Rounds, in each of which every proxy has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads of each proxy.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// A proxy under load, and what its requests cost in each round.
struct Contender {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    costs: Vec<Duration>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run(args: &Args) {
    let origin = origin::start().await;
    let config = ConfigDir::new()
        .rule("all", json!({ "listen": "127.0.0.1:0", "forward": format!("http://{origin}") }));
    let vaned = Vaned::builder(&config)
        .env("VANE_WORKERS", &args.threads.to_string())
        .env("VANE_LOG", "warn")
        .start()
        .await;
    let (nginx, haproxy) =
        (RealProxy::nginx(origin, args.threads), RealProxy::haproxy(origin, args.threads));
    let mut contenders = vec![Contender::new("vaned", vaned.only_addr().await, vaned.pid())];
    for (name, peer) in [("nginx", &nginx), ("haproxy", &haproxy)] {
        match peer {
            Some(peer) => contenders.push(Contender::new(name, peer.addr(), peer.pid())),
            None => println!("{name} is not installed: `apt-get install {name}`"),
        }
    }
    for contender in &mut contenders {
        load::run(contender.address, args.connections, args.requests / 4).await;
    }
    for _ in 0..args.rounds.max(1) {
        for contender in &mut contenders {
            contender.round(args).await;
        }
    }
    report(&mut contenders);
}

impl Contender {
    fn new(name: &'static str, address: SocketAddr, pid: u32) -> Self {
        Self { name, address, pid, costs: Vec::new() }
    }

    async fn round(&mut self, args: &Args) {
        let before = CpuTime::of_tree(self.pid);
        load::run(self.address, args.connections, args.requests).await;
        let spent = CpuTime::of_tree(self.pid).since(before).total();
        self.costs.push(spent / u32::try_from(args.requests).expect("fewer than 2^32 requests"));
    }

    fn median(&self) -> Duration {
        self.costs[self.costs.len() / 2]
    }
}

fn report(contenders: &mut [Contender]) {
    for contender in &mut *contenders {
        contender.costs.sort();
        let (least, most) = (contender.costs[0], contender.costs[contender.costs.len() - 1]);
        println!(
            "{:8} median {:>9.2?} of CPU for each request (least {least:.2?}, most {most:.2?})",
            contender.name,
            contender.median(),
        );
    }
    let best = contenders[1..].iter().map(Contender::median).min();
    if let Some(best) = best {
        let ratio = contenders[0].median().as_secs_f64() / best.as_secs_f64();
        println!("vaned takes {ratio:.2} times the better peer");
    }
}
