//! What vane costs. `cargo xtask bench` runs all of it and explains the figures; see the README
//! of this crate for the method.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod compile;

mod walk;

mod proxy;

mod handshake;

mod request;

mod load;

mod origin;

mod rules;

use clap::Parser;

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Benchmarks of vane")]
enum Command {
    /// Compiles a large configuration and says how long it took.
    Compile(compile::Args),
    /// Walks one request through a graph many times, for counting instructions from outside.
    Walk(walk::Args),
    /// Proxies the same load through vaned, nginx and HAProxy, and says what each request costs.
    Proxy(proxy::Args),
    /// Shakes hands with vaned and nginx, and says what each handshake costs, full and resumed.
    Handshake(handshake::Args),
    /// Counts what vaned itself does for a proxied request, in instructions and allocations.
    Request(request::Args),
}

fn main() {
    match Command::parse() {
        Command::Compile(args) => compile::run(&args),
        Command::Walk(args) => walk::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Handshake(args) => handshake::run(&args),
        Command::Request(args) => request::run(&args),
    }
}
