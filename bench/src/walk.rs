//! The walk of one request, repeated.

use http::{HeaderMap, Method, Version};
use vane_core::graph::facts::{ConnectionFacts, Facts, FirstBytes, Protocol, RequestFacts};
use vane_core::graph::walk::{Stop, find};
use vane_core::value::listen_addr::Transport;

use crate::rules;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules in the configuration.
    #[arg(long, default_value_t = 10_000)]
    rules: usize,
    /// How often the request is walked.
    #[arg(long, default_value_t = 1000)]
    times: usize,
}

pub(crate) fn run(args: &Args) {
    let compiled = rules::compiled(&rules::text(args.rules));
    let graph = compiled.graph.expect("the generated configuration is valid");
    let connection = ConnectionFacts {
        transport: Transport::Tcp,
        remote: ([127, 0, 0, 1], 50_000).into(),
        local: ([127, 0, 0, 1], 8080).into(),
        first_bytes: Some(FirstBytes { protocol: Protocol::Http1, sni: None, alpn: Vec::new() }),
        handshake: None,
    };
    let (method, headers) = (Method::GET, HeaderMap::new());
    let host = format!("host{}.example.com", args.rules / 4);
    let request = RequestFacts {
        version: Version::HTTP_11,
        scheme: "http",
        method: &method,
        host: &host,
        path: "/api/v0/users/7",
        query: None,
        headers: &headers,
    };
    let facts = Facts { connection: &connection, request: Some(request) };
    let Stop::ServeHttp { entry } =
        find(&graph, graph.listeners[0].entry, &Facts::of_connection(&connection), &mut ())
    else {
        panic!("the generated configuration serves HTTP");
    };
    for _ in 0..args.times {
        let stop = find(&graph, entry, std::hint::black_box(&facts), &mut ());
        assert!(matches!(stop, Stop::Matched { .. }), "the request has a rule");
    }
}
