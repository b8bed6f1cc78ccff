//! The exact texts on the wire. A change here is a change for every client there is.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vane_mgmt::frame::{Id, reply_line, request_line};
use vane_mgmt::reply::{Fault, METHOD_NOT_FOUND, done, no};
use vane_mgmt::request::{DirParams, RenewParams, Request, ShutdownParams};
use vane_mgmt::views::{
    ByteCounts, CertSource, CertState, CertView, CertsView, CompileView, ConfigView,
    ConnectionCounts, ConnectionProtocol, ConnectionView, ConnectionsView, DaemonState, DrainView,
    GenerationView, ListenerSource, ListenerState, ListenerView, ListenersView, ManagedCert,
    PingView, PlanView, ReloadOutcome, ReloadTrigger, ReloadView, RenewRefusal, RenewRefusedView,
    RenewView, RenewalWindow, RequestCounts, ServedCert, StatsView, Transport,
};

#[test]
fn requests_have_this_form() {
    let asked = |request: Request| text(request_line(1, request.method(), request.params()));
    assert_eq!("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n", asked(Request::Ping));
    assert_eq!(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shutdown\",\"params\":{\"budget_secs\":5}}\n",
        asked(Request::Shutdown(ShutdownParams { budget_secs: Some(5) }))
    );
    assert_eq!(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"plan\",\"params\":{\"dir\":\"/etc/vaned\"}}\n",
        asked(Request::Plan(DirParams { dir: Some("/etc/vaned".to_owned()) }))
    );
    assert_eq!(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"force_renew\",\"params\":{\"name\":\"a.test\"}}\n",
        asked(Request::ForceRenew(RenewParams { name: "a.test".to_owned() }))
    );
}

#[test]
fn answers_have_this_form() {
    let id = || Id::Number(1.into());
    assert_eq!(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"draining\":true}}\n",
        text(reply_line(id(), done(&DrainView { draining: true })))
    );
    assert_eq!(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"m\",\"data\":[2]}}\n",
        text(reply_line(id(), no("m", &[2])))
    );
    assert_eq!(
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32601,\"message\":\"m\"}}\n",
        text(reply_line(Id::Null, Err(Fault::new(METHOD_NOT_FOUND, "m"))))
    );
}

#[test]
fn a_line_feed_in_a_text_does_not_end_the_line() {
    let line = text(reply_line(Id::Text("a\nb".to_owned()), done(&"c\nd")));
    assert_eq!(Some(line.len() - 1), line.find('\n'));
}

#[test]
fn ping_and_stats_have_this_form() {
    let ping = PingView { version: "0.1.0".to_owned(), pid: 123, uptime_ms: 5 };
    golden(&ping, r#"{"version":"0.1.0","pid":123,"uptime_ms":5}"#);
    let expected = concat!(
        r#"{"version":"0.1.0","pid":123,"uptime_ms":5,"config_dir":"/etc/vaned","#,
        r#""state":"running","generation":2,"graph_hash":"ab12","last_reload":null,"#,
        r#""generations":[{"generation":1,"connections":3}],"#,
        r#""connections":{"open":3,"total":9,"refused_by_limit":{"per_address":1}},"#,
        r#""handshakes":{"full":8,"unknown_name":1},"#,
        r#""requests":{"active":1,"total":20},"bytes":{"received":100,"sent":200},"#,
        r#""upstream_retries":4,"unverified_upstreams":["app"],"rules":7,"warnings":0}"#
    );
    golden(&stats(), expected);
}

fn stats() -> StatsView {
    StatsView {
        version: "0.1.0".to_owned(),
        pid: 123,
        uptime_ms: 5,
        config_dir: "/etc/vaned".to_owned(),
        state: DaemonState::Running,
        generation: 2,
        graph_hash: "ab12".to_owned(),
        last_reload: None,
        generations: vec![GenerationView { generation: 1, connections: 3 }],
        connections: ConnectionCounts {
            open: 3,
            total: 9,
            refused_by_limit: BTreeMap::from([("per_address".to_owned(), 1)]),
        },
        handshakes: BTreeMap::from([("full".to_owned(), 8), ("unknown_name".to_owned(), 1)]),
        requests: RequestCounts { active: 1, total: 20 },
        bytes: ByteCounts { received: 100, sent: 200 },
        upstream_retries: 4,
        unverified_upstreams: vec!["app".to_owned()],
        rules: 7,
        warnings: 0,
    }
}

#[test]
fn a_reload_has_this_form() {
    let view = ReloadView {
        outcome: ReloadOutcome::Installed,
        generation: 2,
        graph_hash: "ab12".to_owned(),
        trigger: ReloadTrigger::Sighup,
        at_unix_ms: 1_700_000_000_000,
        duration_ms: 12,
        plan: Some(json!({ "listeners": [] })),
        text: Some("no change\n".to_owned()),
        diagnostics: json!([]),
        rendered: String::new(),
    };
    let expected = concat!(
        r#"{"outcome":"installed","generation":2,"graph_hash":"ab12","trigger":"sighup","#,
        r#""at_unix_ms":1700000000000,"duration_ms":12,"plan":{"listeners":[]},"#,
        r#""text":"no change\n","diagnostics":[],"rendered":""}"#
    );
    golden(&view, expected);
}

#[test]
fn what_the_compiler_answers_has_this_form() {
    let compile = CompileView {
        ok: false,
        graph_hash: None,
        text: None,
        graph: None,
        diagnostics: json!([{ "code": "no-action" }]),
        rendered: "error[no-action]".to_owned(),
    };
    let expected = concat!(
        r#"{"ok":false,"graph_hash":null,"text":null,"graph":null,"#,
        r#""diagnostics":[{"code":"no-action"}],"rendered":"error[no-action]"}"#
    );
    golden(&compile, expected);
    let plan = PlanView {
        ok: true,
        plan: Some(json!({})),
        text: Some("nothing changes\n".to_owned()),
        diagnostics: json!([]),
        rendered: String::new(),
    };
    let expected =
        r#"{"ok":true,"plan":{},"text":"nothing changes\n","diagnostics":[],"rendered":""}"#;
    golden(&plan, expected);
    let config = ConfigView {
        generation: 2,
        graph_hash: "ab12".to_owned(),
        text: "n0".to_owned(),
        graph: json!({ "nodes": [] }),
    };
    golden(&config, r#"{"generation":2,"graph_hash":"ab12","text":"n0","graph":{"nodes":[]}}"#);
}

#[test]
fn listeners_and_connections_have_this_form() {
    let listener = ListenerView {
        transport: Transport::Tcp,
        address: "127.0.0.1:0".to_owned(),
        local: Some("127.0.0.1:41234".to_owned()),
        state: ListenerState::Listening,
        attempts: 1,
        error: None,
        connections: 3,
        accepted: 9,
        generation: 2,
        source: ListenerSource::Bound,
    };
    let expected = concat!(
        r#"{"generation":2,"listeners":[{"transport":"tcp","address":"127.0.0.1:0","#,
        r#""local":"127.0.0.1:41234","state":"listening","attempts":1,"error":null,"#,
        r#""connections":3,"accepted":9,"generation":2,"source":"bound"}]}"#
    );
    golden(&ListenersView { generation: 2, listeners: vec![listener] }, expected);
    let connection = ConnectionView {
        id: 1,
        listener: "127.0.0.1:8080".to_owned(),
        remote: "127.0.0.1:55555".to_owned(),
        protocol: ConnectionProtocol::Http1,
        generation: 2,
        age_ms: 10,
        requests: 4,
    };
    let expected = concat!(
        r#"{"connections":[{"id":1,"listener":"127.0.0.1:8080","remote":"127.0.0.1:55555","#,
        r#""protocol":"http1","generation":2,"age_ms":10,"requests":4}]}"#
    );
    golden(&ConnectionsView { connections: vec![connection] }, expected);
}

#[test]
fn certificates_have_this_form() {
    let expected = concat!(
        r#"{"certs":[{"name":"a.test","source":{"files":{"cert_file":"/tls/a.pem","#,
        r#""key_file":"/tls/a.key"}},"state":"serving","served":{"names":["a.test","192.0.2.1"],"#,
        r#""issuer":"CN=Test","serial":"0a1b","not_before":-1,"not_after":1700000000},"#,
        r#""managed":null,"last_error":null},"#,
        r#"{"name":"b.test","source":{"acme":{"directory":"https://ca.test/dir","#,
        r#""challenge":"http-01","names":["b.test","*.b.test"]}},"state":"missing","#,
        r#""served":null,"managed":{"ordering":true,"failures":2,"last_attempt":1700000000,"#,
        r#""next_attempt":1700003600,"renewal_window":{"start":1700000000,"end":1700086400}},"#,
        r#""last_error":"the CA says no"}]}"#
    );
    golden(&CertsView { certs: vec![from_files(), from_authority()] }, expected);
}

fn from_files() -> CertView {
    CertView {
        name: "a.test".to_owned(),
        source: CertSource::Files {
            cert_file: "/tls/a.pem".to_owned(),
            key_file: "/tls/a.key".to_owned(),
        },
        state: CertState::Serving,
        served: Some(ServedCert {
            names: vec!["a.test".to_owned(), "192.0.2.1".to_owned()],
            issuer: "CN=Test".to_owned(),
            serial: "0a1b".to_owned(),
            not_before: -1,
            not_after: 1_700_000_000,
        }),
        managed: None,
        last_error: None,
    }
}

fn from_authority() -> CertView {
    CertView {
        name: "b.test".to_owned(),
        source: CertSource::Acme {
            directory: "https://ca.test/dir".to_owned(),
            challenge: "http-01".to_owned(),
            names: vec!["b.test".to_owned(), "*.b.test".to_owned()],
        },
        state: CertState::Missing,
        served: None,
        managed: Some(ManagedCert {
            ordering: true,
            failures: 2,
            last_attempt: Some(1_700_000_000),
            next_attempt: 1_700_003_600,
            renewal_window: Some(RenewalWindow { start: 1_700_000_000, end: 1_700_086_400 }),
        }),
        last_error: Some("the CA says no".to_owned()),
    }
}

#[test]
fn a_renewal_has_this_form() {
    let name = || "a.test".to_owned();
    let asked = RenewView { name: name(), asked: true, state: CertState::Failing };
    golden(&asked, r#"{"name":"a.test","asked":true,"state":"failing"}"#);
    let reason = RenewRefusal::FromFiles;
    let refused = RenewRefusedView { name: name(), reason, near: None };
    golden(&refused, r#"{"name":"a.test","reason":"from_files","near":null}"#);
}

#[test]
fn words_on_the_wire_are_the_words_for_people() {
    fn same<T: Serialize + ToString>(words: &[T]) {
        for word in words {
            assert_eq!(json!(word), Value::String(word.to_string()));
        }
    }
    same(&[DaemonState::Running, DaemonState::Draining]);
    same(&[ReloadOutcome::Installed, ReloadOutcome::Unchanged, ReloadOutcome::Refused]);
    same(&[
        ReloadTrigger::Boot,
        ReloadTrigger::Watch,
        ReloadTrigger::Sighup,
        ReloadTrigger::Manage,
    ]);
    same(&[Transport::Tcp, Transport::Udp]);
    same(&[
        ListenerState::Binding,
        ListenerState::Listening,
        ListenerState::Failed,
        ListenerState::Draining,
        ListenerState::Unclaimed,
    ]);
    same(&[CertState::Missing, CertState::Serving, CertState::Failing, CertState::Expired]);
    same(&[RenewRefusal::Unknown, RenewRefusal::FromFiles, RenewRefusal::Ending]);
    same(&[ListenerSource::Bound, ListenerSource::Inherited]);
    same(&[
        ConnectionProtocol::Detecting,
        ConnectionProtocol::Http1,
        ConnectionProtocol::Http2,
        ConnectionProtocol::Tunnel,
        ConnectionProtocol::Upgrade,
    ]);
}

#[test]
fn a_reader_ignores_what_it_does_not_know() {
    let newer = json!({ "version": "9", "pid": 1, "uptime_ms": 2, "mood": "good" });
    let view: PingView = serde_json::from_value(newer).unwrap();
    assert_eq!("9", view.version);
}

fn golden<T>(view: &T, expected: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(expected, serde_json::to_string(view).expect("a view can be written"));
    assert_eq!(*view, serde_json::from_str(expected).expect("a view can be read"));
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).expect("a line is UTF-8")
}
