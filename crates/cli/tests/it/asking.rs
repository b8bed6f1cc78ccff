//! Commands that get an answer.

use serde_json::{Value, json};
use vane_mgmt::request::Request;

use crate::rig::{Daemon, Run};

#[test]
fn ping_says_who_is_there() {
    let daemon = Daemon::always(json!({ "version": "0.1.0", "pid": 4711, "uptime_ms": 61_000 }));
    is_done("vaned 0.1.0, pid 4711, up 1m 1s\n", daemon.vane(&["ping"]));
}

#[test]
fn stats_are_names_and_values() {
    let expected = "\
version           0.1.0
pid               4711
up                3d 4h
state             running
config            /etc/vaned
generation        3, graph 0123456789ab
rules             7, 1 warning
last reload       refused (watch) at 2023-11-14 22:13:20 UTC, took 12ms
old generations   1 with 2 connections, 2 with 1 connection
connections       3 open, 9 since the start
refused           2 by handshake_rate, 1 by per_address
handshakes        7 full, 2 resumed, 1 broken, 3 unknown_name
requests          1 active, 20 since the start
received          100 B
sent              1.5 MiB
upstream retries  4
not verified      app
";
    is_done(expected, Daemon::always(stats()).vane(&["stats"]));
}

#[test]
fn stats_leave_out_what_there_is_not() {
    let mut stats = stats();
    stats["last_reload"] = Value::Null;
    stats["generations"] = json!([{ "generation": 3, "connections": 0 }]);
    stats["connections"]["refused_by_limit"] = json!({ "head": 0 });
    stats["handshakes"] = json!({ "full": 0 });
    stats["unverified_upstreams"] = json!([]);
    let run = Daemon::always(stats).vane(&["stats"]);
    for absent in ["last reload", "old generations", "refused", "handshakes", "not verified"] {
        assert!(!run.stdout.contains(absent), "{}", run.stdout);
    }
}

fn stats() -> Value {
    json!({
        "version": "0.1.0", "pid": 4711, "uptime_ms": 273_600_000, "config_dir": "/etc/vaned",
        "state": "running", "generation": 3, "graph_hash": "0123456789abcdef",
        "last_reload": {
            "outcome": "refused", "generation": 3, "graph_hash": "0123456789abcdef",
            "trigger": "watch", "at_unix_ms": 1_700_000_000_000u64, "duration_ms": 12,
            "plan": null, "text": null, "diagnostics": [], "rendered": ""
        },
        "generations": [
            { "generation": 1, "connections": 2 }, { "generation": 2, "connections": 1 },
            { "generation": 3, "connections": 0 }
        ],
        "connections": {
            "open": 3, "total": 9,
            "refused_by_limit": { "handshake_rate": 2, "head": 0, "per_address": 1 }
        },
        "handshakes": { "full": 7, "resumed": 2, "unknown_name": 3, "protocol": 0, "broken": 1 },
        "requests": { "active": 1, "total": 20 },
        "bytes": { "received": 100, "sent": 1_572_864 },
        "upstream_retries": 4, "unverified_upstreams": ["app"], "rules": 7, "warnings": 1
    })
}

#[test]
fn reload_says_what_serves_and_shows_warnings_apart() {
    let daemon = Daemon::always(reload("installed"));
    let run = daemon.vane(&["reload"]);
    assert_eq!((0, "installed generation 3, graph ab12, in 12ms\n"), (run.status, &*run.stdout));
    assert_eq!(
        "warning[unreachable-rule]: `b` can never match\n  --> rules/a.json:7:3\n\n",
        run.stderr
    );
}

#[test]
fn a_reload_without_change_says_so() {
    let run = Daemon::always(reload("unchanged")).vane(&["reload"]);
    assert_eq!("unchanged: generation 3, graph ab12, goes on serving\n", run.stdout);
}

fn reload(outcome: &str) -> Value {
    json!({
        "outcome": outcome, "generation": 3, "graph_hash": "ab12", "trigger": "manage",
        "at_unix_ms": 1_700_000_000_000u64, "duration_ms": 12, "plan": {},
        "diagnostics": [{
            "code": "unreachable-rule", "severity": "warning", "message": "`b` can never match",
            "file": "rules/a.json", "line": 7, "column": 3
        }],
        "text": null,
        "rendered": "warning[unreachable-rule]: `b` can never match\n  --> rules/a.json:7:3\n\n"
    })
}

#[test]
fn shutdown_hands_its_budget_over() {
    let daemon = Daemon::answering(|request| match request {
        Request::Shutdown(params) if params.budget_secs == Some(5) => {
            Ok(json!({ "draining": true }))
        }
        other => panic!("the budget must arrive: {other:?}"),
    });
    let expected = "draining: the daemon ends when nothing is in flight or its budget is spent\n";
    is_done(expected, daemon.vane(&["shutdown", "--budget-secs", "5"]));
}

#[test]
fn listeners_are_a_table() {
    let daemon = Daemon::always(json!({ "generation": 2, "listeners": [
        { "transport": "tcp", "address": "127.0.0.1:0", "local": "127.0.0.1:41234",
          "state": "listening", "attempts": 1, "error": null, "connections": 3, "accepted": 12,
          "generation": 2, "source": "bound" },
        { "transport": "udp", "address": "[::]:53", "local": null, "state": "failed",
          "attempts": 10, "error": "permission denied", "connections": 0, "accepted": 0,
          "generation": 2, "source": "bound" }
    ] }));
    let expected = "\
TRANSPORT  ADDRESS      LOCAL            STATE      OPEN  ACCEPTED  GENERATION  SOURCE  NOTE
tcp        127.0.0.1:0  127.0.0.1:41234  listening  3     12        2           bound
udp        [::]:53      -                failed     0     0         2           bound   attempt 10: permission denied
";
    is_done(expected, daemon.vane(&["get", "listeners"]));
}

#[test]
fn connections_are_a_table() {
    let daemon = Daemon::always(json!({ "connections": [
        { "id": 1, "listener": "127.0.0.1:80", "remote": "127.0.0.1:55555", "protocol": "http1",
          "generation": 2, "age_ms": 7_380_000, "requests": 4 },
        { "id": 22, "listener": "[::1]:80", "remote": "[::1]:1024", "protocol": "tunnel",
          "generation": 1, "age_ms": 5, "requests": 0 }
    ] }));
    let expected = "\
ID  LISTENER      REMOTE           PROTOCOL  GENERATION  AGE    REQUESTS
1   127.0.0.1:80  127.0.0.1:55555  http1     2           2h 3m  4
22  [::1]:80      [::1]:1024       tunnel    1           5ms    0
";
    is_done(expected, daemon.vane(&["get", "connections"]));
}

#[test]
fn certificates_are_a_table_with_errors_below() {
    let run = Daemon::always(json!({ "certs": [
        { "name": "a.test",
          "source": { "acme": { "directory": "https://ca.test", "challenge": "http-01",
                                "names": ["a.test", "www.a.test"] } },
          "state": "missing", "served": null,
          "managed": { "ordering": false, "failures": 1, "last_attempt": 1_700_000_000,
                       "next_attempt": 1_700_000_000, "renewal_window": null },
          "last_error": "dns: no record of\u{1b}[2J a.test" },
        { "name": "/tls/b.pem",
          "source": { "files": { "cert_file": "/tls/b.pem", "key_file": "/tls/b.key" } },
          "state": "expired",
          "served": { "names": ["b.test"], "issuer": "O=Test, CN=R1", "serial": "0a",
                      "not_before": 1_600_000_000, "not_after": 1_700_000_000 },
          "managed": null, "last_error": null }
    ] }))
    .vane(&["get", "certs"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    let [head, missing, error, expired] = *lines else { panic!("{run:?}") };
    assert!(head.starts_with("NAME        STATE    NAMES               ISSUER  EXPIRES"), "{head}");
    assert!(missing.starts_with("a.test      missing  a.test, www.a.test  -"), "{missing}");
    assert!(missing.ends_with("now"), "{missing}");
    assert_eq!("  error: dns: no record of [2J a.test", error);
    let begin = "/tls/b.pem  expired  b.test              R1      2023-11-14 (";
    assert!(expired.starts_with(begin) && expired.contains(" days ago)"), "{expired}");
    assert_eq!((0, ""), (run.status, &*run.stderr));
}

#[test]
fn a_renewal_names_the_certificate_to_the_daemon_and_says_what_was_asked_for() {
    let daemon = Daemon::answering(|request| match request {
        Request::ForceRenew(params) => {
            Ok(json!({ "name": params.name, "asked": true, "state": "failing" }))
        }
        other => panic!("no other method is asked for: {other:?}"),
    });
    let expected = "an order for `a.test` (failing) has been asked for: `vane get certs` shows what becomes of it\n";
    is_done(expected, daemon.vane(&["cert", "renew", "a.test"]));
}

#[test]
fn nothing_to_list_is_said_in_words() {
    let none = json!({ "generation": 2, "listeners": [], "connections": [], "certs": [] });
    let none = Daemon::always(none);
    is_done("generation 2 has no listeners\n", none.vane(&["get", "listeners"]));
    is_done("no connections are open\n", none.vane(&["get", "connections"]));
    is_done("there are no certificates\n", none.vane(&["get", "certs"]));
}

#[test]
fn config_is_the_text_of_the_graph() {
    let daemon = Daemon::always(json!({
        "generation": 2, "graph_hash": "ab12", "text": "n0 listener\nn1 respond\n", "graph": {}
    }));
    let expected = "generation 2, graph ab12\n\nn0 listener\nn1 respond\n";
    is_done(expected, daemon.vane(&["get", "config"]));
}

#[test]
fn compile_and_plan_name_an_absolute_directory() {
    let daemon = Daemon::answering(|request| match request {
        Request::CompileDryRun(params) | Request::Plan(params) => Ok(json!({
            "ok": true, "text": format!("{:?}\n", params.dir), "rendered": "warning: hm\n"
        })),
        other => panic!("no other method is asked for: {other:?}"),
    });
    for command in ["compile", "plan"] {
        let run = daemon.vane(&[command, "/etc/vaned/../x"]);
        assert_eq!((0, "Some(\"/etc/vaned/../x\")\n"), (run.status, &*run.stdout));
        assert!(run.stderr.ends_with("warning: hm\n"), "{}", run.stderr);
        let here = std::env::current_dir().unwrap().join("x");
        let run = daemon.vane(&[command, "x"]);
        assert_eq!(format!("Some({:?})\n", here.to_str().unwrap()), run.stdout);
    }
    is_no_error("None\n", daemon.vane(&["plan"]));
}

#[test]
fn compile_says_who_compiled() {
    let daemon = Daemon::always(json!({ "ok": true, "text": "n0\n", "rendered": "" }));
    let run = daemon.vane(&["compile", "/x", "--socket", daemon.socket()]);
    assert_eq!(format!("note: compiled by the daemon at {}\n", daemon.socket()), run.stderr);
}

#[test]
fn json_is_what_the_daemon_wrote() {
    let result = json!({ "zeta": 1, "alpha": [1.5, null, "ä\u{1b}"], "ok": true, "rendered": "" });
    let daemon = Daemon::always(result);
    let expected = "{\"zeta\":1,\"alpha\":[1.5,null,\"ä\\u001b\"],\"ok\":true,\"rendered\":\"\"}\n";
    for command in [
        &["ping"][..],
        &["stats"],
        &["reload"],
        &["shutdown"],
        &["compile", "/x"],
        &["plan"],
        &["get", "config"],
        &["get", "listeners"],
        &["get", "connections"],
        &["get", "certs"],
        &["cert", "renew", "a"],
    ] {
        is_done(expected, daemon.vane(&[command, &["--json"]].concat()));
    }
}

#[test]
fn what_comes_from_elsewhere_cannot_steer_a_terminal() {
    let daemon = Daemon::always(json!({
        "generation": 2, "graph_hash": "\u{1b}[2J", "text": "\u{1b}[2J\u{9b}", "graph": {}
    }));
    let run = daemon.vane(&["get", "config"]);
    assert!(!run.stdout.contains(['\u{1b}', '\u{9b}']), "{:?}", run.stdout);
}

fn is_done(expected: &str, run: Run) {
    assert_eq!("", run.stderr);
    is_no_error(expected, run);
}

fn is_no_error(expected: &str, run: Run) {
    let Run { status, stdout, .. } = run;
    assert_eq!((0, expected), (status, &*stdout));
}
