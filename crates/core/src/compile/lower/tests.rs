//! The lowered graph finds the rule that asking every rule in order finds.

use std::cmp::Reverse;
use std::net::SocketAddr;

use http::{HeaderMap, Method, StatusCode, Version};
use proptest::prelude::*;

use crate::compile::Families;
use crate::compile::analyze;
use crate::graph::facts::{ConnectionFacts, Facts, FirstBytes, Protocol, RequestFacts};
use crate::graph::walk::{self, Stop};
use crate::graph::{FlowGraph, GraphHash, NodeId, RuleId, evaluate};
use crate::rules::action::{Action, Redirect, Tunnel};
use crate::rules::condition::{Condition, Pattern, Predicate, Test};
use crate::rules::{Bind, Conjunction, Rule};
use crate::source::{SourceFile, Sources, Span};
use crate::value::endpoint::Endpoint;
use crate::value::field::{Field, Layer};
use crate::value::host_pattern::HostPattern;
use crate::value::listen_addr::{ListenAddr, Transport};
use crate::value::name::RuleName;
use crate::value::template::Template;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_walk_finds_what_asking_every_rule_in_order_finds(
        rules in prop::collection::vec(rule(), 1..14),
        visits in prop::collection::vec(visit(), 1..40),
    ) {
        let rules = named(rules);
        let both = Families { ipv4: true, ipv6: true };
        let graph = graph(&rules, both);
        for visit in &visits {
            prop_assert_eq!(walked(&graph, visit), asked(&rules, visit), "{:?}", visit);
        }
    }

    #[test]
    fn every_edge_leads_backwards(rules in prop::collection::vec(rule(), 1..14)) {
        let graph = graph(&named(rules), Families { ipv4: true, ipv6: true });
        for (at, node) in (0u32..).zip(&graph.nodes) {
            for next in node.edges() {
                prop_assert!(next < NodeId(at), "{} leads to {}", NodeId(at), next);
            }
        }
    }

    #[test]
    fn a_rule_called_unreachable_is_never_found(
        rules in prop::collection::vec(rule(), 1..14),
        visits in prop::collection::vec(visit(), 1..60),
    ) {
        let rules = named(rules);
        let both = Families { ipv4: true, ipv6: true };
        let mut diagnostics = crate::diagnostic::Diagnostics::default();
        analyze::shadow::report(&rules, &analyze::groups(&rules, both), &mut diagnostics);
        let called: Vec<_> = diagnostics.sorted().iter().map(|d| d.message.clone()).collect();
        for visit in &visits {
            if let Some(found) = asked(&rules, visit) {
                let start = format!("rule `{}` can never", rules[found.0 as usize].name);
                prop_assert!(!called.iter().any(|message| message.starts_with(&start)));
            }
        }
    }
}

/// One connection and the request on it.
#[derive(Debug, Clone)]
struct Visit {
    port: u16,
    remote: SocketAddr,
    sni: Option<&'static str>,
    method: Method,
    host: &'static str,
    path: &'static str,
    header: Option<&'static str>,
}

fn walked(graph: &FlowGraph, visit: &Visit) -> Option<RuleId> {
    let listener = graph.listeners.iter().find(|each| each.address.port() == visit.port)?;
    let mut connection = connection(visit);
    let first_bytes = connection.first_bytes.take();
    let mut stop = walk::find(graph, listener.entry, &Facts::of_connection(&connection), &mut ());
    connection.first_bytes = first_bytes;
    if let Stop::Needs { layer: Layer::FirstBytes, at } = stop {
        stop = walk::find(graph, at, &Facts::of_connection(&connection), &mut ());
    }
    if let Stop::ServeHttp { entry } = stop {
        let headers = headers(visit);
        stop = walk::find(graph, entry, &facts(visit, &connection, &headers), &mut ());
    }
    match stop {
        Stop::Matched { rule, .. } => Some(rule),
        Stop::NoMatch => None,
        other => panic!("the walk ended with {other:?}"),
    }
}

/// Asks every alternative of every rule and takes the first by the order of the language.
fn asked(rules: &[Rule], visit: &Visit) -> Option<RuleId> {
    let (connection, headers) = (connection(visit), headers(visit));
    let known = Facts::of_connection(&connection);
    let requested = facts(visit, &connection, &headers);
    first(rules, true, visit, &known).or_else(|| first(rules, false, visit, &requested))
}

fn first(rules: &[Rule], raw: bool, visit: &Visit, facts: &Facts<'_>) -> Option<RuleId> {
    let here = (0u32..).zip(rules).filter(|(_, rule)| {
        is_raw(rule) == raw && rule.binds.iter().any(|bind| bind.address.port() == visit.port)
    });
    let alternatives = here.flat_map(|(id, rule)| {
        (0..).zip(&rule.alternatives).map(move |(at, all)| (id, rule, at, all))
    });
    let held = alternatives
        .filter(|(.., all)| all.conditions.iter().all(|each| evaluate::holds(each, facts)));
    let turn = |&(id, rule, at, all): &(u32, &Rule, usize, &Conjunction)| {
        let host = if raw { visit.sni } else { Some(visit.host) };
        let exactness = (host_rank(all, raw, host), path_rank(all, visit.path));
        (Reverse(rule.priority), exactness, Reverse(count(&all.conditions)), id, at)
    };
    held.min_by_key(turn).map(|(id, ..)| RuleId(id))
}

fn is_raw(rule: &Rule) -> bool {
    matches!(rule.action, Action::Tunnel(_))
        || (rule.action == Action::Close && rule.layer() < Layer::Request)
}

/// Smaller is more exact: 0 exact, 1 one label, then suffixes by length, then everything else.
fn host_rank(all: &Conjunction, raw: bool, host: Option<&str>) -> (u8, Reverse<usize>) {
    let field = if raw { Field::TlsSni } else { Field::HttpHost };
    let none = (3, Reverse(0));
    let (Some(first), Some(host)) =
        (all.conditions.iter().find_map(|each| host_tests(each, &field)), host)
    else {
        return none;
    };
    let ranks = first.into_iter().flat_map(|test| match test {
        Test::Host(patterns) => patterns
            .iter()
            .filter(|pattern| pattern.matches(host))
            .map(|pattern| (u8::from(matches!(pattern, HostPattern::OneLabel(_))), Reverse(0)))
            .collect(),
        Test::Suffix(suffix) if host.ends_with(&**suffix) => vec![(2, Reverse(suffix.len()))],
        _ => vec![],
    });
    ranks.min().unwrap_or(none)
}

fn host_tests<'c>(condition: &'c Condition, field: &Field) -> Option<Vec<&'c Test>> {
    match condition {
        Condition::Test(Predicate { field: of, test }) if of == field => match test {
            Test::Host(_) => Some(vec![test]),
            Test::Suffix(suffix) if suffix.starts_with('.') => Some(vec![test]),
            _ => None,
        },
        Condition::Any(inner) => {
            let all: Option<Vec<_>> = inner.iter().map(|each| host_tests(each, field)).collect();
            Some(all?.concat())
        }
        _ => None,
    }
}

/// Smaller is more exact: 0 exact, then prefixes by length, then other questions, then none.
fn path_rank(all: &Conjunction, path: &str) -> (u8, Reverse<usize>) {
    let mentioned = all.conditions.iter().any(|each| format!("{each:?}").contains("HttpPath"));
    let rest = (if mentioned { 2 } else { 3 }, Reverse(0));
    let Some(first) = all.conditions.iter().find_map(path_tests) else { return rest };
    let holding = first
        .into_iter()
        .filter(|test| evaluate::text_passes(test, &Field::HttpPath, path))
        .map(|test| match test {
            Test::PathPrefix(prefix) => (1, Reverse(prefix.trim_end_matches('/').len())),
            _ => (0, Reverse(0)),
        });
    holding.min().unwrap_or(rest)
}

fn path_tests(condition: &Condition) -> Option<Vec<&Test>> {
    match condition {
        Condition::Test(Predicate { field: Field::HttpPath, test }) => {
            matches!(test, Test::OneOf(_) | Test::PathPrefix(_)).then(|| vec![test])
        }
        Condition::Any(inner) => {
            let all: Option<Vec<_>> = inner.iter().map(path_tests).collect();
            Some(all?.concat())
        }
        _ => None,
    }
}

fn count(conditions: &[Condition]) -> usize {
    let one = |condition: &Condition| match condition {
        Condition::Test(_) => 1,
        Condition::All(inner) | Condition::Any(inner) => count(inner),
        Condition::Not(inner) => count(std::slice::from_ref(inner)),
    };
    conditions.iter().map(one).sum()
}

fn graph(rules: &[Rule], families: Families) -> FlowGraph {
    let lowered = super::lower(rules, &analyze::groups(rules, families), &[]);
    FlowGraph {
        listeners: lowered.listeners,
        nodes: lowered.nodes,
        rules: Vec::new(),
        upstreams: Vec::new(),
        certificates: Vec::new(),
        trusted_proxies: Vec::new(),
        hash: GraphHash([0; 32]),
    }
}

fn connection(visit: &Visit) -> ConnectionFacts {
    ConnectionFacts {
        transport: Transport::Tcp,
        remote: visit.remote,
        local: SocketAddr::from(([127, 0, 0, 1], visit.port)),
        first_bytes: Some(FirstBytes {
            protocol: if visit.sni.is_some() { Protocol::Tls } else { Protocol::Http1 },
            sni: visit.sni.map(Into::into),
            alpn: Vec::new(),
        }),
        handshake: None,
    }
}

fn headers(visit: &Visit) -> HeaderMap {
    let value = visit.header.map(|value| ("x-a".parse().unwrap(), value.parse().unwrap()));
    value.into_iter().collect()
}

fn facts<'a>(
    visit: &'a Visit,
    connection: &'a ConnectionFacts,
    headers: &'a HeaderMap,
) -> Facts<'a> {
    let request = RequestFacts {
        version: Version::HTTP_11,
        scheme: "http",
        method: &visit.method,
        host: visit.host,
        path: visit.path,
        query: None,
        headers,
    };
    Facts { connection, request: Some(request) }
}

fn named(rules: Vec<Rule>) -> Vec<Rule> {
    let name = |at| RuleName::parse(&format!("r{at}")).unwrap();
    rules.into_iter().enumerate().map(|(at, rule)| Rule { name: name(at), ..rule }).collect()
}

fn visit() -> impl Strategy<Value = Visit> {
    let remote = prop::sample::select(vec!["10.0.0.1:1000", "10.1.0.1:1000", "192.0.2.1:1000"]);
    let method = prop::sample::select(vec![Method::GET, Method::POST]);
    let header = prop::sample::select(vec![None, Some("1"), Some("2")]);
    let sni = prop_oneof![Just(None), host().prop_map(Some)];
    (prop::sample::select(vec![80u16, 81]), remote, sni, method, host(), path(), header).prop_map(
        |(port, remote, sni, method, host, path, header)| {
            let remote = remote.parse().unwrap();
            Visit { port, remote, sni, method, host, path, header }
        },
    )
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a.test",
        "b.a.test",
        "c.a.test",
        "d.c.a.test",
        "test",
        ".a.test",
        "x.y.z",
        "",
    ])
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/", "/v1", "/v1/", "/v1/a", "/v1/a/b", "/v1//a", "/v10", "/v2", "//", "*", "/A",
    ])
}

fn rule() -> impl Strategy<Value = Rule> {
    let ports = prop::sample::select(vec![vec![80u16], vec![81], vec![80, 81]]);
    let priority = prop::sample::select(vec![0i64, 0, 0, 0, 1, -1]);
    let http = (action(), prop::collection::vec(conjunction(http_condition()), 1..4));
    let raw = (raw_action(), prop::collection::vec(conjunction(raw_condition()), 1..3));
    (ports, priority, prop_oneof![4 => http.boxed(), 1 => raw.boxed()]).prop_map(
        |(ports, priority, (action, alternatives))| Rule {
            name: RuleName::parse("r").unwrap(),
            span: span(),
            binds: ports.into_iter().map(bind).collect(),
            alternatives,
            middleware: Vec::new(),
            action,
            priority,
            max_body: None,
            tls: None,
        },
    )
}

fn bind(port: u16) -> Bind {
    let address = SocketAddr::from(([0, 0, 0, 0], port));
    let written = ListenAddr::parse(&format!("0.0.0.0:{port}")).unwrap();
    Bind { transport: Transport::Tcp, address, written, expanded: false, span: span() }
}

fn span() -> Span {
    Span::new(Sources::default().add(SourceFile::new("r", "")), 0, 0)
}

fn action() -> impl Strategy<Value = Action> {
    let redirect =
        Action::Redirect(Redirect { to: Template::parse("/").unwrap(), status: StatusCode::FOUND });
    prop_oneof![3 => Just(redirect), 1 => Just(Action::Close)]
}

fn raw_action() -> impl Strategy<Value = Action> {
    let second = std::time::Duration::from_secs(1);
    let to = Endpoint::parse("127.0.0.1:1").unwrap();
    let tunnel = Action::Tunnel(Tunnel { to, connect_timeout: second, idle_timeout: second });
    prop_oneof![Just(tunnel), Just(Action::Close)]
}

fn conjunction(condition: impl Strategy<Value = Condition>) -> impl Strategy<Value = Conjunction> {
    prop::collection::vec(condition, 0..4).prop_map(|conditions| Conjunction { conditions })
}

fn http_condition() -> impl Strategy<Value = Condition> {
    let header = Field::HttpHeader("x-a".parse().unwrap());
    let leaf = prop_oneof![
        3 => hosts(Field::HttpHost),
        3 => paths(),
        1 => test(Field::HttpMethod, texts(&["GET", "POST"])),
        1 => test(header.clone(), texts(&["1", "2"])),
        1 => test(header, Just(Test::Exists(true))),
        1 => remote(),
    ];
    nested(leaf)
}

fn raw_condition() -> impl Strategy<Value = Condition> {
    nested(prop_oneof![2 => hosts(Field::TlsSni), 1 => remote()])
}

fn nested(leaf: impl Strategy<Value = Condition> + 'static) -> impl Strategy<Value = Condition> {
    leaf.prop_recursive(2, 6, 2, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            several.clone().prop_map(Condition::Any),
            several.prop_map(Condition::All),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn remote() -> BoxedStrategy<Condition> {
    let nets = prop::sample::select(vec!["10.0.0.0/8", "10.0.0.0/16", "0.0.0.0/0"]);
    test(Field::RemoteIp, nets.prop_map(|net| Test::Cidr(vec![net.parse().unwrap()])))
}

fn hosts(field: Field) -> BoxedStrategy<Condition> {
    let pattern = prop::sample::select(vec!["a.test", "b.a.test", "*.a.test", "*.test", "test"]);
    let pattern = pattern.prop_map(|text| HostPattern::parse(text).unwrap());
    let several = prop::collection::vec(pattern, 1..3).prop_map(Test::Host);
    let suffix = prop::sample::select(vec![".a.test", ".test", ".c.a.test", "a.test"]);
    test(field, prop_oneof![3 => several, 1 => suffix.prop_map(|text| Test::Suffix(text.into()))])
}

fn paths() -> BoxedStrategy<Condition> {
    let prefix = prop::sample::select(vec!["", "/v1", "/v1/a", "/v2", "/v1/"]);
    let regex = prop::sample::select(vec!["^/v1", "a$"]);
    test(
        Field::HttpPath,
        prop_oneof![
            2 => texts(&["/", "/v1", "/v1/", "/v1/a", "/v1//a"]),
            2 => prefix.prop_map(|text| Test::PathPrefix(text.into())),
            1 => regex.prop_map(|text| Test::Regex(Pattern::new(text).unwrap())),
        ],
    )
}

fn texts(texts: &[&'static str]) -> BoxedStrategy<Test> {
    let one = prop::sample::select(texts.to_vec()).prop_map(Box::<str>::from);
    prop::collection::vec(one, 1..3).prop_map(Test::OneOf).boxed()
}

fn test(field: Field, test: impl Strategy<Value = Test> + 'static) -> BoxedStrategy<Condition> {
    test.prop_map(move |test| Condition::Test(Predicate { field: field.clone(), test })).boxed()
}
